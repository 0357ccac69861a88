// The runtime API of the emulated devices, as far as native/cuda uses it. Device memory is memory of
// the host that fresh is all ones and has exactly the size asked for.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <mutex>

#include "options.h"

namespace simt {

std::recursive_mutex& runtimeLock();

// ---- runtime_errors.cpp --------------------------------------------------------------------------

// Whether the call may go on: not injected to fail, there is a driver, and the current device's
// context is alive.
cudaError_t admit(const char* function);
// Remembers the error for cudaGetLastError; one that ends a context, for the current device.
cudaError_t note(cudaError_t error);

// Every function of the API: one at a time, in its body only if it is admitted.
template <class Body>
cudaError_t call(const char* function, Body&& body) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  const cudaError_t refused = admit(function);
  return note(refused != cudaSuccess ? refused : body());
}

// Of those that work without a device.
cudaError_t injectedFailure(const char* function);
cudaError_t driverError();
cudaError_t lostContext(int device);

// ---- runtime_devices.cpp -------------------------------------------------------------------------

int currentDevice();

// What is known of one architecture, from the CUDA C++ Programming Guide (technical specifications
// by compute capability) and the data sheets of A100 and H100.
struct Architecture {
  const char* name;
  int multiprocessors;
  size_t sharedPerBlock;  // opt-in
  size_t sharedPerMultiprocessor;
  size_t l2Bytes;
  bool clusters;
};
Architecture architecture();

// Bytes of dynamic shared memory a kernel may be launched with.
size_t dynamicSharedLimit(const void* kernel);

// ---- runtime_memory.cpp --------------------------------------------------------------------------

// Whether a copy or a fill touches only what an allocation has; memory that no function of the
// runtime gave out is not judged.
bool insideAllocation(const void* data, size_t bytes);
bool isRegistered(const void* data);
// What was allocated while the device was current, with its context.
void dropAllocations(int device);

// ---- runtime_streams.cpp -------------------------------------------------------------------------

// Runs the work at once, or later when streams are lazy; then what it returns is an error of the
// context.
cudaError_t enqueue(cudaStream_t stream, std::function<cudaError_t()> work);
cudaError_t drainStream(cudaStream_t stream);
cudaError_t drainDevice();

}  // namespace simt
