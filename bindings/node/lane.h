// A papo_engine with the workspace of its calls: what one computation at a time runs in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "papo.h"

namespace papo::node {

// A computation of papo.h with its arguments by value, read from JavaScript and independent of it:
// it may run on any thread, as long as the arrays behind its tensors live.
class Computation {
 public:
  virtual ~Computation() = default;
  virtual papo_status workspace(const papo_engine* engine, size_t* bytes) const = 0;
  virtual papo_status compute(papo_engine* engine, void* workspace, size_t bytes) const = 0;
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
  papo_engine* engine() const { return engine_; }
  // Workspace, which is kept from call to call and only grows.
  size_t bytes() const { return bytes_; }

  // In the memory of the last call; asks for the bytes only where that is too small, because asking
  // checks all arguments once more. PAPO_OUT_OF_MEMORY names the bytes. From one thread at a time.
  Outcome run(const Computation& computation);

  // Bytes that the garbage collector was told of; the thread of JavaScript alone uses it.
  int64_t reported = 0;

 private:
  bool reserve(size_t bytes);

  papo_engine* engine_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace papo::node
