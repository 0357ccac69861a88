// What the NVIDIA driver of this machine says, without headers or libraries of CUDA: its functions
// are looked up in libcuda.so.1 when somebody asks. Declarations: CUDA Driver API Reference Manual.
#include <cstdio>
#include <cstring>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include "engine/status.h"

#if defined(PAPO_WITH_CUDA)
extern "C" int cudaRuntimeGetVersion(int* version);
#endif

namespace papo {
namespace {

using Result = int;  // CUresult
using Device = int;  // CUdevice

constexpr int kCapabilityMajor = 75;  // CUdevice_attribute
constexpr int kCapabilityMinor = 76;

#if defined(_WIN32)
void* openLibrary(papo_cuda_driver* out) {
  std::snprintf(out->message, sizeof out->message, "not looked for on this platform");
  return nullptr;
}
void* lookUp(void*, const char*) { return nullptr; }
#else
// Never closed: a driver that was initialised has threads of its own.
void* openLibrary(papo_cuda_driver* out) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library) return library;
  const char* reason = dlerror();
  std::snprintf(out->message, sizeof out->message, "%s", reason ? reason : "");
  return nullptr;
}
void* lookUp(void* library, const char* name) { return dlsym(library, name); }
#endif

// Calls functions of the driver by name until one is missing or fails, and says which.
class Driver {
 public:
  explicit Driver(papo_cuda_driver* out) : out_(out), library_(openLibrary(out)) {
    if (!library_) out_->state = PAPO_CUDA_DRIVER_ABSENT;
  }

  // Whether the function of this type and name was called and succeeded; not after a failure.
  template <class Function, class... Arguments>
  bool call(const char* name, Arguments... arguments) {
    if (!library_ || out_->state != PAPO_CUDA_DRIVER_READY) return false;
    const auto function = reinterpret_cast<Function*>(lookUp(library_, name));
    if (!function) return fails(PAPO_CUDA_DRIVER_INCOMPLETE, name);
    out_->result = function(arguments...);
    if (out_->result == 0) return true;
    nameResult();
    return fails(PAPO_CUDA_DRIVER_FAILED, name);
  }

 private:
  bool fails(papo_cuda_driver_state state, const char* name) {
    out_->state = state;
    std::snprintf(out_->function, sizeof out_->function, "%s", name);
    return false;
  }

  void nameResult() {
    using GetErrorName = Result(Result, const char**);
    const auto function = reinterpret_cast<GetErrorName*>(lookUp(library_, "cuGetErrorName"));
    const char* name = nullptr;
    if (!function || function(out_->result, &name) != 0 || !name) return;
    std::snprintf(out_->message, sizeof out_->message, "%s", name);
  }

  papo_cuda_driver* out_;
  void* library_;
};

using Init = Result(unsigned);
using GetNumber = Result(int*);
using GetDevice = Result(Device*, int);
using GetName = Result(char*, int, Device);
using GetAttribute = Result(int*, int, Device);
using TotalMemory = Result(size_t*, Device);

bool readDevice(Driver* driver, int index, papo_cuda_device* out) {
  constexpr int kNameBytes = sizeof out->name - 1;
  Device device = 0;
  int major = 0, minor = 0;
  size_t memory = 0;
  const bool read =
      driver->call<GetDevice>("cuDeviceGet", &device, index) &&
      driver->call<GetName>("cuDeviceGetName", out->name, kNameBytes, device) &&
      driver->call<GetAttribute>("cuDeviceGetAttribute", &major, kCapabilityMajor, device) &&
      driver->call<GetAttribute>("cuDeviceGetAttribute", &minor, kCapabilityMinor, device) &&
      driver->call<TotalMemory>("cuDeviceTotalMem_v2", &memory, device);
  out->major = major;
  out->minor = minor;
  out->memory = static_cast<int64_t>(memory);
  return read;
}

// The version first: it is known without cuInit, and explains why cuInit fails.
void readDriver(papo_cuda_driver* out) {
  Driver driver(out);
  int count = 0;
  if (!driver.call<GetNumber>("cuDriverGetVersion", &out->driverVersion)) return;
  if (!driver.call<Init>("cuInit", 0u)) return;
  if (!driver.call<GetNumber>("cuDeviceGetCount", &count)) return;
  out->deviceCount = count < 0 ? 0 : count;
  for (int i = 0; i < out->deviceCount && i < PAPO_CUDA_DEVICE_CAPACITY; ++i)
    if (!readDevice(&driver, i, &out->devices[i])) out->deviceCount = i;
}

int runtimeVersion() {
  int version = 0;
#if defined(PAPO_WITH_CUDA)
  if (cudaRuntimeGetVersion(&version) != 0) return 0;
#endif
  return version;
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_cuda_driver_info(papo_cuda_driver* driver) {
  if (!driver) return papo::fail(PAPO_INVALID_ARGUMENT, "driver: expected a struct, got null");
  if (driver->size != sizeof *driver)
    return papo::fail(PAPO_INVALID_ARGUMENT, "driver: expected size %zu, got %zu", sizeof *driver,
                      driver->size);
  std::memset(driver, 0, sizeof *driver);
  driver->size = sizeof *driver;
  driver->runtimeVersion = papo::runtimeVersion();
  papo::readDriver(driver);
  return PAPO_OK;
}
