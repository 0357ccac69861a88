// The same call on the CPU and on the emulated device: memory that is copied to and fro, and both
// engines. Every array has exactly the size it needs, for the address sanitizer.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../native/check.h"
#include "options.h"
#include "papo.h"

namespace papo_test {

constexpr int32_t kDevice = PAPO_CUDA;  // device 0

inline papo_engine* openEngine(int32_t device) {
  papo_engine_options options{};
  options.size = sizeof options;
  options.device = device;
  options.threads = device == PAPO_CPU ? 1 : 0;
  papo_engine* engine = nullptr;
  CHECK(papo_engine_open(&options, &engine) == PAPO_OK);
  return engine;
}

// Bytes on the device of an engine; on the CPU, of the host.
class Memory {
 public:
  // offset: in bytes from an aligned address, to try pointers that are not.
  Memory(papo_engine* engine, size_t bytes, size_t offset = 0)
      : engine_(engine), isHost_(papo_engine_device(engine) == PAPO_CPU), bytes_(bytes) {
    if (isHost_)
      host_.resize(bytes + offset);
    else
      CHECK(papo_memory_allocate(engine, bytes + offset, &memory_) == PAPO_OK);
    data_ = (isHost_ ? host_.data() : static_cast<uint8_t*>(memory_)) + offset;
  }
  ~Memory() {
    if (memory_) papo_memory_free(engine_, memory_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_; }
  void write(const void* from) { copy(data_, from); }
  void read(void* to) {
    copy(to, data_);
    if (!isHost_) papo_engine_synchronize(engine_);
  }

 private:
  void copy(void* to, const void* from) {
    if (isHost_)
      std::memcpy(to, from, bytes_);
    else
      CHECK(papo_memory_copy(engine_, to, from, bytes_) == PAPO_OK);
  }

  papo_engine* engine_;
  bool isHost_;
  size_t bytes_;
  std::vector<uint8_t> host_;
  void* memory_ = nullptr;
  uint8_t* data_ = nullptr;
};

// Tensors of one call, which live as long as it does.
class Call {
 public:
  explicit Call(papo_engine* engine) : engine_(engine) {}

  papo_engine* engine() const { return engine_; }

  papo_tensor tensor(const void* values, int64_t rows, int64_t columns, int64_t stride,
                     int32_t dtype, size_t offset = 0) {
    const size_t bytes = static_cast<size_t>((rows - 1) * stride + columns) * bytesOf(dtype);
    memory_.push_back(std::make_unique<Memory>(engine_, bytes, offset));
    memory_.back()->write(values);
    return {memory_.back()->data(), rows, columns, stride, dtype, papo_engine_device(engine_)};
  }
  template <class T>
  papo_tensor vectorOf(const std::vector<T>& values, int32_t dtype, size_t offset = 0) {
    return tensor(values.data(), static_cast<int64_t>(values.size()), 1, 1, dtype, offset);
  }
  // What tensor() last put into memory, number back from the end.
  void read(void* to, size_t back = 0) { memory_[memory_.size() - 1 - back]->read(to); }

  void* workspace(size_t bytes) {
    memory_.push_back(std::make_unique<Memory>(engine_, bytes + 64));
    const auto at = reinterpret_cast<uintptr_t>(memory_.back()->data());
    return reinterpret_cast<void*>((at + 63) / 64 * 64);
  }

  static size_t bytesOf(int32_t dtype) {
    constexpr size_t bytes[] = {4, 2, 2, 8, 4, 1};
    return bytes[dtype];
  }

 private:
  papo_engine* engine_;
  std::vector<std::unique_ptr<Memory>> memory_;
};

struct TwoEngines {
  TwoEngines() : cpu(openEngine(PAPO_CPU)), device(openEngine(kDevice)) {}
  ~TwoEngines() {
    papo_engine_close(cpu);
    papo_engine_close(device);
  }
  papo_engine* cpu;
  papo_engine* device;
};

// The orders in which threads and blocks take turns.
template <class Body>
void inEveryOrder(const Body& body) {
  const simt::Options kept = simt::options();
  const simt::Order orders[] = {simt::Order::forward, simt::Order::reverse, simt::Order::random,
                                simt::Order::random};
  for (int i = 0; i < 4; ++i) {
    simt::options().order = orders[i];
    simt::options().seed = static_cast<uint64_t>(i + 1);
    body();
  }
  simt::options() = kept;
  CHECK(simt::raceReports() == 0);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 88172645463325252u) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  int64_t below(int64_t end) { return static_cast<int64_t>(next() >> 11) % end; }
  double real() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

}  // namespace papo_test
