// papo_group_advantages on a CUDA engine. Arguments are checked already.
#include "cuda/advantages.h"

#include "cuda/operations.h"
#include "engine/arena.h"

namespace papo::cuda {
namespace {

constexpr const char* kWhat = "papo_group_advantages";

bool isPerToken(const papo_advantages_args& a) {
  return a.estimator == PAPO_ADVANTAGE_REINFORCE_PLUS_PLUS;
}
bool usesGroups(const papo_advantages_args& a) {
  return !isPerToken(a) && a.estimator != PAPO_ADVANTAGE_REMAX;
}
bool scalesByBatch(const papo_advantages_args& a) {
  return a.estimator == PAPO_ADVANTAGE_GRPO && a.scale == PAPO_SCALE_BATCH;
}

struct Workspace {
  GroupKey* keys = nullptr;      // [B], by group
  GroupKey* spare = nullptr;     // [B], beyond one tile
  double* sums = nullptr;        // [chunks] of the batch
  double* squares = nullptr;     // [chunks]
  double* different = nullptr;   // [chunks]
  double* values = nullptr;      // [N] returns
  int64_t* cuSeqlens = nullptr;  // [responses + 1]
  unsigned long long* counted = nullptr;

  static Workspace layOut(Arena* arena, const papo_advantages_args& a) {
    Workspace w;
    const int64_t count = a.rewards.rows;
    if (usesGroups(a)) w.keys = arena->take<GroupKey>(count);
    if (usesGroups(a) && count > kTileKeys) w.spare = arena->take<GroupKey>(count);
    if (scalesByBatch(a) || isPerToken(a)) {
      w.sums = arena->take<double>(chunksOf(count));
      w.squares = arena->take<double>(chunksOf(count));
    }
    if (scalesByBatch(a)) w.different = arena->take<double>(chunksOf(count));
    if (!isPerToken(a)) return w;
    w.values = arena->take<double>(count);
    if (a.cuSeqlens) w.cuSeqlens = arena->take<int64_t>(a.responses + 1);
    w.counted = arena->take<unsigned long long>(1);
    return w;
  }
};

RealVector realVector(const papo_tensor& t) { return {t.data, t.rows, t.dtype == PAPO_FLOAT64}; }

BatchSums batchSums(const papo_advantages_args& a, const Workspace& w) {
  BatchSums batch;
  batch.values = realVector(a.rewards);
  batch.sums = w.sums;
  batch.squares = w.squares;
  batch.different = w.different;
  batch.chunks = w.sums ? chunksOf(a.rewards.rows) : 0;
  return batch;
}

papo_status runGroups(Context& context, const papo_advantages_args& a, const Workspace& w) {
  const RealVector rewards = realVector(a.rewards);
  GroupOrder order{static_cast<const int32_t*>(a.groupIds.data), rewards, w.keys, w.spare};
  PAPO_TRY(launchGroupOrder(context, &order));
  const BatchSums batch = batchSums(a, w);
  if (batch.chunks) PAPO_TRY(launchBatchSums(context, batch));
  return launchGroupAdvantages(
      context,
      {{a.estimator, a.scale, a.epsilon}, rewards, realVector(a.advantages), order.keys, batch});
}

papo_status runPerToken(Context& context, const papo_advantages_args& a, const Workspace& w) {
  const cudaStream_t stream = context.stream();
  PAPO_CUDA_TRY(kWhat, cudaMemsetAsync(w.counted, 0, sizeof *w.counted, stream));
  if (a.cuSeqlens)
    PAPO_CUDA_TRY(kWhat, cudaMemcpyAsync(w.cuSeqlens, a.cuSeqlens,
                                         static_cast<size_t>(a.responses + 1) * sizeof(int64_t),
                                         cudaMemcpyHostToDevice, stream));
  ReturnsCall call;
  call.rewards = realVector(a.rewards);
  call.returns = realVector(a.returns);
  call.advantages = realVector(a.advantages);
  call.mask = static_cast<const uint8_t*>(a.responseMask.data);
  call.cuSeqlens = w.cuSeqlens;
  call.responses = a.responses;
  call.discount = a.discount;
  call.epsilon = a.epsilon;
  call.values = w.values;
  call.counted = w.counted;
  call.batch = batchSums(a, w);
  call.batch.values = {w.values, a.rewards.rows, true};
  call.batch.mask = call.mask;
  call.batch.counted = w.counted;
  PAPO_TRY(launchReturns(context, call));
  PAPO_TRY(launchBatchSums(context, call.batch));
  return launchWhitening(context, call);
}

}  // namespace

papo_status advantagesWorkspace(const papo_advantages_args& args, size_t* bytes) {
  // The index of a response is half of its key.
  if (usesGroups(args) && args.rewards.rows > INT32_MAX)
    return fail(PAPO_INVALID_SHAPE, "rewards: expected fewer than 2^31 values, got %lld",
                static_cast<long long>(args.rewards.rows));
  Arena arena(nullptr);
  Workspace::layOut(&arena, args);
  *bytes = arena.used();
  return PAPO_OK;
}

papo_status advantages(Context& context, const papo_advantages_args& args, void* workspace,
                       size_t bytes) {
  size_t needed = 0;
  PAPO_TRY(advantagesWorkspace(args, &needed));
  PAPO_TRY(requireWorkspace(workspace, bytes, needed));
  PAPO_TRY(context.makeCurrent());
  Arena arena(workspace);
  const Workspace w = Workspace::layOut(&arena, args);
  if (usesGroups(args)) return runGroups(context, args, w);
  if (isPerToken(args)) return runPerToken(context, args, w);
  return launchRemax(
      context, {realVector(args.rewards), realVector(args.baselines), realVector(args.advantages)});
}

}  // namespace papo::cuda
