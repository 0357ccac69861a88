// Engines of a CUDA device: opening, refusals, what the device found, and devices that fail.
#include <cmath>

#include "cuda/context.h"
#include "cuda/device_error.h"
#include "device_support.h"
#include "engine/engine.h"

using namespace papo_test;

namespace {

papo_status open(papo_engine_options options) {
  papo_engine* engine = nullptr;
  const papo_status status = openStatus(options, &engine);
  CHECK((status == PAPO_OK) == (engine != nullptr));
  papo_engine_close(engine);
  return status;
}
papo_status open(int index) {
  papo_engine_options options{};
  options.device = cudaDevice(index);
  return open(options);
}

void opensAndCloses() {
  const size_t before = simt::allocatedBytes(0), pinned = simt::allocatedBytes(-1);
  {
    OpenEngine engine(cudaDevice(0)), other(cudaDevice(1));
    CHECK(papo_engine_device(engine) == PAPO_CUDA);
    CHECK(papo_engine_device(other) == PAPO_CUDA + 16);
    CHECK(std::string(papo_engine_instruction_set(engine)) == "cuda");
    CHECK(papo_engine_threads(engine) == 0);
    CHECK(papo_engine_stream(engine) != nullptr);
    CHECK(papo_engine_stream(engine) != papo_engine_stream(other));
    CHECK(papo_engine_synchronize(engine) == PAPO_OK);
    CHECK(papo_engine_synchronize(other) == PAPO_OK);
  }
  CHECK(simt::allocatedBytes(0) == before && simt::allocatedBytes(-1) == pinned);
  papo_engine_options options{};
  options.device = cudaDevice(0);
  options.instructionSet = "cuda";
  CHECK(open(options) == PAPO_OK);
}

void takesTheCallersStream() {
  cudaStream_t stream = nullptr;
  CHECK(cudaSetDevice(1) == cudaSuccess && cudaStreamCreate(&stream) == cudaSuccess);
  {
    OpenEngine engine(cudaDevice(1), stream);
    CHECK(papo_engine_stream(engine) == stream);
    OpenEngine legacy(cudaDevice(0), cudaStreamLegacy);
    CHECK(papo_engine_stream(legacy) == cudaStreamLegacy);
    CHECK(papo_engine_synchronize(legacy) == PAPO_OK);
  }
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  papo_engine_options options{};
  options.device = cudaDevice(0);
  options.stream = stream;
  CHECK_REFUSED(open(options), PAPO_INVALID_ARGUMENT, "stream: expected one of cuda:0");
  CHECK(cudaSetDevice(1) == cudaSuccess && cudaStreamDestroy(stream) == cudaSuccess);
  options.device = PAPO_CPU;
  CHECK_REFUSED(open(options), PAPO_INVALID_ARGUMENT, "stream: expected null");
}

void refusesOptions() {
  papo_engine_options options{};
  options.device = cudaDevice(0);
  options.threads = 4;
  CHECK_REFUSED(open(options), PAPO_INVALID_OPTION, "threads: expected 0");
  options.threads = 0;
  options.instructionSet = "portable";
  CHECK_REFUSED(open(options), PAPO_UNAVAILABLE, "instructionSet: expected \"cuda\"");
  options.instructionSet = nullptr;
  for (const int32_t device : {2, 16, -1, -15}) {
    options.device = device;
    CHECK_REFUSED(open(options), PAPO_INVALID_OPTION, "device: expected");
  }
  CHECK_REFUSED(open(2), PAPO_UNAVAILABLE, "expected an index of 0 to 1, got 'cuda:2'");
}

void refusesMachines() {
  const Machine machine;
  simt::options().arch = 750;
  CHECK_REFUSED(open(0), PAPO_UNAVAILABLE, "compute capability 8.0 or newer, got 7.5");
  simt::options().arch = 800;
  CHECK(open(0) == PAPO_OK);
  simt::options().driverVersion = 0;
  CHECK_REFUSED(open(0), PAPO_UNAVAILABLE, "expected an NVIDIA driver, got none");
  simt::options().driverVersion = 12040;
  CHECK_REFUSED(open(0), PAPO_UNAVAILABLE, "the driver supports CUDA 12.4, this build has");
  CHECK(std::strstr(papo_last_message(), "papo-kernels doctor"));
  simt::options().driverVersion = 13000;
  simt::options().devices = 0;
  CHECK_REFUSED(open(0), PAPO_UNAVAILABLE, "cudaErrorNoDevice");
  simt::options().devices = 1;
  CHECK_REFUSED(open(1), PAPO_UNAVAILABLE, "expected an index of 0 to 0");
  simt::failCall("cudaSetDevice", 1, cudaErrorDevicesUnavailable);
  CHECK_REFUSED(open(0), PAPO_UNAVAILABLE, "expected a usable CUDA device");
  CHECK(open(0) == PAPO_OK);
}

// Whatever fails while an engine opens, nothing of it stays.
void survivesFailuresOfOpening() {
  const Machine machine;
  const size_t before = simt::allocatedBytes(0), pinned = simt::allocatedBytes(-1);
  const char* functions[] = {
      "cudaDeviceGetAttribute",    "cudaMemPoolCreate",    "cudaMemPoolSetAttribute",
      "cudaStreamCreateWithFlags", "cudaMalloc",           "cudaHostAlloc",
      "cudaMemsetAsync",           "cudaStreamSynchronize"};
  for (const char* function : functions) {
    std::snprintf(checkContext, sizeof checkContext, "%s", function);
    int failures = 0;
    for (int nth = 1; nth < 20; ++nth, ++failures) {
      simt::resetDevices();
      simt::failCall(function, nth, cudaErrorNotSupported);
      const papo_status status = open(0);
      CHECK(simt::allocatedBytes(0) == before && simt::allocatedBytes(-1) == pinned);
      if (status == PAPO_OK) break;
      CHECK_REFUSED(status, PAPO_DEVICE_ERROR, "cudaErrorNotSupported");
    }
    CHECK(failures > 0);
    simt::resetDevices();
    simt::failCall(function, 1, cudaErrorMemoryAllocation);
    CHECK_REFUSED(open(0), PAPO_OUT_OF_MEMORY, "bytes are free");
  }
  simt::resetDevices();
  CHECK(open(0) == PAPO_OK);
  checkContext[0] = 0;
}

// --- what kernels found ---------------------------------------------------------------------------

using papo::cuda::DeviceError;
using papo::cuda::Finding;

unsigned long long keyOf(Finding finding, unsigned long long index) {
  return ~(static_cast<unsigned long long>(finding) << 40 | index);
}
long long bitsOf(double value) {
  long long bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void leaveFinding(papo_engine* engine, Finding finding, unsigned long long index, long long got,
                  long long limit) {
  DeviceError error{};
  error.key = keyOf(finding, index);
  error.got = got;
  error.limit = limit;
  CHECK(engine->cuda->makeCurrent() == PAPO_OK);
  CHECK(cudaMemcpy(engine->cuda->error(), &error, sizeof error, cudaMemcpyHostToDevice) ==
        cudaSuccess);
}

void saysWhatKernelsFound() {
  OpenEngine engine(cudaDevice(1));
  const struct {
    Finding finding;
    unsigned long long index;
    long long got, limit;
    const char* message;
  } all[] = {
      {Finding::responseMask, 3, 7, 0, "responseMask: expected 0 or 1, got 7 at index 3"},
      {Finding::sftMask, 0, 255, 0, "sftMask: expected 0 or 1, got 255 at index 0"},
      {Finding::tokens, 1ull << 33, -1, 50257,
       "tokens: expected ids in [0, 50257), got -1 at index 8589934592"},
      {Finding::rowIndex, 5, 12, 12, "rowIndex: expected rows in [0, 12), got 12 at index 5"},
      {Finding::patchMask, 2, 9, 0, "patchMask: expected 0 or 1, got 9 at index 2"},
      {Finding::rewards, 4, bitsOf(INFINITY), 0,
       "rewards: expected finite numbers, got inf at index 4"},
      {Finding::baselines, 1, bitsOf(-INFINITY), 0,
       "baselines: expected finite numbers, got -inf at index 1"},
      {Finding::groupIds, 0, -42, 0,
       "groupIds: expected at least 2 responses in a group, got 1 in group -42"},
      {Finding::saliency, 23, 0, 10, "saliency: expected numbers, got NaN in cell 3 of frame 2"},
  };
  for (const auto& one : all) {
    leaveFinding(engine, one.finding, one.index, one.got, one.limit);
    CHECK(papo_engine_synchronize(engine) == PAPO_INVALID_VALUE);
    std::snprintf(checkContext, sizeof checkContext, "%s", papo_last_message());
    CHECK(std::string(papo_last_message()) == one.message);
    CHECK(papo_engine_synchronize(engine) == PAPO_OK);
  }
  checkContext[0] = 0;
}

// --- devices that fail ----------------------------------------------------------------------------

void clearsErrorsThatPass() {
  const Machine machine;
  OpenEngine engine(cudaDevice(0));
  simt::failCall("cudaStreamSynchronize", 1, cudaErrorNotSupported);
  CHECK_REFUSED(papo_engine_synchronize(engine), PAPO_DEVICE_ERROR,
                "CUDA failed in papo_engine_synchronize: operation not supported");
  CHECK(!std::strstr(papo_last_message(), "lost"));
  CHECK(cudaPeekAtLastError() == cudaSuccess);
  CHECK(papo_engine_synchronize(engine) == PAPO_OK);
}

// All functions that take an engine, on one whose device is lost.
void failsEverywhere(papo_engine* engine, void* data, papo_event* event) {
  void* made = nullptr;
  papo_event* newEvent = nullptr;
  size_t freeBytes = 0, totalBytes = 0;
  char host[16] = {};
  papo_ipc_memory memory{};
  memory.size = sizeof memory;
  const papo_status all[] = {papo_engine_synchronize(engine),
                             papo_memory_allocate(engine, 64, &made),
                             papo_memory_allocate_pinned(engine, 64, &made),
                             papo_memory_allocate_shareable(engine, 64, &made),
                             papo_memory_copy(engine, data, host, sizeof host),
                             papo_memory_set(engine, data, 0, 1),
                             papo_memory_info(engine, &freeBytes, &totalBytes),
                             papo_memory_require(engine, data, 1),
                             papo_ipc_export(engine, data, &memory),
                             papo_ipc_open(engine, &memory, &made),
                             papo_event_create(engine, &newEvent),
                             papo_event_record(engine, event),
                             papo_event_wait(engine, event),
                             papo_event_synchronize(event),
                             open(0)};
  for (const papo_status status : all) CHECK(status == PAPO_DEVICE_ERROR);
  CHECK(made == nullptr && newEvent == nullptr);
  CHECK_REFUSED(papo_memory_free(engine, data), PAPO_DEVICE_ERROR, "cudaErrorIllegalAddress");
}

void othersGoOn() {
  OpenEngine other(cudaDevice(1)), cpu(PAPO_CPU);
  void* data = nullptr;
  CHECK(papo_memory_allocate(other, 256, &data) == PAPO_OK);
  CHECK(papo_memory_free(other, data) == PAPO_OK);
  CHECK(papo_engine_synchronize(other) == PAPO_OK);
  CHECK(papo_engine_synchronize(cpu) == PAPO_OK);
}

void outlivesALostDevice() {
  const Machine machine;
  OpenEngine engine(cudaDevice(0)), second(cudaDevice(0));
  void* data = nullptr;
  papo_event* event = nullptr;
  CHECK(papo_memory_allocate(engine, 256, &data) == PAPO_OK);
  CHECK(papo_event_create(engine, &event) == PAPO_OK);
  CHECK(papo_event_record(engine, event) == PAPO_OK);
  // As an illegal access of a kernel shows: in the next call that waits.
  simt::failCall("cudaStreamSynchronize", 1, cudaErrorIllegalAddress);
  CHECK_REFUSED(papo_engine_synchronize(engine), PAPO_DEVICE_ERROR,
                "an illegal memory access was encountered (cudaErrorIllegalAddress); the device is "
                "lost to this process");
  CHECK(std::strstr(papo_last_message(), "those of the CPU go on"));
  CHECK(papo_engine_synchronize(second) == PAPO_DEVICE_ERROR);
  failsEverywhere(engine, data, event);
  othersGoOn();
  papo_event_destroy(event);
}

}  // namespace

int main() {
  opensAndCloses();
  takesTheCallersStream();
  refusesOptions();
  refusesMachines();
  survivesFailuresOfOpening();
  saysWhatKernelsFound();
  clearsErrorsThatPass();
  outlivesALostDevice();
  return finish();
}
