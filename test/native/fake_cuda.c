/* A libcuda.so.1 for tests: as many devices as FAKE_CUDA_DEVICES says (2), the first of them real,
 * and a driver for CUDA FAKE_CUDA_VERSION (12040).
 * FAKE_CUDA_FAIL names a function that fails, with the CUresult FAKE_CUDA_RESULT (999), or ends
 * the process, where that is "abort".
 * Compiled with -DFAKE_CUDA_OLD it lacks cuDeviceTotalMem_v2 and cuGetErrorName. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number(const char* variable, int otherwise) {
  const char* text = getenv(variable);
  return text ? atoi(text) : otherwise;
}

static int result_of(const char* function) {
  const char* failing = getenv("FAKE_CUDA_FAIL");
  const char* result = getenv("FAKE_CUDA_RESULT");
  if (!failing || strcmp(failing, function) != 0) return 0;
  if (result && strcmp(result, "abort") == 0) abort();
  return number("FAKE_CUDA_RESULT", 999);
}

int cuDriverGetVersion(int* version) {
  *version = number("FAKE_CUDA_VERSION", 12040);
  return result_of("cuDriverGetVersion");
}

int cuInit(unsigned flags) { return flags == 0 ? result_of("cuInit") : 1; }

int cuDeviceGetCount(int* count) {
  *count = number("FAKE_CUDA_DEVICES", 2);
  return result_of("cuDeviceGetCount");
}

int cuDeviceGet(int* device, int index) {
  *device = 100 + index;
  return result_of("cuDeviceGet");
}

/* Like a driver, fills all of the given length; the second name is longer than any room. */
int cuDeviceGetName(char* name, int length, int device) {
  memset(name, device == 100 ? 0 : 'x', (size_t)length);
  if (device == 100) snprintf(name, (size_t)length, "Fake Accelerator");
  return result_of("cuDeviceGetName");
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (device < 100) return 101;
  *value = attribute == 75 ? 9 : attribute == 76 ? 1 : -1;
  return result_of("cuDeviceGetAttribute");
}

#ifndef FAKE_CUDA_OLD
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  if (device < 100) return 101;
  *bytes = (size_t)80 << 30;
  return result_of("cuDeviceTotalMem_v2");
}

int cuGetErrorName(int result, const char** name) {
  *name = result == 100 ? "CUDA_ERROR_NO_DEVICE" : NULL;
  return *name ? 0 : 1;
}
#endif
