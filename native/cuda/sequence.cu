// Ratios at sequence level (GSPO, Eq. 9): a block takes a response. All its tokens share the clamped
// mean of their log-ratios, and the slope in it returns to each of them divided by their number.
// Sums are in double; their order depends on the response alone.
#include "cuda/block.cuh"
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

// Calls body(token, record) for the thread's tokens of a response.
template <class Body>
__device__ __forceinline__ void forEachOfResponse(const LossCall& call, int64_t response,
                                                  const Body& body) {
  const int64_t end = call.responses.end(response);
  for (int64_t token = call.responses.begin(response) + threadIdx.x; token < end; token += kThreads)
    body(token, &call.memory.records[token]);
}

__device__ Clamped<float> ratioOf(const LossCall& call, int64_t response, double count,
                                  double* scratch) {
  if (!isPresent(call.args.oldLogProbs)) return {0, 1};
  double sum = 0;
  forEachOfResponse(call, response, [&](int64_t, const TokenRecord<float>* record) {
    const TokenInputs<float>& in = record->inputs;
    if (record->counts) sum += static_cast<double>(in.logProb - in.oldLogProb);
  });
  return responseLogRatio(call.objective, blockSum(sum, scratch), count);
}

__device__ void evaluateResponse(const LossCall& call, int64_t response, double* scratch) {
  const double count = denominator(static_cast<double>(countedTokens(call, response)), 0);
  const Clamped<float> ratio = ratioOf(call, response, count, scratch);
  double slope = 0, high = 0, low = 0;
  forEachOfResponse(call, response, [&](int64_t token, TokenRecord<float>* record) {
    if (!record->contributes) return;
    select(call, {token, response}, record);
    evaluateToken(call.objective, ratio, record);
    slope += static_cast<double>(record->slopes.logRatio);
    if (!record->counts) return;
    high += record->terms.policy.isClippedHigh;
    low += record->terms.policy.isClippedLow;
  });
  slope = blockSum(slope, scratch);
  high = blockSum(high, scratch);
  low = blockSum(low, scratch);
  forEachOfResponse(call, response, [&](int64_t, TokenRecord<float>* record) {
    if (record->counts) record->slopes.logProb += static_cast<float>(slope / count) * ratio.slope;
  });
  if (threadIdx.x == 0) call.memory.responseClips[response] = {high / count, low / count};
}

__global__ void __launch_bounds__(kThreads) evaluateInResponses(LossCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_ARRAY(double, scratch, kWarps);
  for (int64_t b = blockIdx.x; b < call.responses.count; b += gridDim.x)
    evaluateResponse(call, b, scratch);
}

}  // namespace

papo_status evaluateResponses(Context& context, const LossCall& call) {
  const dim3 grid(workBlocks(call.responses.count, 1));
  PAPO_CUDA_TRY("papo_loss",
                launch(evaluateInResponses, grid, kThreads, 0, context.stream(), call));
  return PAPO_OK;
}

}  // namespace papo::cuda
