// Points in streams, for other streams and for the host to wait for.
#include <atomic>
#include <memory>
#include <new>

#include "cuda/context.h"
#include "engine/engine.h"
#include "engine/status.h"

struct papo_event {
  explicit papo_event(int ofDevice) : device(ofDevice) {}
  papo_event(const papo_event&) = delete;
  papo_event& operator=(const papo_event&) = delete;
  ~papo_event() {
    if (!handle) return;
    cudaSetDevice(device);
    cudaEventDestroy(handle);
    cudaGetLastError();
  }

  int device;
  cudaEvent_t handle = nullptr;
  std::atomic<bool> recorded{false};
};

namespace papo::cuda {
namespace {

papo_status enter(const papo_engine* engine, const papo_event* event) {
  PAPO_TRY(requireCudaEngine(engine));
  if (!event) return fail(PAPO_INVALID_ARGUMENT, "event: expected an event, got null");
  return engine->cuda->makeCurrent();
}

papo_status requireRecorded(const char* name, const papo_event* event) {
  if (!event) return fail(PAPO_INVALID_ARGUMENT, "%s: expected an event, got null", name);
  if (event->recorded) return PAPO_OK;
  return fail(PAPO_INVALID_ARGUMENT, "%s: expected an event in a stream, got one never recorded",
              name);
}

papo_status requirePassed(const char* name, const papo_event* event) {
  PAPO_TRY(requireRecorded(name, event));
  const cudaError_t error = cudaEventQuery(event->handle);
  if (error == cudaSuccess) return PAPO_OK;
  if (error != cudaErrorNotReady) return deviceFailure("papo_event_elapsed", error);
  cudaGetLastError();
  return fail(PAPO_INVALID_ARGUMENT, "%s: expected an event that has passed, got one to come",
              name);
}

}  // namespace
}  // namespace papo::cuda

extern "C" {

using papo::fail;
using papo::cuda::enter;

papo_status papo_event_create(papo_engine* engine, papo_event** event) {
  if (!event) return fail(PAPO_INVALID_ARGUMENT, "event: expected a pointer to one, got null");
  *event = nullptr;
  PAPO_TRY(papo::requireCudaEngine(engine));
  PAPO_TRY(engine->cuda->makeCurrent());
  std::unique_ptr<papo_event> made(new (std::nothrow) papo_event(engine->cuda->device()));
  if (!made) return fail(PAPO_OUT_OF_MEMORY, "event: out of memory");
  PAPO_CUDA_TRY("papo_event_create", cudaEventCreateWithFlags(&made->handle, cudaEventDefault));
  *event = made.release();
  return PAPO_OK;
}

void papo_event_destroy(papo_event* event) { delete event; }

papo_status papo_event_record(papo_engine* engine, papo_event* event) {
  PAPO_TRY(enter(engine, event));
  if (event->device != engine->cuda->device())
    return fail(PAPO_INVALID_ARGUMENT, "event: expected one of cuda:%d, got one of cuda:%d",
                engine->cuda->device(), event->device);
  PAPO_CUDA_TRY("papo_event_record", cudaEventRecord(event->handle, engine->cuda->stream()));
  event->recorded = true;
  return PAPO_OK;
}

papo_status papo_event_wait(papo_engine* engine, papo_event* event) {
  PAPO_TRY(enter(engine, event));
  PAPO_TRY(papo::cuda::requireRecorded("event", event));
  PAPO_CUDA_TRY("papo_event_wait", cudaStreamWaitEvent(engine->cuda->stream(), event->handle, 0));
  return PAPO_OK;
}

papo_status papo_event_synchronize(papo_event* event) {
  PAPO_TRY(papo::cuda::requireRecorded("event", event));
  PAPO_CUDA_TRY("papo_event_synchronize", cudaSetDevice(event->device));
  PAPO_CUDA_TRY("papo_event_synchronize", cudaEventSynchronize(event->handle));
  return PAPO_OK;
}

papo_status papo_event_elapsed(papo_event* from, papo_event* to, float* milliseconds) {
  if (!milliseconds)
    return fail(PAPO_INVALID_ARGUMENT, "milliseconds: expected a pointer, got null");
  PAPO_TRY(papo::cuda::requireRecorded("from", from));
  PAPO_CUDA_TRY("papo_event_elapsed", cudaSetDevice(from->device));
  PAPO_TRY(papo::cuda::requirePassed("from", from));
  PAPO_TRY(papo::cuda::requirePassed("to", to));
  if (from->device != to->device)
    return fail(PAPO_INVALID_ARGUMENT, "to: expected an event of cuda:%d, got one of cuda:%d",
                from->device, to->device);
  PAPO_CUDA_TRY("papo_event_elapsed", cudaEventElapsedTime(milliseconds, from->handle, to->handle));
  return PAPO_OK;
}

}  // extern "C"
