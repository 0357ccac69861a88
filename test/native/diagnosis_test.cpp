// The diagnosis of papo.h, with the driver of test/native/fake_cuda.c, whose path CMake gives.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "check.h"
#include "papo.h"

namespace {

papo_cuda_driver read() {
  papo_cuda_driver driver;
  std::memset(&driver, 0x5a, sizeof driver);  // as if it had been used before
  driver.size = sizeof driver;
  CHECK(papo_cuda_driver_info(&driver) == PAPO_OK);
  return driver;
}

// A library that is loaded already is found by its name, wherever it lies.
bool loadFake() { return dlopen(PAPO_FAKE_CUDA, RTLD_NOW) != nullptr; }

void refusesWrongStructs() {
  papo_cuda_driver driver{};
  CHECK(papo_cuda_driver_info(nullptr) == PAPO_INVALID_ARGUMENT);
  driver.size = sizeof driver - 1;
  driver.state = 42;
  CHECK(papo_cuda_driver_info(&driver) == PAPO_INVALID_ARGUMENT);
  CHECK(driver.state == 42);
}

void readsDevices() {
  const papo_cuda_driver driver = read();
  CHECK(driver.state == PAPO_CUDA_DRIVER_READY);
  CHECK(driver.result == 0);
  CHECK(driver.driverVersion == 12040);
  CHECK(driver.deviceCount == 2);
  CHECK(std::string(driver.devices[0].name) == "Fake Accelerator");
  CHECK(driver.devices[0].major == 9 && driver.devices[0].minor == 1);
  CHECK(driver.devices[1].memory == int64_t{80} << 30);
  CHECK(std::strlen(driver.devices[1].name) == sizeof driver.devices[1].name - 1);
}

void survivesAnyCount() {
  setenv("FAKE_CUDA_DEVICES", "1000", 1);
  const papo_cuda_driver many = read();
  CHECK(many.deviceCount == 1000);
  CHECK(many.devices[PAPO_CUDA_DEVICE_CAPACITY - 1].major == 9);
  setenv("FAKE_CUDA_DEVICES", "-3", 1);
  CHECK(read().deviceCount == 0);
  unsetenv("FAKE_CUDA_DEVICES");
}

void namesWhatFailed() {
  for (const char* function : {"cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet",
                               "cuDeviceGetName", "cuDeviceGetAttribute", "cuDeviceTotalMem_v2"}) {
    std::snprintf(papo_test::checkContext, sizeof papo_test::checkContext, "%s", function);
    setenv("FAKE_CUDA_FAIL", function, 1);
    const papo_cuda_driver driver = read();
    CHECK(driver.state == PAPO_CUDA_DRIVER_FAILED);
    CHECK(std::string(driver.function) == function);
    CHECK(driver.result == 999 && driver.message[0] == 0);
    CHECK(driver.deviceCount == 0);
  }
  setenv("FAKE_CUDA_FAIL", "cuInit", 1);
  setenv("FAKE_CUDA_RESULT", "100", 1);
  const papo_cuda_driver driver = read();
  CHECK(std::string(driver.message) == "CUDA_ERROR_NO_DEVICE");
  CHECK(driver.driverVersion == 12040);
}

void listsInstructionSets() {
  papo_instruction_set_info info{};
  CHECK(papo_instruction_set_at(0, nullptr) == PAPO_INVALID_ARGUMENT);
  CHECK(papo_instruction_set_at(0, &info) == PAPO_INVALID_ARGUMENT);
  info.size = sizeof info;
  CHECK(papo_instruction_set_at(-1, &info) == PAPO_INVALID_VALUE);
  int usable = 0, count = 0;
  std::string last;
  for (; papo_instruction_set_at(count, &info) == PAPO_OK; ++count) {
    usable += info.usable;
    last = info.name;
    CHECK(info.features && (info.usable || info.features[0]));
  }
  CHECK(usable == papo_instruction_sets(nullptr, 0));
  CHECK(count >= usable && last == "reference");
}

}  // namespace

int main() {
  refusesWrongStructs();
  listsInstructionSets();
  if (CHECK(loadFake())) {
    readsDevices();
    survivesAnyCount();
    namesWhatFailed();
  }
  return papo_test::finish();
}
