// Calls of a CUDA engine with memory of the host: inputs are copied to the device, outputs back, so that
// one test body runs on every engine, on the emulator and on a device alike.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../native/check.h"
#include "engine/dtype.h"
#include "papo.h"

namespace papo_test {

struct CloseEngine {
  void operator()(papo_engine* engine) const { papo_engine_close(engine); }
};
using AnyEngine = std::unique_ptr<papo_engine, CloseEngine>;

// "cuda", or an instruction set of the CPU.
inline AnyEngine openAny(const std::string& name) {
  papo_engine_options options{};
  options.size = sizeof options;
  const bool isCuda = name == "cuda";
  options.device = isCuda ? PAPO_CUDA : PAPO_CPU;
  options.threads = isCuda ? 0 : 2;
  options.instructionSet = name.c_str();
  papo_engine* engine = nullptr;
  CHECK(papo_engine_open(&options, &engine) == PAPO_OK);
  return AnyEngine(engine);
}

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
    if (!tensor.data || papo_engine_device(engine_) == PAPO_CPU) return tensor;
    const auto elements = static_cast<size_t>((tensor.rows - 1) * tensor.rowStride + tensor.columns);
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
    if (papo_engine_device(engine_) == PAPO_CPU) {
      host_.resize(bytes + 64);
      const auto at = reinterpret_cast<uintptr_t>(host_.data());
      return reinterpret_cast<void*>((at + 63) / 64 * 64);
    }
    CHECK(papo_memory_allocate(engine_, bytes, &workspace_) == PAPO_OK);
    // What an earlier call left there is not to matter.
    CHECK(papo_memory_set(engine_, workspace_, 0xa5, bytes) == PAPO_OK);
    return workspace_;
  }

  // What the call has written, into the memory of the host.
  void fetch() {
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
  std::vector<unsigned char> host_;
  void* workspace_ = nullptr;
};

}  // namespace papo_test
