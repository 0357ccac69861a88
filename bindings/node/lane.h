// A papo_engine with the workspace of its calls: what one computation at a time runs in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "papo.h"

namespace papo::node {

class DeviceBlock;  // device_memory.h

// A computation of papo.h with its arguments by value, read from JavaScript and independent of it:
// it may run on any thread, as long as the arrays behind its tensors live.
class Computation {
 public:
  virtual ~Computation() = default;
  virtual papo_status workspace(const papo_engine* engine, size_t* bytes) const = 0;
  virtual papo_status compute(papo_engine* engine, void* workspace, size_t bytes) const = 0;

  // The device memory behind its tensors, which lives as long as the computation.
  std::vector<std::shared_ptr<DeviceBlock>> blocks;
};

struct Outcome {
  papo_status status = PAPO_OK;
  std::string message;  // of papo_last_message(), where status is not PAPO_OK
};

class Lane {
 public:
  Lane() = default;
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  papo_status open(const papo_engine_options& options);
  // On the stream of another lane, which lives as long as this one.
  papo_status open(papo_engine_options options, std::shared_ptr<Lane> streamOwner);
  papo_engine* engine() const { return engine_; }
  bool isOnDevice() const { return papo_engine_device(engine_) != PAPO_CPU; }
  // Workspace, which is kept from call to call and only grows.
  size_t bytes() const { return bytes_; }

  // In the memory of the last call; asks for the bytes only where that is too small, because asking
  // checks all arguments once more. PAPO_OUT_OF_MEMORY names the bytes. Returns when the results are
  // there, also on a device. From one thread at a time.
  Outcome run(const Computation& computation);

  // Frees the workspace; a later call takes a new one.
  void dropWorkspace();

  // Bytes that the garbage collector was told of; the thread of JavaScript alone uses it.
  int64_t reported = 0;

 private:
  papo_status reserve(size_t bytes);
  papo_status compute(const Computation& computation);

  std::shared_ptr<Lane> streamOwner_;
  papo_engine* engine_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace papo::node
