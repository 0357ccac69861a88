// The emulated runtime API: memory it knows, errors that stay or pass, streams that are lazy.
#include "runtime_test.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>

#include "../native/check.h"
#include "emu/options.h"

namespace {

// Options as they are without an environment, and devices as new; afterwards as they were before.
struct Machine {
  simt::Options before = simt::options();
  Machine() {
    simt::options() = simt::Options();
    simt::resetDevices();
    cudaSetDevice(0);
  }
  ~Machine() {
    simt::options() = before;
    simt::resetDevices();
    cudaSetDevice(0);
  }
};

int* allocate(size_t count) {
  void* data = nullptr;
  CHECK(cudaMalloc(&data, count * sizeof(int)) == cudaSuccess);
  return static_cast<int*>(data);
}

void memoryIsKnown() {
  const Machine machine;
  const size_t before = simt::allocatedBytes(0);
  int* data = allocate(8);
  CHECK(data[0] == -1 && data[7] == -1);
  CHECK(simt::allocatedBytes(0) == before + 32);
  cudaPointerAttributes attributes;
  CHECK(cudaPointerGetAttributes(&attributes, data + 7) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 0);
  CHECK(cudaPointerGetAttributes(&attributes, data + 8) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  int host[9] = {};
  CHECK(cudaMemcpy(data, host, 36, cudaMemcpyDefault) == cudaErrorInvalidValue);
  CHECK(cudaMemset(data + 7, 0, 5) == cudaErrorInvalidValue);
  CHECK(cudaMemset(data + 7, 0, 4) == cudaSuccess && data[7] == 0 && data[6] == -1);
  CHECK(cudaFree(data + 1) == cudaErrorInvalidValue);
  CHECK(cudaFreeHost(data) == cudaErrorInvalidValue);
  CHECK(cudaFree(data) == cudaSuccess);
  CHECK(cudaFree(data) == cudaErrorInvalidValue);
  CHECK(simt::allocatedBytes(0) == before);
}

void devicesAreApart() {
  const Machine machine;
  int count = 0;
  CHECK(cudaGetDeviceCount(&count) == cudaSuccess && count == 2);
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  CHECK(cudaSetDevice(1) == cudaSuccess);
  int* data = allocate(1);
  cudaPointerAttributes attributes;
  CHECK(cudaPointerGetAttributes(&attributes, data) == cudaSuccess && attributes.device == 1);
  CHECK(cudaSetDevice(0) == cudaSuccess && cudaFree(data) == cudaSuccess);
  int shared = 0, major = 0;
  for (const int arch : {800, 900}) {
    simt::options().arch = arch;
    CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess);
    CHECK(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) ==
          cudaSuccess);
    CHECK(major == arch / 100 && shared == (arch == 800 ? 163 << 10 : 227 << 10));
  }
}

void memoryEnds() {
  const Machine machine;
  simt::options().memoryBytes = simt::allocatedBytes(0) + 100;
  void* data = nullptr;
  CHECK(cudaMalloc(&data, 101) == cudaErrorMemoryAllocation && !data);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
  CHECK(cudaMalloc(&data, 100) == cudaSuccess);
  size_t available = 1, total = 0;
  CHECK(cudaMemGetInfo(&available, &total) == cudaSuccess && available == 0);
  CHECK(cudaFree(data) == cudaSuccess);
}

void callsFailOnDemand() {
  const Machine machine;
  simt::failCall("cudaMalloc", 2, cudaErrorMemoryAllocation);
  int* first = allocate(1);
  void* second = nullptr;
  CHECK(cudaMalloc(&second, 4) == cudaErrorMemoryAllocation);
  int* third = allocate(1);
  CHECK(cudaFree(first) == cudaSuccess && cudaFree(third) == cudaSuccess);
}

void noDriverNoDevice() {
  const Machine machine;
  int count = 7;
  simt::options().driverVersion = 0;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0);
  simt::options().driverVersion = 12080;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
  simt::options().driverVersion = 13000;
  simt::options().devices = 0;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
  CHECK(cudaSetDevice(0) == cudaErrorNoDevice);
}

// After a kernel that failed nothing works on its device, and everything on the other one.
void failedKernelsStay() {
  const Machine machine;
  int* data = allocate(1);
  CHECK(runtime_test::trap(nullptr) == cudaErrorLaunchFailure);
  CHECK(std::strstr(simt::lastError(), "__trap") != nullptr);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaFree(data) == cudaErrorLaunchFailure);
  cudaSetDevice(1);
  int* other = allocate(1);
  CHECK(runtime_test::addOne(other, nullptr) == cudaSuccess && other[0] == 0);
  CHECK(cudaFree(other) == cudaSuccess);
  simt::resetDevices();  // the memory goes with the device's context
  cudaSetDevice(0);
  CHECK(cudaFree(data) == cudaErrorInvalidValue);
  CHECK(cudaFree(allocate(1)) == cudaSuccess);
}

// A refused launch passes: the next one works.
void refusedLaunchesPass() {
  const Machine machine;
  int* data = allocate(1);
  simt::failCall("launch", 1, cudaErrorLaunchOutOfResources);
  CHECK(runtime_test::addOne(data, nullptr) == cudaErrorLaunchOutOfResources && data[0] == -1);
  CHECK(cudaGetLastError() == cudaErrorLaunchOutOfResources);
  CHECK(runtime_test::addOne(data, nullptr) == cudaSuccess && data[0] == 0);
  CHECK(cudaFree(data) == cudaSuccess);
}

void lazyStreamsWait() {
  const Machine machine;
  simt::options().lazyStreams = true;
  cudaStream_t first, second;
  CHECK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking) == cudaSuccess);
  int* data = allocate(1);
  CHECK(runtime_test::addOne(data, first) == cudaSuccess && data[0] == -1);
  CHECK(cudaStreamSynchronize(second) == cudaSuccess && data[0] == -1);
  cudaEvent_t event;
  CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  CHECK(cudaEventRecord(event, first) == cudaSuccess);
  CHECK(runtime_test::addOne(data, first) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(second, event, 0) == cudaSuccess && data[0] == -1);
  CHECK(cudaStreamSynchronize(second) == cudaSuccess && data[0] == 0);
  CHECK(cudaStreamQuery(first) == cudaSuccess && data[0] == 1);
  float elapsed = 0;
  CHECK(cudaEventElapsedTime(&elapsed, event, event) == cudaErrorInvalidResourceHandle);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaStreamDestroy(first) == cudaSuccess && cudaStreamDestroy(second) == cudaSuccess);
  CHECK(cudaStreamDestroy(second) == cudaErrorInvalidResourceHandle);
  CHECK(cudaFree(data) == cudaSuccess);
}

// Pageable memory is read when the copy is called, pinned memory when it is done.
void copiesReadTheirSource() {
  const Machine machine;
  simt::options().lazyStreams = true;
  cudaStream_t stream;
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  int* data = allocate(2);
  int pageable = 5;
  void* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 4) == cudaSuccess);
  std::memcpy(pinned, &pageable, 4);
  CHECK(cudaMemcpyAsync(data, &pageable, 4, cudaMemcpyDefault, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(data + 1, pinned, 4, cudaMemcpyDefault, stream) == cudaSuccess);
  pageable = 6;
  std::memcpy(pinned, &pageable, 4);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess && data[0] == 5 && data[1] == 6);
  CHECK(cudaFreeHost(pinned) == cudaSuccess && cudaFree(data) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

void memoryIsShared() {
  const Machine machine;
  int* data = allocate(4);
  void *pooled = nullptr, *opened = nullptr, *function = nullptr;
  CHECK(cudaMallocAsync(&pooled, 4, nullptr) == cudaSuccess);
  cudaIpcMemHandle_t handle;
  CHECK(cudaIpcGetMemHandle(&handle, pooled) == cudaErrorInvalidValue);
  CHECK(cudaIpcGetMemHandle(&handle, data + 1) == cudaSuccess);
  CHECK(cudaIpcOpenMemHandle(&opened, handle, cudaIpcMemLazyEnablePeerAccess) == cudaSuccess);
  CHECK(opened == data);
  CHECK(cudaIpcCloseMemHandle(opened) == cudaSuccess);
  CHECK(cudaIpcCloseMemHandle(opened) == cudaErrorInvalidValue);
  CHECK(cudaGetDriverEntryPointByVersion("cuMemGetAddressRange", &function, 12000, 0, nullptr) ==
        cudaSuccess);
  using AddressRange = CUresult(CUdeviceptr*, size_t*, CUdeviceptr);
  CUdeviceptr base = 0;
  size_t bytes = 0;
  const auto address = reinterpret_cast<CUdeviceptr>(data);
  CHECK(reinterpret_cast<AddressRange*>(function)(&base, &bytes, address + 9) == CUDA_SUCCESS);
  CHECK(base == address && bytes == 16);
  CHECK(cudaFreeAsync(data, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaFreeAsync(pooled, nullptr) == cudaSuccess && cudaFree(data) == cudaSuccess);
  CHECK(cudaIpcOpenMemHandle(&opened, handle, 0) == cudaErrorInvalidValue);
}

}  // namespace

int main() {
  memoryIsKnown();
  devicesAreApart();
  memoryEnds();
  callsFailOnDemand();
  noDriverNoDevice();
  failedKernelsStay();
  refusedLaunchesPass();
  lazyStreamsWait();
  copiesReadTheirSource();
  memoryIsShared();
  return papo_test::finish();
}
