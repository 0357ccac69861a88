// Masks, weights and given log-probs into one record a token, and the shares that follow from how many
// count (Eq. 15). Counts are integers: their order does not matter.
#include "cuda/block.cuh"
#include "cuda/findings.cuh"
#include "cuda/token_sort.cuh"
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

// Whether anything asks how many tokens of a response count.
__host__ __device__ __forceinline__ bool countsPerResponse(const papo_objective& o) {
  return o.reduction == PAPO_REDUCTION_SEQUENCE || o.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE;
}

__device__ __forceinline__ void addCount(int64_t* count, unsigned int n) {
  if (n > 0)
    atomicAdd(reinterpret_cast<unsigned long long*>(count), static_cast<unsigned long long>(n));
}

// Every value of a mask is looked at, also where another makes it useless, and that of an empty
// response.
__device__ void checkResponseMask(const LossCall& call) {
  const papo_tensor& mask = call.args.sftMask;
  if (!isPresent(mask) || mask.rows == call.responses.rows) return;
  forEachToken(mask.rows, [&](int64_t b) { readMaskValue(mask, b, Finding::sftMask, call.error); });
}

__device__ TokenMasks readMasks(const LossCall& call, TokenPlace place) {
  TokenMasks masks;
  if (isPresent(call.args.responseMask))
    masks.counts =
        readMaskValue(call.args.responseMask, place.token, Finding::responseMask, call.error);
  if (isPresent(call.args.sftMask))
    masks.isSft =
        readMaskValue(call.args.sftMask, elementOf(call.args.sftMask, call.responses, place),
                      Finding::sftMask, call.error);
  return masks;
}

// Of a thread's tokens.
struct Counted {
  unsigned int tokens = 0, sftTokens = 0;
};

__device__ void fillToken(const LossCall& call, int64_t token, Counted* counted) {
  const TokenPlace place{token, responseOf(call.responses, token)};
  TokenRecord<float> record{};
  setMasks(readMasks(call, place), call.options.paddingInAuxiliaryTerms != 0, &record);
  readInputs(call.args, call.responses, place, &record);
  if (isPresent(call.args.logits))
    readTokenOfRow(call.memory.sort, token, record.contributes, call.error);
  if (countsPerResponse(call.options))
    addCount(call.memory.counts + 2 + place.response, record.counts);
  counted->tokens += record.counts;
  counted->sftTokens += record.isSft;
  call.memory.records[token] = record;
}

__device__ FindingDetail detailOf(const LossCall& call, Finding finding, int64_t i) {
  if (finding == Finding::responseMask)
    return {static_cast<const uint8_t*>(call.args.responseMask.data)[i], 1};
  if (finding == Finding::sftMask)
    return {static_cast<const uint8_t*>(call.args.sftMask.data)[i], 1};
  return tokenFindingDetail(call.memory.sort, finding, i);
}

__global__ void __launch_bounds__(kTokenThreads) fillRecords(LossCall call) {
  if (!mayCheck(call.error)) return;
  PAPO_SHARED_ARRAY(unsigned int, scratch, kTokenThreads / 32);
  checkResponseMask(call);
  Counted counted;
  forEachToken(call.responses.rows, [&](int64_t token) { fillToken(call, token, &counted); });
  const unsigned int tokens = blockSum(counted.tokens, scratch);
  const unsigned int sftTokens = blockSum(counted.sftTokens, scratch);
  if (threadIdx.x == 0) {
    addCount(call.memory.counts, tokens);
    addCount(call.memory.counts + 1, sftTokens);
  }
  if (isCheckDone(call.error))
    publishFinding(call.error,
                   [&](Finding finding, int64_t i) { return detailOf(call, finding, i); });
}

__global__ void __launch_bounds__(kTokenThreads) shareRecords(LossCall call) {
  if (call.error->key != 0) return;
  const Denominators d = denominators(call.options, batchSize(call));
  const CommonShares<float> common = commonShares<float>(d);
  const bool perResponse = countsPerResponse(call.options);
  forEachToken(call.responses.rows, [&](int64_t token) {
    const int64_t counted =
        perResponse ? countedTokens(call, responseOf(call.responses, token)) : 0;
    setShares(call.options, common, policyShare(call.options, d, counted),
              call.memory.records + token);
  });
}

}  // namespace

papo_status fillTokens(Context& context, const LossCall& call) {
  const size_t counts = static_cast<size_t>(2 + call.responses.count) * sizeof(int64_t);
  PAPO_CUDA_TRY("papo_loss", cudaMemsetAsync(call.memory.counts, 0, counts, context.stream()));
  PAPO_TRY(clearRowCounts(context, call.memory.sort));
  const dim3 grid(workBlocks(call.responses.rows, kTokenThreads));
  PAPO_CUDA_TRY("papo_loss", launch(fillRecords, grid, kTokenThreads, 0, context.stream(), call));
  return PAPO_OK;
}

papo_status setTokenShares(Context& context, const LossCall& call) {
  const dim3 grid(workBlocks(call.responses.rows, kTokenThreads));
  PAPO_CUDA_TRY("papo_loss", launch(shareRecords, grid, kTokenThreads, 0, context.stream(), call));
  return PAPO_OK;
}

}  // namespace papo::cuda
