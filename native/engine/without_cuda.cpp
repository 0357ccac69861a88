// What papo.h has for a CUDA device, in a build that has none: no engine of one can be opened, so that
// all other functions are given none.
#if !defined(PAPO_WITH_CUDA)

#include "cuda/operations.h"
#include "engine/engine.h"
#include "engine/status.h"

namespace papo {
namespace cuda {

papo_status openContext(int32_t, void*, Context**) {
  return fail(PAPO_UNAVAILABLE,
              "device: expected 'cpu', got a CUDA device, and this build has no CUDA engine; "
              "papo-kernels doctor says how to get one");
}
void closeContext(Context*) {}
void* streamOf(const Context&) { return nullptr; }
papo_status synchronize(Context*) { return PAPO_OK; }

}  // namespace cuda

namespace {

papo_status refuse(const papo_engine* engine) { return requireCudaEngine(engine); }
papo_status refuseEvent() {
  return fail(PAPO_INVALID_ARGUMENT, "event: expected an event of papo_event_create");
}

}  // namespace
}  // namespace papo

extern "C" {

using papo::refuse;
using papo::refuseEvent;

papo_status papo_memory_allocate(papo_engine* engine, size_t, void**) { return refuse(engine); }
papo_status papo_memory_free(papo_engine* engine, void*) { return refuse(engine); }
papo_status papo_memory_allocate_pinned(papo_engine* engine, size_t, void**) {
  return refuse(engine);
}
papo_status papo_memory_free_pinned(papo_engine* engine, void*) { return refuse(engine); }
papo_status papo_memory_allocate_shareable(papo_engine* engine, size_t, void**) {
  return refuse(engine);
}
papo_status papo_memory_free_shareable(papo_engine* engine, void*) { return refuse(engine); }
papo_status papo_memory_copy(papo_engine* engine, void*, const void*, size_t) {
  return refuse(engine);
}
papo_status papo_memory_set(papo_engine* engine, void*, uint8_t, size_t) { return refuse(engine); }
papo_status papo_memory_info(papo_engine* engine, size_t*, size_t*) { return refuse(engine); }
papo_status papo_memory_require(papo_engine* engine, const void*, size_t) { return refuse(engine); }

papo_status papo_ipc_export(papo_engine* engine, const void*, papo_ipc_memory*) {
  return refuse(engine);
}
papo_status papo_ipc_open(papo_engine* engine, const papo_ipc_memory*, void**) {
  return refuse(engine);
}
papo_status papo_ipc_close(papo_engine* engine, void*) { return refuse(engine); }

papo_status papo_event_create(papo_engine* engine, papo_event**) { return refuse(engine); }
void papo_event_destroy(papo_event*) {}
papo_status papo_event_record(papo_engine* engine, papo_event*) { return refuse(engine); }
papo_status papo_event_wait(papo_engine* engine, papo_event*) { return refuse(engine); }
papo_status papo_event_synchronize(papo_event*) { return refuseEvent(); }
papo_status papo_event_elapsed(papo_event*, papo_event*, float*) { return refuseEvent(); }

}  // extern "C"

#endif
