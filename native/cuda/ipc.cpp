// Memory that another process on the machine uses, without a copy.
#include <cstring>

#include "cuda/allocations.h"
#include "cuda/context.h"
#include "cuda/pointers.h"
#include "engine/engine.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(papo_ipc_memory::handle),
              "a handle as papo.h carries it");

papo_status exportFailure(cudaError_t error) {
  if (isLost(error) || error == cudaErrorMemoryAllocation)
    return deviceFailure("papo_ipc_export", error);
  cudaGetLastError();
  return fail(PAPO_INVALID_ARGUMENT,
              "data: expected memory of papo_memory_allocate_shareable or cudaMalloc, got memory "
              "that CUDA does not share (%s)",
              cudaGetErrorName(error));
}

papo_status exportMemory(const Context& context, const void* data, papo_ipc_memory* out) {
  PointerFacts facts;
  PAPO_TRY(requireDeviceMemory(context, "data", data, 1, &facts));
  if (!facts.base) return exportFailure(cudaErrorInvalidValue);
  if (isFrom(facts.base, Origin::allocated))
    return fail(PAPO_INVALID_ARGUMENT,
                "data: expected memory of papo_memory_allocate_shareable or cudaMalloc, got memory "
                "of papo_memory_allocate, which is of a pool");
  cudaIpcMemHandle_t handle;
  const cudaError_t error = cudaIpcGetMemHandle(&handle, const_cast<unsigned char*>(facts.base));
  if (error != cudaSuccess) return exportFailure(error);
  std::memcpy(out->handle, &handle, sizeof handle);
  out->offset = static_cast<const unsigned char*>(data) - facts.base;
  return PAPO_OK;
}

papo_status importFailure(cudaError_t error) {
  if (isLost(error) || error == cudaErrorMemoryAllocation)
    return deviceFailure("papo_ipc_open", error);
  cudaGetLastError();
  return fail(PAPO_INVALID_ARGUMENT,
              "memory: expected a handle of another process whose memory still lives, got one that "
              "CUDA refuses: %s (%s)",
              cudaGetErrorString(error), cudaGetErrorName(error));
}

// The range was not known to the exporter's handle: it is checked where it is mapped.
papo_status requireOffset(const Context& context, void* base, int64_t offset) {
  PointerFacts facts;
  PAPO_TRY(requireDeviceMemory(context, "memory", base, 1, &facts));
  if (!facts.base || static_cast<uint64_t>(offset) < facts.bytes) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "memory: expected an offset in %zu bytes, got %lld",
              facts.bytes, static_cast<long long>(offset));
}

papo_status importMemory(const Context& context, const papo_ipc_memory& memory, void** data) {
  cudaIpcMemHandle_t handle;
  std::memcpy(&handle, memory.handle, sizeof handle);
  void* base = nullptr;
  const cudaError_t error = cudaIpcOpenMemHandle(&base, handle, cudaIpcMemLazyEnablePeerAccess);
  if (error != cudaSuccess) return importFailure(error);
  void* at = static_cast<unsigned char*>(base) + memory.offset;
  papo_status status = requireOffset(context, base, memory.offset);
  if (status == PAPO_OK) status = remember(at, {Origin::imported, context.device(), base});
  if (status == PAPO_OK)
    *data = at;
  else
    cudaIpcCloseMemHandle(base);
  return status;
}

papo_status requireMemory(const papo_ipc_memory* memory) {
  if (!memory) return fail(PAPO_INVALID_ARGUMENT, "memory: expected a struct, got null");
  if (memory->size == sizeof *memory) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "memory: expected size %zu, got %zu", sizeof *memory,
              memory->size);
}

}  // namespace
}  // namespace papo::cuda

extern "C" {

using papo::fail;

papo_status papo_ipc_export(papo_engine* engine, const void* data, papo_ipc_memory* out) {
  PAPO_TRY(papo::requireCudaEngine(engine));
  PAPO_TRY(engine->cuda->makeCurrent());
  PAPO_TRY(papo::cuda::requireMemory(out));
  return papo::cuda::exportMemory(*engine->cuda, data, out);
}

papo_status papo_ipc_open(papo_engine* engine, const papo_ipc_memory* memory, void** data) {
  if (!data) return fail(PAPO_INVALID_ARGUMENT, "data: expected a pointer to one, got null");
  *data = nullptr;
  PAPO_TRY(papo::requireCudaEngine(engine));
  PAPO_TRY(engine->cuda->makeCurrent());
  PAPO_TRY(papo::cuda::requireMemory(memory));
  if (memory->offset < 0)
    return fail(PAPO_INVALID_ARGUMENT, "memory: expected an offset of at least 0, got %lld",
                static_cast<long long>(memory->offset));
  return papo::cuda::importMemory(*engine->cuda, *memory, data);
}

papo_status papo_ipc_close(papo_engine* engine, void* data) {
  PAPO_TRY(papo::requireCudaEngine(engine));
  PAPO_TRY(engine->cuda->makeCurrent());
  papo::cuda::Allocation allocation;
  PAPO_TRY(
      papo::cuda::forget(data, papo::cuda::Origin::imported, engine->cuda->device(), &allocation));
  PAPO_CUDA_TRY("papo_ipc_close", cudaIpcCloseMemHandle(allocation.base));
  return PAPO_OK;
}

}  // extern "C"
