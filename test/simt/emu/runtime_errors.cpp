// Errors of the runtime API: which calls fail on demand, and which errors stay.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "runtime.h"

namespace simt {
namespace {

struct Injection {
  std::string function;
  int skip;  // calls that still pass
  cudaError_t error;
  int times;
};

thread_local cudaError_t lastCallError = cudaSuccess;
std::map<int, cudaError_t> lostContexts;

// PAPO_SIMT_FAIL=cudaMalloc:3:2[:TIMES],...: the third call of cudaMalloc gives error 2.
std::vector<Injection> injectionsOfEnvironment() {
  std::vector<Injection> out;
  const char* text = std::getenv("PAPO_SIMT_FAIL");
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string one = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    char function[64];
    int nth = 1, error = 0, times = 1;
    if (std::sscanf(one.c_str(), "%63[^:]:%d:%d:%d", function, &nth, &error, &times) < 3) {
      std::fprintf(stderr, "PAPO_SIMT_FAIL=%s: expected FUNCTION:NTH:ERROR[:TIMES]\n", text);
      std::exit(2);
    }
    out.push_back({function, nth - 1, static_cast<cudaError_t>(error), times});
  }
  return out;
}

std::vector<Injection>& injections() {
  static std::vector<Injection> instance = injectionsOfEnvironment();
  return instance;
}

bool endsContext(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalAddress:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
const ErrorText errorTexts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorSymbolNotFound, "cudaErrorSymbolNotFound", "named symbol not found"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"}};

const ErrorText& errorText(cudaError_t error) {
  static const ErrorText other{cudaErrorUnknown, "unrecognized error code",
                               "unrecognized error code"};
  for (const ErrorText& known : errorTexts)
    if (known.error == error) return known;
  return other;
}

}  // namespace

std::recursive_mutex& runtimeLock() {
  static std::recursive_mutex lock;
  return lock;
}

cudaError_t injectedFailure(const char* function) {
  for (Injection& one : injections()) {
    if (one.function != function || one.times == 0) continue;
    if (one.skip-- > 0) continue;
    if (one.times > 0) --one.times;
    return one.error;
  }
  return cudaSuccess;
}

cudaError_t driverError() {
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  if (options().driverVersion < runtime / 1000 * 1000) return cudaErrorInsufficientDriver;
  return options().devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t lostContext(int device) {
  const auto found = lostContexts.find(device);
  return found == lostContexts.end() ? cudaSuccess : found->second;
}

cudaError_t admit(const char* function) {
  cudaError_t error = driverError();
  if (error == cudaSuccess) error = lostContext(currentDevice());
  return error == cudaSuccess ? injectedFailure(function) : error;
}

cudaError_t note(cudaError_t error) {
  if (error == cudaSuccess || error == cudaErrorNotReady) return error;
  lastCallError = error;
  if (endsContext(error)) lostContexts.emplace(currentDevice(), error);
  return error;
}

void failCall(const char* function, int nth, cudaError_t error, int times) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  injections().push_back({function, nth - 1, error, times});
}

void resetDevices() {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  injections().clear();
  for (const auto& [device, error] : lostContexts) dropAllocations(device);
  lostContexts.clear();
  lastCallError = cudaSuccess;
}

}  // namespace simt

extern "C" {

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard<std::recursive_mutex> lock(simt::runtimeLock());
  const cudaError_t lost = simt::lostContext(simt::currentDevice());
  return lost != cudaSuccess ? lost : simt::lastCallError;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  simt::lastCallError = cudaSuccess;
  return error;
}

// Of a launch that the emulator stopped: what it found.
const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorLaunchFailure && simt::lastError()[0]) return simt::lastError();
  return simt::errorText(error).text;
}

const char* cudaGetErrorName(cudaError_t error) { return simt::errorText(error).name; }

}  // extern "C"
