// Streams and events. An eager stream has done its work when a call is back; a lazy one begins when
// somebody waits, so that a missing wait of the host or of another stream is seen.
#include <chrono>
#include <deque>
#include <map>
#include <set>

#include "runtime.h"

struct CUstream_st {
  int device = 0;
  unsigned flags = cudaStreamDefault;
  uint64_t enqueued = 0, done = 0;
  std::deque<std::function<cudaError_t()>> work;
};

struct CUevent_st {
  int device = 0;
  unsigned flags = cudaEventDefault;
  cudaStream_t stream = nullptr;  // of the last record; null: never recorded
  uint64_t position = 0;          // of the record in its stream
  bool reached = false;
  std::chrono::steady_clock::time_point time;
};

namespace simt {
namespace {

// Never destroyed: a program may end with streams it did not destroy.
auto& streams = *new std::set<cudaStream_t>;  // that exist, the legacy default streams among them
auto& events = *new std::set<cudaEvent_t>;

cudaStream_t defaultStream() {
  static auto& ofDevice = *new std::map<int, CUstream_st*>;
  CUstream_st*& stream = ofDevice[currentDevice()];
  if (!stream) {
    stream = new CUstream_st;
    stream->device = currentDevice();
    streams.insert(stream);
  }
  return stream;
}

// Null and cudaStreamLegacy mean the default stream; a handle that is none gives null.
cudaStream_t resolve(cudaStream_t handle) {
  if (!handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread)
    return defaultStream();
  return streams.count(handle) ? handle : nullptr;
}

cudaError_t runUntil(cudaStream_t stream, uint64_t position) {
  while (stream->done < position && !stream->work.empty()) {
    const auto work = std::move(stream->work.front());
    stream->work.pop_front();
    const cudaError_t error = work();
    stream->done++;
    if (error != cudaSuccess) {
      stream->done += stream->work.size();
      stream->work.clear();
      return error;
    }
  }
  return cudaSuccess;
}

bool waitsForDefault(cudaStream_t stream) { return !(stream->flags & cudaStreamNonBlocking); }

// The default stream waits for every blocking stream, and each of them for it.
cudaError_t settle(cudaStream_t stream) {
  const bool isDefault = stream == defaultStream();
  if (!isDefault && !waitsForDefault(stream)) return cudaSuccess;
  for (cudaStream_t other : std::set<cudaStream_t>(streams)) {
    if (other == stream || other->device != stream->device) continue;
    if (!waitsForDefault(other) || (!isDefault && other != defaultStream())) continue;
    const cudaError_t error = runUntil(other, other->enqueued);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t create(cudaStream_t* out, unsigned flags) {
  if (flags & ~unsigned{cudaStreamNonBlocking}) return cudaErrorInvalidValue;
  *out = new CUstream_st;
  (*out)->device = currentDevice();
  (*out)->flags = flags;
  streams.insert(*out);
  return cudaSuccess;
}

cudaError_t createEvent(cudaEvent_t* out, unsigned flags) {
  *out = new CUevent_st;
  (*out)->device = currentDevice();
  (*out)->flags = flags;
  events.insert(*out);
  return cudaSuccess;
}

// Time passes while somebody asks.
cudaError_t query(cudaStream_t stream, uint64_t position) {
  if (stream->done >= position) return cudaSuccess;
  const cudaError_t error = runUntil(stream, stream->done + 1);
  if (error != cudaSuccess) return error;
  return stream->done >= position ? cudaSuccess : cudaErrorNotReady;
}

}  // namespace

cudaError_t enqueue(cudaStream_t handle, std::function<cudaError_t()> work) {
  const cudaStream_t stream = resolve(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  const cudaError_t error = settle(stream);
  if (error != cudaSuccess) return error;
  stream->work.push_back(std::move(work));
  stream->enqueued++;
  return options().lazyStreams ? cudaSuccess : runUntil(stream, stream->enqueued);
}

cudaError_t drainStream(cudaStream_t handle) {
  const cudaStream_t stream = resolve(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  const cudaError_t error = settle(stream);
  return error != cudaSuccess ? error : runUntil(stream, stream->enqueued);
}

cudaError_t drainDevice() {
  for (cudaStream_t stream : std::set<cudaStream_t>(streams)) {
    if (stream->device != currentDevice()) continue;
    const cudaError_t error = runUntil(stream, stream->enqueued);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return call("cudaStreamCreate", [&] { return create(stream, cudaStreamDefault); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", [&] { return create(stream, flags); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return call("cudaStreamCreateWithPriority", [&] { return create(stream, flags); });
}

// Resources go even when the context is lost.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  if (!streams.count(stream)) return note(cudaErrorInvalidResourceHandle);
  const cudaError_t refused = admit("cudaStreamDestroy");
  const cudaError_t error = refused != cudaSuccess ? refused : runUntil(stream, stream->enqueued);
  for (cudaEvent_t event : events)
    if (event->stream == stream) event->stream = nullptr;
  streams.erase(stream);
  delete stream;
  return note(error);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", [&] { return drainStream(stream); });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] { return drainDevice(); });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call("cudaStreamQuery", [&] {
    const cudaStream_t stream = resolve(handle);
    return stream ? query(stream, stream->enqueued) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return call("cudaStreamGetDevice", [&] {
    const cudaStream_t stream = resolve(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *device = stream->device;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return call("cudaStreamGetFlags", [&] {
    const cudaStream_t stream = resolve(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *flags = stream->flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", [&] {
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return call("cudaLaunchHostFunc", [&] {
    return enqueue(stream, [function, data] {
      function(data);
      return cudaSuccess;
    });
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return call("cudaEventCreate", [&] { return createEvent(event, cudaEventDefault); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", [&] { return createEvent(event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard<std::recursive_mutex> lock(runtimeLock());
  if (!events.count(event)) return note(cudaErrorInvalidResourceHandle);
  if (event->stream) runUntil(event->stream, event->position);
  events.erase(event);
  delete event;
  return note(admit("cudaEventDestroy"));
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return call("cudaEventRecord", [&] {
    const cudaStream_t stream = resolve(handle);
    if (!events.count(event) || !stream || stream->device != event->device)
      return cudaErrorInvalidResourceHandle;
    event->stream = stream;
    event->position = stream->enqueued + 1;
    event->reached = false;
    return enqueue(stream, [event] {
      event->reached = true;
      event->time = std::chrono::steady_clock::now();
      return cudaSuccess;
    });
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", [&] {
    const cudaStream_t stream = resolve(handle);
    if (!events.count(event) || !stream) return cudaErrorInvalidResourceHandle;
    if (!event->stream) return cudaSuccess;
    return enqueue(stream, [other = event->stream, position = event->position] {
      return streams.count(other) ? runUntil(other, position) : cudaSuccess;
    });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&] {
    if (!events.count(event)) return cudaErrorInvalidResourceHandle;
    return event->stream ? runUntil(event->stream, event->position) : cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&] {
    if (!events.count(event)) return cudaErrorInvalidResourceHandle;
    return event->stream ? query(event->stream, event->position) : cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return call("cudaEventElapsedTime", [&] {
    for (cudaEvent_t event : {from, to})
      if (!events.count(event) || (event->flags & cudaEventDisableTiming) ||
          (!event->stream && !event->reached))
        return cudaErrorInvalidResourceHandle;
    if (!from->reached || !to->reached) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return cudaSuccess;
  });
}

}  // extern "C"
