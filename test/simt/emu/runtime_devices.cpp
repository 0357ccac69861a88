// Devices, their properties, and what is known of a kernel.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "runtime.h"

namespace simt {
namespace {

constexpr size_t kSharedWithoutAsking = 48 << 10;
constexpr size_t kSharedReserved = 1 << 10;  // a block, by the driver
constexpr int kThreadsPerMultiprocessor = 2048;
constexpr int kBlocksPerMultiprocessor = 32;

thread_local int current = 0;
std::map<const void*, size_t> dynamicLimits;

bool isDevice(int device) { return device >= 0 && device < options().devices; }

// Resident blocks of a kernel whose registers set no limit.
int residentBlocks(int threads, size_t dynamicShared) {
  if (threads < 1 || threads > 1024) return 0;
  const Architecture arch = architecture();
  if (dynamicShared > arch.sharedPerBlock) return 0;
  const size_t byShared = arch.sharedPerMultiprocessor / (dynamicShared + kSharedReserved);
  size_t blocks = static_cast<size_t>(kThreadsPerMultiprocessor / ((threads + 31) / 32 * 32));
  if (byShared < blocks) blocks = byShared;
  return static_cast<int>(blocks < kBlocksPerMultiprocessor ? blocks : kBlocksPerMultiprocessor);
}

int attribute(cudaDeviceAttr name, int device) {
  const Architecture arch = architecture();
  switch (name) {
    case cudaDevAttrComputeCapabilityMajor:
      return options().arch / 100;
    case cudaDevAttrComputeCapabilityMinor:
      return options().arch / 10 % 10;
    case cudaDevAttrMultiProcessorCount:
      return arch.multiprocessors;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return static_cast<int>(kSharedWithoutAsking);
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return static_cast<int>(arch.sharedPerBlock);
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return static_cast<int>(arch.sharedPerMultiprocessor);
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return static_cast<int>(kSharedReserved);
    case cudaDevAttrL2CacheSize:
      return static_cast<int>(arch.l2Bytes);
    case cudaDevAttrMaxThreadsPerBlock:
      return 1024;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return kThreadsPerMultiprocessor;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return kBlocksPerMultiprocessor;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return 65536;
    case cudaDevAttrMaxGridDimX:
      return 0x7fffffff;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      return 65535;
    case cudaDevAttrWarpSize:
      return 32;
    case cudaDevAttrClusterLaunch:
      return arch.clusters;
    case cudaDevAttrMemoryPoolsSupported:
      return options().memoryPools;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrIpcEventSupport:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrConcurrentKernels:
      return 1;
    case cudaDevAttrPciBusId:
      return device + 1;
    default:
      return 0;
  }
}

void describe(cudaDeviceProp* out, int device) {
  const Architecture arch = architecture();
  std::memset(out, 0, sizeof *out);
  std::snprintf(out->name, sizeof out->name, "%s", arch.name);
  out->major = options().arch / 100;
  out->minor = options().arch / 10 % 10;
  out->totalGlobalMem = options().memoryBytes;
  out->multiProcessorCount = arch.multiprocessors;
  out->sharedMemPerBlock = kSharedWithoutAsking;
  out->sharedMemPerBlockOptin = arch.sharedPerBlock;
  out->sharedMemPerMultiprocessor = arch.sharedPerMultiprocessor;
  out->reservedSharedMemPerBlock = kSharedReserved;
  out->l2CacheSize = static_cast<int>(arch.l2Bytes);
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->maxThreadsPerMultiProcessor = kThreadsPerMultiprocessor;
  out->maxBlocksPerMultiProcessor = kBlocksPerMultiprocessor;
  out->regsPerBlock = out->regsPerMultiprocessor = 65536;
  out->maxGridSize[0] = 0x7fffffff;
  out->maxGridSize[1] = out->maxGridSize[2] = 65535;
  out->unifiedAddressing = out->concurrentKernels = 1;
  out->memoryPoolsSupported = options().memoryPools;
  out->clusterLaunch = arch.clusters;
  out->pciBusID = device + 1;
}

}  // namespace

int currentDevice() { return current; }

Architecture architecture() {
  Architecture out =
      options().arch >= 1000
          ? Architecture{"Emulated B200", 148, 227 << 10, 228 << 10, size_t{126} << 20, true}
      : options().arch >= 900
          ? Architecture{"Emulated H100", 132, 227 << 10, 228 << 10, size_t{50} << 20, true}
          : Architecture{"Emulated A100", 108, 163 << 10, 164 << 10, size_t{40} << 20, false};
  if (options().multiprocessors) out.multiprocessors = options().multiprocessors;
  return out;
}

size_t dynamicSharedLimit(const void* kernel) {
  const auto found = dynamicLimits.find(kernel);
  return found == dynamicLimits.end() ? kSharedWithoutAsking : found->second;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  *count = 0;
  cudaError_t error = driverError();
  if (error == cudaSuccess) error = injectedFailure("cudaGetDeviceCount");
  if (error == cudaSuccess) *count = options().devices;
  return note(error);
}

cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return note(driverError());
}

cudaError_t cudaSetDevice(int device) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  cudaError_t error = driverError();
  if (error == cudaSuccess && !isDevice(device)) error = cudaErrorInvalidDevice;
  if (error != cudaSuccess) return note(error);
  current = device;
  return note(admit("cudaSetDevice"));
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return call("cudaInitDevice",
              [&] { return isDevice(device) ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device) {
  return call("cudaGetDeviceProperties", [&] {
    if (!isDevice(device)) return cudaErrorInvalidDevice;
    describe(out, device);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr name, int device) {
  return call("cudaDeviceGetAttribute", [&] {
    if (!isDevice(device)) return cudaErrorInvalidDevice;
    *value = attribute(name, device);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* out, int bytes, int device) {
  return call("cudaDeviceGetPCIBusId", [&] {
    if (!isDevice(device)) return cudaErrorInvalidDevice;
    std::snprintf(out, static_cast<size_t>(bytes), "0000:%02x:00.0", device + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return call("cudaDeviceCanAccessPeer", [&] {
    if (!isDevice(device) || !isDevice(peer)) return cudaErrorInvalidDevice;
    *can = device != peer;
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = options().driverVersion;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute name, int value) {
  return call("cudaFuncSetAttribute", [&] {
    if (name != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || static_cast<size_t>(value) > architecture().sharedPerBlock)
      return cudaErrorInvalidValue;
    dynamicLimits[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* kernel) {
  return call("cudaFuncGetAttributes", [&] {
    std::memset(out, 0, sizeof *out);
    out->maxThreadsPerBlock = 1024;
    out->numRegs = 32;
    out->binaryVersion = out->ptxVersion = options().arch / 10;
    out->maxDynamicSharedSizeBytes = static_cast<int>(dynamicSharedLimit(kernel));
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t dynamicShared) {
  return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    *blocks = residentBlocks(threads, dynamicShared);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void*,
                                           const cudaLaunchConfig_t* config) {
  return call("cudaOccupancyMaxActiveClusters", [&] {
    if (!architecture().clusters) return cudaErrorNotSupported;
    unsigned size = 1;
    for (unsigned i = 0; i < config->numAttrs; i++)
      if (config->attrs[i].id == cudaLaunchAttributeClusterDimension)
        size = config->attrs[i].val.clusterDim.x;
    // A cluster lives inside a processing cluster of 16 multiprocessors; a test may ask for fewer.
    const int together = std::min(16, architecture().multiprocessors);
    const int resident =
        residentBlocks(static_cast<int>(config->blockDim.x), config->dynamicSmemBytes);
    const int inOne = std::max(1, together * resident / static_cast<int>(size));
    *clusters = resident ? architecture().multiprocessors / together * inOne : 0;
    return cudaSuccess;
  });
}

}  // extern "C"
