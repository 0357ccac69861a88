// Advantages of groups and against baselines (docs/math.md Eq. 17-20): a warp for each group, whose
// sums go through its members in the order of their indices, as on the CPU, so that both give the
// same bits.
#include "cuda/batch_sums.cuh"
#include "cuda/findings.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

__device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x % 32); }

// Positions [begin, end) in the order of groups.
struct Members {
  const GroupKey* keys;
  RealVector rewards;
  int64_t begin, end;

  __device__ int64_t count() const { return end - begin; }
  __device__ double reward(int64_t position) const { return rewards.at(memberOf(keys[position])); }
};

// Calls add(reward) for each member in order, in every lane.
template <class Add>
__device__ __forceinline__ void forEachMember(const Members& members, const Add& add) {
  for (int64_t first = members.begin; first < members.end; first += 32) {
    const int count = static_cast<int>(members.end - first < 32 ? members.end - first : 32);
    const double own = lane() < count ? members.reward(first + lane()) : 0;
    for (int i = 0; i < count; ++i) add(__shfl_sync(kAllLanes, own, i));
  }
}

__device__ Moments momentsOf(const Members& members) {
  const double first = members.reward(members.begin);
  double sum = 0, squares = 0;
  bool isConstant = true;
  forEachMember(members, [&](double reward) {
    sum += reward;
    isConstant &= reward == first;
  });
  if (isConstant) return {first, 0};
  const double mean = meanOf(sum, members.count());
  forEachMember(members, [&](double reward) { squares += squaredDifference(reward, mean); });
  return {mean, deviationOf(squares, members.count())};
}

__device__ void writeGroup(const GroupCall& call, const Members& members, double deviation) {
  const GroupScale scale = scaleOf(call.options, momentsOf(members), members.count(), deviation);
  for (int64_t i = members.begin + lane(); i < members.end; i += 32)
    call.advantages.set(memberOf(call.keys[i]), advantageOf(scale, members.reward(i)));
}

// Where the group of position begin ends; nothing of it is behind the 32 positions from first on
// that is not behind all of them.
__device__ int64_t endOfGroup(const GroupCall& call, int64_t begin, int64_t first) {
  const uint32_t group = groupOf(call.keys[begin]);
  for (;; first += 32) {
    const int64_t i = first + lane();
    const bool isOther = i >= call.rewards.count || groupOf(call.keys[i]) != group;
    const unsigned others = __ballot_sync(kAllLanes, isOther);
    if (others != 0) return first + __ffs(static_cast<int>(others)) - 1;
  }
}

// A warp takes the groups that begin in its 32 positions.
__global__ void __launch_bounds__(kSumThreads, kMinBlocks)
    groupAdvantagesKernel(GroupCall call, const DeviceError* error) {
  if (error->key != 0) return;
  const double deviation = call.batch.chunks ? batchDeviation(call.batch) : 0;
  const int64_t count = call.rewards.count, step = int64_t{gridDim.x} * kSumThreads;
  const int64_t warp = threadIdx.x / 32;
  for (int64_t first = int64_t{blockIdx.x} * kSumThreads + warp * 32; first < count;
       first += step) {
    const int64_t i = first + lane();
    const bool begins = i < count && (i == 0 || groupOf(call.keys[i]) != groupOf(call.keys[i - 1]));
    unsigned heads = __ballot_sync(kAllLanes, begins);
    while (heads != 0) {
      const int64_t begin = first + __ffs(static_cast<int>(heads)) - 1;
      heads &= heads - 1;
      const int64_t end = heads != 0 ? first + __ffs(static_cast<int>(heads)) - 1
                                     : endOfGroup(call, begin, begin + 1);
      writeGroup(call, {call.keys, call.rewards, begin, end}, deviation);
    }
  }
}

__global__ void __launch_bounds__(kSumThreads)
    checkRemaxKernel(RemaxCall call, DeviceError* error) {
  if (!mayCheck(error)) return;
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < call.rewards.count;
       i += int64_t{gridDim.x} * kSumThreads) {
    if (!isFinite(call.rewards.at(i))) found(error, Finding::rewards, i);
    if (!isFinite(call.baselines.at(i))) found(error, Finding::baselines, i);
  }
  if (!isCheckDone(error)) return;
  publishFinding(error, [&](Finding finding, int64_t index) {
    const RealVector& values = finding == Finding::rewards ? call.rewards : call.baselines;
    return detailOf(values.at(index));
  });
}

__global__ void __launch_bounds__(kSumThreads)
    remaxKernel(RemaxCall call, const DeviceError* error) {
  if (error->key != 0) return;
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < call.rewards.count;
       i += int64_t{gridDim.x} * kSumThreads)
    call.advantages.set(i, call.rewards.at(i) - call.baselines.at(i));
}

}  // namespace

papo_status launchGroupAdvantages(Context& context, const GroupCall& call) {
  PAPO_CUDA_TRY("papo_group_advantages",
                launch(groupAdvantagesKernel, workBlocks(call.rewards.count, kSumThreads),
                       kSumThreads, 0, context.stream(), call, context.error()));
  return PAPO_OK;
}

papo_status launchRemax(Context& context, const RemaxCall& call) {
  constexpr const char* kWhat = "papo_group_advantages";
  const unsigned blocks = workBlocks(call.rewards.count, kSumThreads);
  PAPO_CUDA_TRY(kWhat, launch(checkRemaxKernel, blocks, kSumThreads, 0, context.stream(), call,
                              context.error()));
  PAPO_CUDA_TRY(
      kWhat, launch(remaxKernel, blocks, kSumThreads, 0, context.stream(), call, context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
