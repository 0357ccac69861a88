// The tensors of a call where its engine wants them: on a CUDA engine inputs are copied to the device and
// outputs back, so that one test runs on every engine.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>

#include "check.h"
#include "engine/dtype.h"
#include "papo.h"

namespace papo_test {

inline bool isCuda(papo_engine* engine) { return papo_engine_device(engine) != PAPO_CPU; }

class Workspace {
 public:
  void* ofSize(size_t bytes) {
    memory_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64));
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
};

// The tensors of one call on an engine. On the CPU they are those of the host.
class Placed {
 public:
  explicit Placed(papo_engine* engine) : engine_(engine) {}
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;
  ~Placed() {
    for (const auto& [host, copy] : copies_) papo_memory_free(engine_, copy.data);
    if (workspace_) papo_memory_free(engine_, workspace_);
  }

  // The same view of the device's copy of its memory; views with the same data share it.
  papo_tensor on(papo_tensor tensor) {
    if (!tensor.data || !isCuda(engine_)) return tensor;
    const auto elements =
        static_cast<size_t>((tensor.rows - 1) * tensor.rowStride + tensor.columns);
    Copy& copy = copies_[tensor.data];
    if (!copy.data) {
      copy.bytes = elements * papo::dtypeBytes(tensor.dtype);
      CHECK(papo_memory_allocate(engine_, copy.bytes, &copy.data) == PAPO_OK);
      CHECK(papo_memory_copy(engine_, copy.data, tensor.data, copy.bytes) == PAPO_OK);
    }
    tensor.data = copy.data;
    tensor.device = papo_engine_device(engine_);
    return tensor;
  }

  void* workspace(size_t bytes) {
    if (!isCuda(engine_)) return host_.ofSize(bytes);
    CHECK(papo_memory_allocate(engine_, bytes, &workspace_) == PAPO_OK);
    // What an earlier call left there is not to matter.
    CHECK(papo_memory_set(engine_, workspace_, 0xa5, bytes) == PAPO_OK);
    return workspace_;
  }

  // What the call has written, into the memory of the host.
  void fetch() {
    if (!isCuda(engine_)) return;
    for (const auto& [host, copy] : copies_)
      CHECK(papo_memory_copy(engine_, host, copy.data, copy.bytes) == PAPO_OK);
    CHECK(papo_engine_synchronize(engine_) == PAPO_OK);
  }

 private:
  struct Copy {
    void* data = nullptr;
    size_t bytes = 0;
  };
  papo_engine* engine_;
  std::map<void*, Copy> copies_;
  Workspace host_;
  void* workspace_ = nullptr;
};

}  // namespace papo_test
