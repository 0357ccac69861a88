#include "engine/refusals.h"

#include "engine/status.h"

namespace papo {
namespace {

long long printable(int64_t value) { return static_cast<long long>(value); }

}  // namespace

papo_status refuseBinary(const char* name, int64_t got, int64_t index) {
  return fail(PAPO_INVALID_VALUE, "%s: expected 0 or 1, got %lld at index %lld", name,
              printable(got), printable(index));
}

papo_status refuseRange(const char* name, const char* what, int64_t end, int64_t got,
                        int64_t index) {
  return fail(PAPO_INVALID_VALUE, "%s: expected %s in [0, %lld), got %lld at index %lld", name,
              what, printable(end), printable(got), printable(index));
}

papo_status refuseNotFinite(const char* name, double got, int64_t index) {
  return fail(PAPO_INVALID_VALUE, "%s: expected finite numbers, got %g at index %lld", name, got,
              printable(index));
}

papo_status refuseLoneGroup(int64_t group) {
  return fail(PAPO_INVALID_VALUE,
              "groupIds: expected at least 2 responses in a group, got 1 in group %lld",
              printable(group));
}

papo_status refuseCountedTokens(int64_t got) {
  return fail(PAPO_INVALID_VALUE, "responseMask: expected at least 2 counted tokens, got %lld",
              printable(got));
}

papo_status refuseNanSaliency(int64_t cell, int64_t frame) {
  return fail(PAPO_INVALID_VALUE, "saliency: expected numbers, got NaN in cell %lld of frame %lld",
              printable(cell), printable(frame));
}

}  // namespace papo
