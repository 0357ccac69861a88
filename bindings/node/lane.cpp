#include "lane.h"

#include <new>

namespace papo::node {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

Lane::~Lane() {
  papo_engine_close(engine_);
  ::operator delete(memory_, kAlignment);
}

papo_status Lane::open(const papo_engine_options& options) {
  return papo_engine_open(&options, &engine_);
}

bool Lane::reserve(size_t bytes) {
  ::operator delete(memory_, kAlignment);
  memory_ = ::operator new(bytes, kAlignment, std::nothrow);
  bytes_ = memory_ ? bytes : 0;
  return memory_ != nullptr;
}

Outcome Lane::run(const Computation& computation) {
  papo_status status = computation.compute(engine_, memory_, bytes_);
  if (status == PAPO_WORKSPACE_TOO_SMALL) {
    size_t bytes = 0;
    status = computation.workspace(engine_, &bytes);
    if (status == PAPO_OK && !reserve(bytes))
      return {PAPO_OUT_OF_MEMORY,
              "workspace: expected " + std::to_string(bytes) + " bytes, got no memory"};
    if (status == PAPO_OK) status = computation.compute(engine_, memory_, bytes_);
  }
  if (status == PAPO_OK) return {};
  return {status, papo_last_message()};
}

}  // namespace papo::node
