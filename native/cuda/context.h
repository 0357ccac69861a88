// What a CUDA engine is made of: a device, its properties, a stream, a pool of memory, and the record
// in which kernels leave what only they can see.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/device_error.h"
#include "cuda/device_properties.h"
#include "papo.h"

namespace papo::cuda {

class Context {
 public:
  // device: index. stream: the caller's, or null for one of its own.
  static papo_status open(int device, cudaStream_t stream, Context** out);
  // Waits for what is in the stream. Also where the device is lost.
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_; }
  const DeviceProperties& properties() const { return properties_; }
  // On the device. Kernels of a call do nothing once it is set.
  DeviceError* error() const { return error_; }
  // Null where the device has no pools.
  cudaMemPool_t pool() const { return pool_; }

  // Makes the device current for this thread; the first thing every function of papo.h does.
  papo_status makeCurrent() const;
  // Waits, reports what the device found, and clears it.
  papo_status synchronize();

 private:
  explicit Context(int device) : device_(device) {}
  papo_status readProperties();
  papo_status acquire(cudaStream_t stream);
  papo_status adopt(cudaStream_t stream);

  int device_;
  cudaStream_t stream_ = nullptr;
  bool ownsStream_ = false;
  DeviceProperties properties_;
  cudaMemPool_t pool_ = nullptr;
  bool usesPool_ = false;               // counted among the pool's users
  DeviceError* error_ = nullptr;        // device memory
  DeviceError* errorOnHost_ = nullptr;  // pinned
};

// The error as a status with a message; what names the operation. Clears errors that are not sticky.
papo_status deviceFailure(const char* what, cudaError_t error);
// Whether nothing on the device will work in this process any more.
bool isLost(cudaError_t error);

#define PAPO_CUDA_TRY(what, expression)                                                        \
  do {                                                                                         \
    const cudaError_t papoCudaError = (expression);                                            \
    if (papoCudaError != cudaSuccess) return ::papo::cuda::deviceFailure(what, papoCudaError); \
  } while (false)

}  // namespace papo::cuda
