#include "advantages/group_index.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace papo {
namespace {

// Ids that span at most this many values are counted instead of sorted: trainers number their groups
// from 0, and counting is linear.
int64_t countingLimit(int64_t responses) { return 4 * responses + 1024; }

struct IdRange {
  int64_t first, count;
  bool ascending;  // as trainers that repeat a prompt for its responses number them
};

IdRange rangeOf(const int32_t* ids, int64_t responses) {
  int32_t low = ids[0], high = ids[0], descents = 0;
  for (int64_t i = 1; i < responses; ++i) {
    low = std::min(low, ids[i]);
    high = std::max(high, ids[i]);
    descents |= ids[i] < ids[i - 1];
  }
  return {low, static_cast<int64_t>(high) - low + 1, descents == 0};
}

}  // namespace

GroupIndex GroupIndex::layOut(Arena* arena, int64_t responses) {
  GroupIndex index;
  index.ids = arena->take<int32_t>(responses);
  index.order = arena->take<int64_t>(responses);
  index.offsets = arena->take<int64_t>(countingLimit(responses) + 1);
  return index;
}

void GroupIndex::build(const int32_t* given, int64_t responses) {
  std::memcpy(ids, given, static_cast<size_t>(responses) * sizeof *ids);
  const IdRange range = rangeOf(ids, responses);
  if (!range.ascending && range.count <= countingLimit(responses))
    return orderByCounting(range.first, range.count, responses);
  std::iota(order, order + responses, int64_t{0});
  if (!range.ascending) orderBySorting(responses);
  findGroups(responses);
}

// Without a branch: where one group ends and the next begins cannot be predicted.
void GroupIndex::findGroups(int64_t responses) {
  int64_t found = 1;
  offsets[0] = 0;
  for (int64_t i = 1; i < responses; ++i) {
    offsets[found] = i;
    found += ids[order[i]] != ids[order[i - 1]];
  }
  offsets[found] = responses;
  groups = found;
}

// offsets[k + 1] first counts id first + k, then holds where its next member goes and so, in the
// end, where its members end. Ids without members are dropped.
void GroupIndex::orderByCounting(int64_t first, int64_t count, int64_t responses) {
  std::fill(offsets, offsets + count + 1, 0);
  for (int64_t i = 0; i < responses; ++i) ++offsets[ids[i] - first + 1];
  for (int64_t k = 0; k < count; ++k) offsets[k + 1] += offsets[k];
  for (int64_t i = 0; i < responses; ++i) order[offsets[ids[i] - first]++] = i;
  int64_t found = 0, begin = 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t end = offsets[k];
    offsets[found] = begin;
    found += end > begin;
    begin = end;
  }
  offsets[found] = responses;
  groups = found;
}

void GroupIndex::orderBySorting(int64_t responses) {
  std::sort(order, order + responses,
            [this](int64_t a, int64_t b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
}

}  // namespace papo
