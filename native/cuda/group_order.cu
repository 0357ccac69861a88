// Members of each group, in the order of their indices: keys of (id, index) sorted in tiles, tiles
// merged by rank. Every kernel's result depends on nothing but the keys.
#include "cuda/advantages.h"
#include "cuda/findings.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 512;

// Bitonic, over the first size keys, a power of two.
__device__ void sortTile(GroupKey* keys, int size) {
  for (int run = 2; run <= size; run *= 2) {
    for (int step = run / 2; step > 0; step /= 2) {
      for (int pair = static_cast<int>(threadIdx.x); pair < size / 2; pair += kThreads) {
        const int low = 2 * pair - (pair & (step - 1)), high = low + step;
        const GroupKey a = keys[low], b = keys[high];
        const bool ascending = (low & run) == 0;
        if ((a > b) == ascending) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      __syncthreads();
    }
  }
}

__device__ void loadTile(const GroupOrder& order, int64_t first, int size, GroupKey* keys,
                         DeviceError* error) {
  for (int i = static_cast<int>(threadIdx.x); i < size; i += kThreads) {
    const int64_t at = first + i;
    const bool isThere = at < order.rewards.count;
    keys[i] = isThere ? groupKey(order.ids[at], at) : ~GroupKey{0};
    if (isThere && !isFinite(order.rewards.at(at))) found(error, Finding::rewards, at);
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads) sortTilesKernel(GroupOrder order, DeviceError* error) {
  if (!mayCheck(error)) return;
  PAPO_SHARED_ARRAY(GroupKey, keys, kTileKeys);
  const int64_t count = order.rewards.count;
  for (int64_t first = int64_t{blockIdx.x} * kTileKeys; first < count;
       first += int64_t{gridDim.x} * kTileKeys) {
    const int tile = static_cast<int>(count - first < kTileKeys ? count - first : kTileKeys);
    int size = 1;
    while (size < tile) size *= 2;
    loadTile(order, first, size, keys, error);
    sortTile(keys, size);
    for (int i = static_cast<int>(threadIdx.x); i < tile; i += kThreads)
      order.keys[first + i] = keys[i];
    __syncthreads();
  }
  if (!isCheckDone(error)) return;
  publishFinding(error, [&](Finding, int64_t index) { return detailOf(order.rewards.at(index)); });
}

// How many of the sorted keys are below this one.
__device__ int64_t rankOf(GroupKey key, const GroupKey* keys, int64_t count) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (keys[middle] < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Merges sorted runs of this length two by two: a key's place is its own in its run plus its rank
// in the other.
__global__ void __launch_bounds__(kThreads)
    mergeRunsKernel(const GroupKey* from, GroupKey* to, int64_t count, int64_t run,
                    const DeviceError* error) {
  if (error->key != 0) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    const int64_t own = i / run * run;
    const bool isLeft = i / run % 2 == 0;
    const int64_t other = isLeft ? own + run : own - run;
    const int64_t left = count - other;  // not positive: the last run has no other
    const int64_t others = left < 0 ? 0 : left < run ? left : run;
    const int64_t place = (isLeft ? own : other) + (i - own);
    to[place + rankOf(from[i], from + other, others)] = from[i];
  }
}

__global__ void __launch_bounds__(kThreads)
    checkGroupsKernel(const GroupKey* keys, int64_t count, DeviceError* error) {
  if (!mayCheck(error)) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    const uint32_t group = groupOf(keys[i]);
    const bool hasBefore = i > 0 && groupOf(keys[i - 1]) == group;
    const bool hasBehind = i + 1 < count && groupOf(keys[i + 1]) == group;
    if (!hasBefore && !hasBehind) found(error, Finding::groupIds, i);
  }
  if (!isCheckDone(error)) return;
  publishFinding(error, [&](Finding, int64_t index) {
    return FindingDetail{groupIdOf(keys[index]), 0};
  });
}

}  // namespace

papo_status launchGroupOrder(Context& context, GroupOrder* order) {
  constexpr const char* kWhat = "papo_group_advantages";
  const int64_t count = order->rewards.count;
  const cudaStream_t stream = context.stream();
  PAPO_CUDA_TRY(kWhat, launch(sortTilesKernel, workBlocks(count, kTileKeys), kThreads, 0, stream,
                              *order, context.error()));
  for (int64_t run = kTileKeys; run < count; run *= 2) {
    PAPO_CUDA_TRY(kWhat, launch(mergeRunsKernel, workBlocks(count, kThreads), kThreads, 0, stream,
                                order->keys, order->spare, count, run, context.error()));
    GroupKey* const merged = order->spare;
    order->spare = order->keys;
    order->keys = merged;
  }
  PAPO_CUDA_TRY(kWhat, launch(checkGroupsKernel, workBlocks(count, kThreads), kThreads, 0, stream,
                              order->keys, count, context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
