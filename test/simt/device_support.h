// What the tests of a device share.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "../native/check.h"
#include "options.h"
#include "papo.h"

namespace papo_test {

constexpr int32_t cudaDevice(int index) { return PAPO_CUDA + 16 * index; }

inline papo_status openStatus(papo_engine_options options, papo_engine** engine) {
  options.size = sizeof options;
  return papo_engine_open(&options, engine);
}

// An engine that is closed at the end of the scope.
class OpenEngine {
 public:
  explicit OpenEngine(int32_t device, void* stream = nullptr) {
    papo_engine_options options{};
    options.device = device;
    options.stream = stream;
    CHECK(openStatus(options, &engine_) == PAPO_OK);
  }
  ~OpenEngine() { papo_engine_close(engine_); }
  OpenEngine(const OpenEngine&) = delete;
  OpenEngine& operator=(const OpenEngine&) = delete;

  operator papo_engine*() const { return engine_; }

 private:
  papo_engine* engine_ = nullptr;
};

// The call failed with this status, and its message has these words.
inline bool refused(papo_status got, papo_status expected, const char* words, int line) {
  const bool right = got == expected && std::strstr(papo_last_message(), words);
  if (!right)
    std::printf("line %d: expected status %d and \"%s\", got %d and \"%s\"\n", line, expected,
                words, got, got == PAPO_OK ? "" : papo_last_message());
  return right;
}
#define CHECK_REFUSED(call, status, words) \
  CHECK(::papo_test::refused(call, status, words, __LINE__))

// The emulated machine as it was at the start, when the scope ends.
class Machine {
 public:
  Machine() : options_(simt::options()) {}
  ~Machine() {
    simt::options() = options_;
    simt::resetDevices();
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

 private:
  simt::Options options_;
};

}  // namespace papo_test
