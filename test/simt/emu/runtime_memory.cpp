// Memory: a registry of what the runtime gave out, so that foreign pointers and sizes are known.
#include <cuda.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "runtime.h"

namespace simt {
namespace {

struct Allocation {
  size_t bytes;
  cudaMemoryType type;
  int device;
  bool fromPool;   // cudaMallocAsync
  bool ownedHere;  // false: cudaHostRegister
  int opened;      // by cudaIpcOpenMemHandle
  uint64_t serial;
};

std::map<uintptr_t, Allocation>& allocations() {
  static std::map<uintptr_t, Allocation> instance;
  return instance;
}
uint64_t serials = 0;

using Found = std::map<uintptr_t, Allocation>::iterator;

// The allocation that holds the byte, or end.
Found find(const void* data) {
  auto& all = allocations();
  const auto address = reinterpret_cast<uintptr_t>(data);
  auto next = all.upper_bound(address);
  if (next == all.begin()) return all.end();
  --next;
  return address - next->first < (next->second.bytes ? next->second.bytes : 1) ? next : all.end();
}

// Exactly so many bytes, so that the address sanitizer sees the first one past them.
cudaError_t allocate(void** out, size_t bytes, Allocation kind) {
  *out = nullptr;
  if (!bytes) return kind.type == cudaMemoryTypeDevice ? cudaSuccess : cudaErrorInvalidValue;
  if (kind.type == cudaMemoryTypeDevice &&
      bytes > options().memoryBytes - allocatedBytes(currentDevice()))
    return cudaErrorMemoryAllocation;
  void* data = nullptr;
  if (posix_memalign(&data, 256, bytes)) return cudaErrorMemoryAllocation;
  std::memset(data, 0xff, bytes);  // NaN, -1
  kind.bytes = bytes;
  kind.device = currentDevice();
  kind.ownedHere = true;
  kind.serial = ++serials;
  allocations()[reinterpret_cast<uintptr_t>(data)] = kind;
  *out = data;
  return cudaSuccess;
}

cudaError_t release(void* data, cudaMemoryType type, bool onlyFromPool) {
  if (!data) return cudaSuccess;
  const auto found = allocations().find(reinterpret_cast<uintptr_t>(data));
  if (found == allocations().end() || found->second.type != type || !found->second.ownedHere ||
      (onlyFromPool && !found->second.fromPool))
    return cudaErrorInvalidValue;
  allocations().erase(found);
  std::free(data);
  return cudaSuccess;
}

// Copies of pageable memory are staged on a device: its owner may change it when the call is back.
cudaError_t copy(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  if (!insideAllocation(to, bytes) || !insideAllocation(from, bytes)) return cudaErrorInvalidValue;
  if (!isRegistered(from)) {
    const std::string staged(static_cast<const char*>(from), bytes);
    return enqueue(stream, [to, staged] {
      std::memcpy(to, staged.data(), staged.size());
      return cudaSuccess;
    });
  }
  const cudaError_t error = enqueue(stream, [to, from, bytes] {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  });
  return error != cudaSuccess || isRegistered(to) ? error : drainStream(stream);
}

cudaError_t set(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (!insideAllocation(data, bytes)) return cudaErrorInvalidValue;
  return enqueue(stream, [data, value, bytes] {
    std::memset(data, value, bytes);
    return cudaSuccess;
  });
}

// What a handle of another process carries: where the allocation begins, and which one it is.
struct IpcHandle {
  uintptr_t base;
  uint64_t serial;
};

CUresult addressRange(CUdeviceptr* base, size_t* bytes, CUdeviceptr data) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  const auto found = find(reinterpret_cast<void*>(data));
  if (found == allocations().end()) return CUDA_ERROR_NOT_FOUND;
  if (base) *base = found->first;
  if (bytes) *bytes = found->second.bytes;
  return CUDA_SUCCESS;
}

}  // namespace

void dropAllocations(int device) {
  auto& all = allocations();
  for (auto at = all.begin(); at != all.end();) {
    const bool drop = at->second.device == device && at->second.ownedHere;
    if (drop) std::free(reinterpret_cast<void*>(at->first));
    at = drop ? all.erase(at) : std::next(at);
  }
}

bool isRegistered(const void* data) { return find(data) != allocations().end(); }

bool insideAllocation(const void* data, size_t bytes) {
  const auto found = find(data);
  if (found == allocations().end()) return data || !bytes;
  const size_t offset = reinterpret_cast<uintptr_t>(data) - found->first;
  return bytes <= found->second.bytes - offset;
}

size_t allocatedBytes(int device) {
  size_t sum = 0;
  for (const auto& [base, one] : allocations()) {
    const bool onDevice = one.type == cudaMemoryTypeDevice;
    if (device < 0 ? !onDevice && one.ownedHere : onDevice && one.device == device)
      sum += one.bytes;
  }
  return sum;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaMalloc(void** data, size_t bytes) {
  return call("cudaMalloc", [&] {
    return allocate(data, bytes, {0, cudaMemoryTypeDevice, 0, false, true, 0, 0});
  });
}

cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t) {
  return call("cudaMallocAsync", [&] {
    return allocate(data, bytes, {0, cudaMemoryTypeDevice, 0, true, true, 0, 0});
  });
}

cudaError_t cudaMallocHost(void** data, size_t bytes) {
  return call("cudaMallocHost", [&] {
    return allocate(data, bytes, {0, cudaMemoryTypeHost, 0, false, true, 0, 0});
  });
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  return call("cudaHostAlloc", [&] {
    return allocate(data, bytes, {0, cudaMemoryTypeHost, 0, false, true, 0, 0});
  });
}

cudaError_t cudaFree(void* data) {
  return call("cudaFree", [&] {
    const cudaError_t error = drainDevice();
    return error != cudaSuccess ? error : release(data, cudaMemoryTypeDevice, false);
  });
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  return call("cudaFreeAsync", [&] {
    const auto found = find(data);
    if (data && (found == allocations().end() || !found->second.fromPool))
      return cudaErrorInvalidValue;
    return enqueue(stream, [data] { return release(data, cudaMemoryTypeDevice, true); });
  });
}

cudaError_t cudaFreeHost(void* data) {
  return call("cudaFreeHost", [&] {
    const cudaError_t error = drainDevice();
    return error != cudaSuccess ? error : release(data, cudaMemoryTypeHost, false);
  });
}

cudaError_t cudaHostRegister(void* data, size_t bytes, unsigned) {
  return call("cudaHostRegister", [&] {
    if (!data || !bytes || isRegistered(data)) return cudaErrorInvalidValue;
    allocations()[reinterpret_cast<uintptr_t>(data)] = {
        bytes, cudaMemoryTypeHost, currentDevice(), false, false, 0, ++serials};
    return cudaSuccess;
  });
}

cudaError_t cudaHostUnregister(void* data) {
  return call("cudaHostUnregister", [&] {
    const auto found = allocations().find(reinterpret_cast<uintptr_t>(data));
    if (found == allocations().end() || found->second.ownedHere) return cudaErrorInvalidValue;
    allocations().erase(found);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", [&] { return copy(to, from, bytes, stream); });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  return call("cudaMemcpy", [&] {
    const cudaError_t error = copy(to, from, bytes, nullptr);
    return error != cudaSuccess ? error : drainStream(nullptr);
  });
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", [&] { return set(data, value, bytes, stream); });
}

cudaError_t cudaMemset(void* data, int value, size_t bytes) {
  return call("cudaMemset", [&] { return set(data, value, bytes, nullptr); });
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return call("cudaMemGetInfo", [&] {
    *total = options().memoryBytes;
    *available = *total - allocatedBytes(currentDevice());
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* data) {
  return call("cudaPointerGetAttributes", [&] {
    *out = {};
    const auto found = find(data);
    out->type = found == allocations().end() ? cudaMemoryTypeUnregistered : found->second.type;
    out->device = found == allocations().end() ? -2 : found->second.device;  // cudaInvalidDeviceId
    if (out->type != cudaMemoryTypeUnregistered) out->devicePointer = const_cast<void*>(data);
    if (out->type != cudaMemoryTypeDevice) out->hostPointer = const_cast<void*>(data);
    return cudaSuccess;
  });
}

cudaError_t cudaHostGetDevicePointer(void** out, void* data, unsigned) {
  return call("cudaHostGetDevicePointer", [&] {
    if (!isRegistered(data)) return cudaErrorInvalidValue;
    *out = data;
    return cudaSuccess;
  });
}

// ---- pools: nothing is kept, so their attributes change nothing ----------------------------------

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return call("cudaDeviceGetDefaultMemPool", [&] {
    if (device < 0 || device >= options().devices) return cudaErrorInvalidDevice;
    *pool = reinterpret_cast<cudaMemPool_t>(static_cast<intptr_t>(device) + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void*) {
  return call("cudaMemPoolSetAttribute",
              [&] { return pool ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
  return call("cudaMemPoolTrimTo", [&] { return pool ? cudaSuccess : cudaErrorInvalidValue; });
}

// ---- sharing between processes: here only inside one ---------------------------------------------

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* out, void* data) {
  return call("cudaIpcGetMemHandle", [&] {
    const auto found = find(data);
    if (found == allocations().end() || found->second.type != cudaMemoryTypeDevice ||
        found->second.fromPool)
      return cudaErrorInvalidValue;
    const IpcHandle handle{found->first, found->second.serial};
    std::memset(out, 0, sizeof *out);
    std::memcpy(out, &handle, sizeof handle);
    return cudaSuccess;
  });
}

cudaError_t cudaIpcOpenMemHandle(void** data, cudaIpcMemHandle_t bytes, unsigned) {
  return call("cudaIpcOpenMemHandle", [&] {
    IpcHandle handle;
    std::memcpy(&handle, &bytes, sizeof handle);
    const auto found = allocations().find(handle.base);
    if (found == allocations().end() || found->second.serial != handle.serial)
      return cudaErrorInvalidValue;
    found->second.opened++;
    *data = reinterpret_cast<void*>(handle.base);
    return cudaSuccess;
  });
}

cudaError_t cudaIpcCloseMemHandle(void* data) {
  return call("cudaIpcCloseMemHandle", [&] {
    const auto found = allocations().find(reinterpret_cast<uintptr_t>(data));
    if (found == allocations().end() || !found->second.opened) return cudaErrorInvalidValue;
    found->second.opened--;
    return cudaSuccess;
  });
}

// ---- the driver, without a link to it ------------------------------------------------------------

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  return call("cudaGetDriverEntryPointByVersion", [&] {
    const bool known = !std::strcmp(name, "cuMemGetAddressRange");
    *function = known ? reinterpret_cast<void*>(addressRange) : nullptr;
    if (found) *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return known ? cudaSuccess : cudaErrorSymbolNotFound;
  });
}

}  // extern "C"
