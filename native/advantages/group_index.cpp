#include "advantages/group_index.h"

#include <algorithm>

namespace papo {
namespace {

// Ids that span at most this many values are counted instead of sorted: trainers number their groups
// from 0, and counting is linear.
int64_t countingLimit(int64_t responses) { return 4 * responses + 1024; }

}  // namespace

GroupIndex GroupIndex::layOut(Arena* arena, int64_t responses) {
  GroupIndex index;
  index.order = arena->take<int64_t>(responses);
  index.offsets = arena->take<int64_t>(countingLimit(responses) + 1);
  return index;
}

void GroupIndex::build(const int32_t* ids, int64_t responses) {
  const auto [low, high] = std::minmax_element(ids, ids + responses);
  const int64_t first = *low, range = static_cast<int64_t>(*high) - first + 1;
  groups = 0;
  if (range > countingLimit(responses)) {
    for (int64_t i = 0; i < responses; ++i) order[i] = i;
    std::sort(order, order + responses,
              [ids](int64_t a, int64_t b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
    for (int64_t i = 0; i < responses; ++i)
      if (i == 0 || ids[order[i]] != ids[order[i - 1]]) offsets[groups++] = i;
    offsets[groups] = responses;
    return;
  }
  // Counting sort; offsets[k + 1] first counts id k, then holds where its members end.
  std::fill(offsets, offsets + range + 1, 0);
  for (int64_t i = 0; i < responses; ++i) ++offsets[ids[i] - first + 1];
  for (int64_t k = 0; k < range; ++k) offsets[k + 1] += offsets[k];
  for (int64_t i = 0; i < responses; ++i) order[offsets[ids[i] - first]++] = i;
  // offsets[k] is now the end of id k: drop the ids without members and shift the ends by one.
  int64_t previous = 0;
  for (int64_t k = 0; k < range; ++k) {
    const int64_t end = offsets[k];
    if (end > previous) offsets[groups++] = end;
    previous = end;
  }
  std::move_backward(offsets, offsets + groups, offsets + groups + 1);
  offsets[0] = 0;
}

}  // namespace papo
