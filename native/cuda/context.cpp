#include "cuda/context.h"

#include <memory>
#include <new>

#include "cuda/findings.h"
#include "cuda/memory_pool.h"
#include "cuda/operations.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

constexpr const char* kOpen = "papo_engine_open";
constexpr const char* kSynchronize = "papo_engine_synchronize";

// Older devices lack bfloat16 arithmetic and asynchronous copies into shared memory.
constexpr int kOldestMajor = 8;

// A version as CUDA counts it: 1000 * major + 10 * minor.
int majorOf(int version) { return version / 1000; }
int minorOf(int version) { return version % 1000 / 10; }

papo_status unavailable(cudaError_t error) {
  if (isLost(error)) return deviceFailure(kOpen, error);
  cudaGetLastError();
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  constexpr const char* kRemedy = "papo-kernels doctor says what is missing";
  if (driver == 0)
    return fail(PAPO_UNAVAILABLE, "device: expected an NVIDIA driver, got none (%s); %s",
                cudaGetErrorName(error), kRemedy);
  return fail(PAPO_UNAVAILABLE,
              "device: expected a usable CUDA device, got %s (%s); the driver supports CUDA %d.%d, "
              "this build has the runtime %d.%d; %s",
              cudaGetErrorString(error), cudaGetErrorName(error), majorOf(driver), minorOf(driver),
              majorOf(runtime), minorOf(runtime), kRemedy);
}

papo_status requireCapability(int device) {
  int major = 0, minor = 0;
  PAPO_CUDA_TRY(kOpen, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  PAPO_CUDA_TRY(kOpen, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  if (major >= kOldestMajor) return PAPO_OK;
  return fail(PAPO_UNAVAILABLE, "device: expected compute capability %d.0 or newer, got %d.%d",
              kOldestMajor, major, minor);
}

papo_status requireDevice(int device) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count < 1)
    return unavailable(error == cudaSuccess ? cudaErrorNoDevice : error);
  if (device >= count)
    return fail(PAPO_UNAVAILABLE, "device: expected an index of 0 to %d, got 'cuda:%d'", count - 1,
                device);
  // First, because the device that is current may be lost. Another process may have it for itself.
  const cudaError_t busy = cudaSetDevice(device);
  return busy == cudaSuccess ? requireCapability(device) : unavailable(busy);
}

// Handles that stand for the default streams of whichever device is current.
bool isDefaultStream(cudaStream_t stream) {
  return stream == cudaStreamLegacy || stream == cudaStreamPerThread;
}

}  // namespace

papo_status Context::open(int device, cudaStream_t stream, Context** out) {
  PAPO_TRY(requireDevice(device));
  std::unique_ptr<Context> context(new (std::nothrow) Context(device));
  if (!context) return fail(PAPO_OUT_OF_MEMORY, "engine: out of memory");
  PAPO_TRY(context->readProperties());
  PAPO_TRY(context->acquire(stream));
  *out = context.release();
  return PAPO_OK;
}

papo_status Context::readProperties() {
  int shared = 0, sharedOfAll = 0, l2 = 0;
  const struct {
    cudaDeviceAttr attribute;
    int* value;
  } all[] = {{cudaDevAttrComputeCapabilityMajor, &properties_.major},
             {cudaDevAttrComputeCapabilityMinor, &properties_.minor},
             {cudaDevAttrMultiProcessorCount, &properties_.multiprocessors},
             {cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared},
             {cudaDevAttrMaxSharedMemoryPerMultiprocessor, &sharedOfAll},
             {cudaDevAttrL2CacheSize, &l2}};
  for (const auto& one : all)
    PAPO_CUDA_TRY(kOpen, cudaDeviceGetAttribute(one.value, one.attribute, device_));
  properties_.sharedPerBlock = shared;
  properties_.sharedPerMultiprocessor = sharedOfAll;
  properties_.l2Bytes = l2;
  return PAPO_OK;
}

papo_status Context::acquire(cudaStream_t stream) {
  PAPO_TRY(acquirePool(device_, &pool_));
  usesPool_ = true;
  PAPO_TRY(adopt(stream));
  PAPO_CUDA_TRY(kOpen, cudaMalloc(reinterpret_cast<void**>(&error_), sizeof *error_));
  PAPO_CUDA_TRY(kOpen, cudaHostAlloc(reinterpret_cast<void**>(&errorOnHost_), sizeof *errorOnHost_,
                                     cudaHostAllocPortable));
  PAPO_CUDA_TRY(kOpen, cudaMemsetAsync(error_, 0, sizeof *error_, stream_));
  PAPO_CUDA_TRY(kOpen, cudaStreamSynchronize(stream_));
  return PAPO_OK;
}

papo_status Context::adopt(cudaStream_t stream) {
  if (!stream) {
    // Non-blocking: it does not wait for the default stream, which anyone may use.
    PAPO_CUDA_TRY(kOpen, cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    ownsStream_ = true;
    return PAPO_OK;
  }
  if (!isDefaultStream(stream)) {
    int device = 0;
    PAPO_CUDA_TRY(kOpen, cudaStreamGetDevice(stream, &device));
    if (device != device_)
      return fail(PAPO_INVALID_ARGUMENT, "stream: expected one of cuda:%d, got one of cuda:%d",
                  device_, device);
  }
  stream_ = stream;
  return PAPO_OK;
}

// What fails here fails because the device is lost or the driver has ended, and nothing is left to do.
Context::~Context() {
  cudaSetDevice(device_);
  // Kernels in the stream look at error_.
  if (stream_) cudaStreamSynchronize(stream_);
  if (ownsStream_) cudaStreamDestroy(stream_);
  if (error_) cudaFree(error_);
  if (errorOnHost_) cudaFreeHost(errorOnHost_);
  if (usesPool_) releasePool(device_);
  cudaGetLastError();
}

papo_status Context::makeCurrent() const {
  PAPO_CUDA_TRY("cudaSetDevice", cudaSetDevice(device_));
  return PAPO_OK;
}

papo_status Context::synchronize() {
  PAPO_TRY(makeCurrent());
  PAPO_CUDA_TRY(kSynchronize, cudaMemcpyAsync(errorOnHost_, error_, sizeof *error_,
                                              cudaMemcpyDeviceToHost, stream_));
  PAPO_CUDA_TRY(kSynchronize, cudaStreamSynchronize(stream_));
  if (errorOnHost_->key == 0) return PAPO_OK;
  PAPO_CUDA_TRY(kSynchronize, cudaMemsetAsync(error_, 0, sizeof *error_, stream_));
  return refuseFinding(*errorOnHost_);
}

papo_status openContext(int32_t index, void* stream, Context** context) {
  return Context::open(index, static_cast<cudaStream_t>(stream), context);
}
void closeContext(Context* context) { delete context; }
void* streamOf(const Context& context) { return context.stream(); }
papo_status synchronize(Context* context) { return context->synchronize(); }

}  // namespace papo::cuda
