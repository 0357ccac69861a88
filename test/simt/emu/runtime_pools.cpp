// Pools of a program's own: the default one under another name, since none keeps anything.
#include "runtime.h"

using namespace simt;

extern "C" {

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  return call("cudaMemPoolCreate", [&] {
    if (properties->allocType != cudaMemAllocationTypePinned ||
        properties->location.type != cudaMemLocationTypeDevice)
      return cudaErrorInvalidValue;
    return cudaDeviceGetDefaultMemPool(pool, properties->location.id);
  });
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  return call("cudaMemPoolDestroy", [&] { return pool ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaMallocFromPoolAsync(void** data, size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return call("cudaMallocFromPoolAsync", [&] {
    cudaMemPool_t own = nullptr;
    const cudaError_t error = cudaDeviceGetDefaultMemPool(&own, currentDevice());
    if (error != cudaSuccess) return error;
    return pool == own ? cudaMallocAsync(data, bytes, stream) : cudaErrorInvalidValue;
  });
}

}  // extern "C"
