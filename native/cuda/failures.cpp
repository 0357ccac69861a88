// Errors of CUDA as statuses of papo.h.
#include "cuda/context.h"
#include "engine/status.h"

namespace papo::cuda {
namespace {

papo_status outOfMemory(const char* what) {
  int device = 0;
  size_t freeBytes = 0, totalBytes = 0;
  cudaGetDevice(&device);
  cudaMemGetInfo(&freeBytes, &totalBytes);
  cudaGetLastError();
  return fail(PAPO_OUT_OF_MEMORY, "out of memory on cuda:%d in %s: %zu of %zu bytes are free",
              device, what, freeBytes, totalBytes);
}

}  // namespace

// Those after which, by the CUDA Runtime API Reference Manual, the process is in an inconsistent state,
// and hardware errors.
bool isLost(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorMpsClientTerminated:
    case cudaErrorContextIsDestroyed:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorExternalDevice:
      return true;
    default:
      return false;
  }
}

papo_status deviceFailure(const char* what, cudaError_t error) {
  cudaGetLastError();
  if (error == cudaErrorMemoryAllocation) return outOfMemory(what);
  if (!isLost(error))
    return fail(PAPO_DEVICE_ERROR, "CUDA failed in %s: %s (%s)", what, cudaGetErrorString(error),
                cudaGetErrorName(error));
  return fail(PAPO_DEVICE_ERROR,
              "CUDA failed in %s: %s (%s); the device is lost to this process: every CUDA engine "
              "on it fails until the process is started anew, and those of the CPU go on",
              what, cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace papo::cuda
