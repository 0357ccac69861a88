#include "cuda/pointers.h"

#include "cuda/context.h"
#include "engine/engine.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

constexpr const char* kRequire = "papo_memory_require";

// cuMemGetAddressRange of the driver, which a program without a driver could not be linked with.
using GetAddressRange = int(unsigned long long* base, size_t* bytes, unsigned long long address);

GetAddressRange* lookUpAddressRange() {
  constexpr unsigned kSince = 3020;  // CUDA 3.2: its 64-bit form
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuMemGetAddressRange", &function,
                                                             kSince, cudaEnableDefault, &result);
  if (error != cudaSuccess) cudaGetLastError();
  const bool found = error == cudaSuccess && result == cudaDriverEntryPointSuccess;
  return found ? reinterpret_cast<GetAddressRange*>(function) : nullptr;
}

void readRange(const void* data, PointerFacts* facts) {
  static GetAddressRange* const getAddressRange = lookUpAddressRange();
  unsigned long long base = 0;
  size_t bytes = 0;
  if (!getAddressRange || getAddressRange(&base, &bytes, reinterpret_cast<uintptr_t>(data)) != 0)
    return;
  facts->base = reinterpret_cast<const unsigned char*>(static_cast<uintptr_t>(base));
  facts->bytes = bytes;
}

papo_status requireType(const Context& context, const char* name, const PointerFacts& facts) {
  const char* got = facts.type == cudaMemoryTypeUnregistered
                        ? "ordinary host memory, or none at all"
                    : facts.type == cudaMemoryTypeHost    ? "pinned host memory"
                    : facts.type == cudaMemoryTypeManaged ? "managed memory"
                                                          : nullptr;
  if (got)
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected memory of cuda:%d, got %s", name,
                context.device(), got);
  if (facts.device != context.device())
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected memory of cuda:%d, got memory of cuda:%d",
                name, context.device(), facts.device);
  return PAPO_OK;
}

papo_status requireRange(const char* name, const void* data, size_t bytes,
                         const PointerFacts& facts) {
  const auto* from = static_cast<const unsigned char*>(data);
  const size_t left = facts.bytes - static_cast<size_t>(from - facts.base);
  if (bytes <= left) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "%s: expected %zu bytes, got %zu up to the allocation's end",
              name, bytes, left);
}

}  // namespace

papo_status readPointer(const void* data, PointerFacts* facts) {
  cudaPointerAttributes attributes = {};
  PAPO_CUDA_TRY(kRequire, cudaPointerGetAttributes(&attributes, data));
  *facts = {};
  facts->type = attributes.type;
  facts->device = attributes.device;
  if (facts->type == cudaMemoryTypeDevice) readRange(data, facts);
  return PAPO_OK;
}

papo_status requireDeviceMemory(const Context& context, const char* name, const void* data,
                                size_t bytes, PointerFacts* facts) {
  if (!data)
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected memory of cuda:%d, got null", name,
                context.device());
  if (bytes > UINTPTR_MAX - reinterpret_cast<uintptr_t>(data))
    return fail(PAPO_INVALID_ARGUMENT, "%s: expected %zu bytes, more than there are addresses",
                name, bytes);
  PAPO_TRY(readPointer(data, facts));
  PAPO_TRY(requireType(context, name, *facts));
  if (facts->base) return requireRange(name, data, bytes, *facts);
  // Without a range the last byte has to do.
  PointerFacts last;
  PAPO_TRY(readPointer(static_cast<const unsigned char*>(data) + (bytes ? bytes - 1 : 0), &last));
  return requireType(context, name, last);
}

}  // namespace papo::cuda

extern "C" papo_status papo_memory_require(papo_engine* engine, const void* data, size_t bytes) {
  using namespace papo;
  PAPO_TRY(requireCudaEngine(engine));
  PAPO_TRY(engine->cuda->makeCurrent());
  cuda::PointerFacts facts;
  return cuda::requireDeviceMemory(*engine->cuda, "data", data, bytes, &facts);
}
