#include "lane.h"

#include <new>
#include <utility>

#include "engine/status.h"

namespace papo::node {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

Lane::~Lane() {
  dropWorkspace();
  papo_engine_close(engine_);
}

papo_status Lane::open(const papo_engine_options& options) {
  return papo_engine_open(&options, &engine_);
}

papo_status Lane::open(papo_engine_options options, std::shared_ptr<Lane> streamOwner) {
  streamOwner_ = std::move(streamOwner);
  options.stream = papo_engine_stream(streamOwner_->engine());
  return open(options);
}

void Lane::dropWorkspace() {
  if (!memory_) return;
  if (isOnDevice())
    papo_memory_free(engine_, memory_);
  else
    ::operator delete(memory_, kAlignment);
  memory_ = nullptr;
  bytes_ = 0;
}

papo_status Lane::reserve(size_t bytes) {
  dropWorkspace();
  if (isOnDevice())
    PAPO_TRY(papo_memory_allocate(engine_, bytes, &memory_));
  else
    memory_ = ::operator new(bytes, kAlignment, std::nothrow);
  if (!memory_)
    return fail(PAPO_OUT_OF_MEMORY, "workspace: expected %zu bytes, got no memory", bytes);
  bytes_ = bytes;
  return PAPO_OK;
}

papo_status Lane::compute(const Computation& computation) {
  const papo_status status = computation.compute(engine_, memory_, bytes_);
  if (status != PAPO_WORKSPACE_TOO_SMALL) return status;
  size_t bytes = 0;
  PAPO_TRY(computation.workspace(engine_, &bytes));
  PAPO_TRY(reserve(bytes));
  return computation.compute(engine_, memory_, bytes_);
}

// A computation that failed half-way may have left work in the stream, which uses memory that the
// caller may free now; what it gives on top of the failure is of no interest.
Outcome Lane::run(const Computation& computation) {
  papo_status status = compute(computation);
  if (status == PAPO_OK) status = papo_engine_synchronize(engine_);
  if (status == PAPO_OK) return {};
  Outcome outcome{status, papo_last_message()};
  if (isOnDevice()) papo_engine_synchronize(engine_);
  return outcome;
}

}  // namespace papo::node
