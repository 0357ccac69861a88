// papo_token_log_probs on a CUDA engine: the statistics of the rows, as the loss takes them.
#include "cuda/log_probs_call.h"
#include "cuda/operations.h"
#include "cuda/rows.h"
#include "loss/log_probs_checks.h"

namespace papo::cuda {
namespace {

LogProbsCall layOut(Arena* arena, const papo_token_log_probs_args& args, DeviceError* error) {
  LogProbsCall call{args, {}, {}, error};
  call.sort = TokenSort::layOut(arena, {args.logits, args.tokens, args.rowIndex}, &call.tokenRows);
  return call;
}

RowsCall rowsCall(const LogProbsCall& call) {
  const papo_token_log_probs_args& a = call.args;
  RowsCall rows;
  rows.logits = {a.logits.data, a.logits.rowStride};
  rows.dtype = a.logits.dtype;
  rows.rows = a.logits.rows;
  rows.vocabSize = a.logits.columns;
  rows.inverseTemperature = 1 / a.temperature;
  rows.tokens = call.tokenRows;
  rows.logProbOutputs = {static_cast<float*>(a.logProbs.data),
                         static_cast<float*>(a.entropies.data),
                         static_cast<float*>(a.logSumExps.data)};
  rows.error = call.error;
  return rows;
}

}  // namespace

papo_status tokenLogProbsWorkspace(const papo_token_log_probs_args& args, size_t* bytes) {
  Arena arena(nullptr);
  layOut(&arena, args, nullptr);
  *bytes = arena.used();
  return PAPO_OK;
}

papo_status tokenLogProbs(Context& context, const papo_token_log_probs_args& args, void* workspace,
                          size_t bytes) {
  size_t needed = 0;
  PAPO_TRY(tokenLogProbsWorkspace(args, &needed));
  PAPO_TRY(requireWorkspace(workspace, bytes, needed));
  PAPO_TRY(requireOwnWorkspace(args, workspace, needed));
  PAPO_TRY(context.makeCurrent());
  Arena arena(workspace);
  const LogProbsCall call = layOut(&arena, args, context.error());
  PAPO_TRY(readScoredTokens(context, call));
  PAPO_TRY(sortTokensByRow(context, call.sort));
  PAPO_TRY(launchRowStatistics(context, rowsCall(call)));
  return clearOtherTokens(context, call);
}

}  // namespace papo::cuda
