// The tokens of papo_token_log_probs: which of them count, and 0 for those that do not.
#include "cuda/log_probs_call.h"
#include "cuda/token_sort.cuh"
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

__global__ void __launch_bounds__(kTokenThreads) readTokens(LogProbsCall call) {
  if (!mayCheck(call.error)) return;
  const papo_tensor& mask = call.args.responseMask;
  forEachToken(call.sort.tokens, [&](int64_t token) {
    const bool counts =
        !isPresent(mask) || readMaskValue(mask, token, Finding::responseMask, call.error);
    readTokenOfRow(call.sort, token, counts, call.error);
  });
  if (!isCheckDone(call.error)) return;
  publishFinding(call.error, [&](Finding finding, int64_t i) -> FindingDetail {
    if (finding == Finding::responseMask) return {static_cast<const uint8_t*>(mask.data)[i], 1};
    return tokenFindingDetail(call.sort, finding, i);
  });
}

__device__ __forceinline__ void clear(const papo_tensor& tensor, int64_t token) {
  if (isPresent(tensor)) static_cast<float*>(tensor.data)[token] = 0;
}

__global__ void __launch_bounds__(kTokenThreads) clearUncounted(LogProbsCall call) {
  if (call.error->key != 0) return;
  forEachToken(call.sort.tokens, [&](int64_t token) {
    if (call.tokenRows.id(token) >= 0) return;
    clear(call.args.logProbs, token);
    clear(call.args.entropies, token);
    clear(call.args.logSumExps, token);
  });
}

}  // namespace

papo_status readScoredTokens(Context& context, const LogProbsCall& call) {
  PAPO_TRY(clearRowCounts(context, call.sort));
  const dim3 grid(workBlocks(call.sort.tokens, kTokenThreads));
  PAPO_CUDA_TRY("papo_token_log_probs",
                launch(readTokens, grid, kTokenThreads, 0, context.stream(), call));
  return PAPO_OK;
}

papo_status clearOtherTokens(Context& context, const LogProbsCall& call) {
  if (!isPresent(call.args.responseMask)) return PAPO_OK;
  const dim3 grid(workBlocks(call.sort.tokens, kTokenThreads));
  PAPO_CUDA_TRY("papo_token_log_probs",
                launch(clearUncounted, grid, kTokenThreads, 0, context.stream(), call));
  return PAPO_OK;
}

}  // namespace papo::cuda
