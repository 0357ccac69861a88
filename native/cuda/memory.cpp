// Memory of a device and pinned memory of the host: allocation, copies, how much there is.
#include <utility>

#include "cuda/allocations.h"
#include "cuda/context.h"
#include "cuda/pointers.h"
#include "engine/engine.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

papo_status enter(const papo_engine* engine) {
  PAPO_TRY(requireCudaEngine(engine));
  return engine->cuda->makeCurrent();
}

papo_status allocationFailure(const char* what, cudaError_t error, int device, size_t bytes) {
  if (error != cudaErrorMemoryAllocation) return deviceFailure(what, error);
  cudaGetLastError();
  size_t freeBytes = 0, totalBytes = 0;
  cudaMemGetInfo(&freeBytes, &totalBytes);
  return fail(PAPO_OUT_OF_MEMORY,
              "out of memory on cuda:%d in %s: expected %zu bytes, got %zu of %zu free", device,
              what, bytes, freeBytes, totalBytes);
}

papo_status pinnedFailure(const char* what, cudaError_t error, size_t bytes) {
  if (error != cudaErrorMemoryAllocation) return deviceFailure(what, error);
  cudaGetLastError();
  return fail(PAPO_OUT_OF_MEMORY, "out of pinned host memory: expected %zu bytes", bytes);
}

// What the driver calls an invalid value is a pointer here, since nothing else is given to it.
papo_status transferFailure(const char* what, cudaError_t error) {
  if (error != cudaErrorInvalidValue) return deviceFailure(what, error);
  cudaGetLastError();
  return fail(PAPO_INVALID_ARGUMENT,
              "CUDA refused the memory given to %s: an address or a length is wrong", what);
}

papo_status allocateOnDevice(const Context& context, Origin origin, size_t bytes, void** data) {
  const char* what =
      origin == Origin::shareable ? "papo_memory_allocate_shareable" : "papo_memory_allocate";
  const bool fromPool = origin == Origin::allocated && context.pool();
  const cudaError_t error =
      fromPool ? cudaMallocFromPoolAsync(data, bytes, context.pool(), context.stream())
               : cudaMalloc(data, bytes);
  return error == cudaSuccess ? PAPO_OK : allocationFailure(what, error, context.device(), bytes);
}

papo_status release(const Context& context, Origin origin, void* data) {
  if (origin == Origin::pinned)
    PAPO_CUDA_TRY("papo_memory_free_pinned", cudaFreeHost(data));
  else if (origin == Origin::allocated && context.pool())
    PAPO_CUDA_TRY("papo_memory_free", cudaFreeAsync(data, context.stream()));
  else  // waits for the device
    PAPO_CUDA_TRY("papo_memory_free", cudaFree(data));
  return PAPO_OK;
}

papo_status allocate(const papo_engine* engine, Origin origin, size_t bytes, void** data) {
  if (!data) return fail(PAPO_INVALID_ARGUMENT, "data: expected a pointer to one, got null");
  *data = nullptr;
  PAPO_TRY(enter(engine));
  if (bytes == 0) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected at least 1, got 0");
  const Context& context = *engine->cuda;
  void* made = nullptr;
  if (origin == Origin::pinned) {
    // Portable: pinned for every device of the process.
    const cudaError_t error = cudaHostAlloc(&made, bytes, cudaHostAllocPortable);
    if (error != cudaSuccess) return pinnedFailure("papo_memory_allocate_pinned", error, bytes);
  } else {
    PAPO_TRY(allocateOnDevice(context, origin, bytes, &made));
  }
  const papo_status status = remember(made, {origin, context.device(), made});
  if (status == PAPO_OK)
    *data = made;
  else
    release(context, origin, made);
  return status;
}

papo_status freeAt(const papo_engine* engine, Origin origin, void* data) {
  PAPO_TRY(enter(engine));
  Allocation allocation;
  PAPO_TRY(forget(data, origin, engine->cuda->device(), &allocation));
  return release(*engine->cuda, origin, data);
}

bool overlap(const void* a, const void* b, size_t bytes) {
  const auto x = reinterpret_cast<uintptr_t>(a), y = reinterpret_cast<uintptr_t>(b);
  return (x < y ? y - x : x - y) < bytes;
}

papo_status copy(const Context& context, void* to, const void* from, size_t bytes) {
  constexpr const char* kWhat = "papo_memory_copy";
  PointerFacts target, source;
  PAPO_TRY(readPointer(to, &target));
  PAPO_TRY(readPointer(from, &source));
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, context.stream());
  if (error != cudaSuccess) return transferFailure(kWhat, error);
  // The driver only may have copied ordinary memory aside by now.
  if (target.type == cudaMemoryTypeUnregistered || source.type == cudaMemoryTypeUnregistered)
    PAPO_CUDA_TRY(kWhat, cudaStreamSynchronize(context.stream()));
  return PAPO_OK;
}

}  // namespace
}  // namespace papo::cuda

extern "C" {

using papo::fail;
using papo::cuda::enter;
using papo::cuda::Origin;

papo_status papo_memory_allocate(papo_engine* engine, size_t bytes, void** data) {
  return papo::cuda::allocate(engine, Origin::allocated, bytes, data);
}
papo_status papo_memory_free(papo_engine* engine, void* data) {
  return papo::cuda::freeAt(engine, Origin::allocated, data);
}

papo_status papo_memory_allocate_pinned(papo_engine* engine, size_t bytes, void** data) {
  return papo::cuda::allocate(engine, Origin::pinned, bytes, data);
}
papo_status papo_memory_free_pinned(papo_engine* engine, void* data) {
  return papo::cuda::freeAt(engine, Origin::pinned, data);
}

papo_status papo_memory_allocate_shareable(papo_engine* engine, size_t bytes, void** data) {
  return papo::cuda::allocate(engine, Origin::shareable, bytes, data);
}
papo_status papo_memory_free_shareable(papo_engine* engine, void* data) {
  return papo::cuda::freeAt(engine, Origin::shareable, data);
}

papo_status papo_memory_copy(papo_engine* engine, void* to, const void* from, size_t bytes) {
  PAPO_TRY(enter(engine));
  if (bytes == 0 || (to == from && to)) return PAPO_OK;
  if (!to || !from)
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected memory, got null", to ? "from" : "to");
  if (papo::cuda::overlap(to, from, bytes))
    return fail(PAPO_OVERLAP, "to: expected memory of its own, got memory that overlaps from");
  return papo::cuda::copy(*engine->cuda, to, from, bytes);
}

papo_status papo_memory_set(papo_engine* engine, void* data, uint8_t value, size_t bytes) {
  PAPO_TRY(enter(engine));
  if (bytes == 0) return PAPO_OK;
  papo::cuda::PointerFacts facts;
  PAPO_TRY(papo::cuda::requireDeviceMemory(*engine->cuda, "data", data, bytes, &facts));
  const cudaError_t error = cudaMemsetAsync(data, value, bytes, engine->cuda->stream());
  return error == cudaSuccess ? PAPO_OK : papo::cuda::transferFailure("papo_memory_set", error);
}

papo_status papo_memory_info(papo_engine* engine, size_t* freeBytes, size_t* totalBytes) {
  PAPO_TRY(enter(engine));
  if (!freeBytes || !totalBytes)
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected a pointer, got null",
                freeBytes ? "totalBytes" : "freeBytes");
  PAPO_CUDA_TRY("papo_memory_info", cudaMemGetInfo(freeBytes, totalBytes));
  return PAPO_OK;
}

}  // extern "C"
