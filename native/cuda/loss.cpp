// papo_loss on a CUDA engine: its stages in order on the engine's stream (docs/architecture.md).
//
// The stages are those of the CPU (loss/loss.cpp), by the same formulas on records of float, with sums
// in double. Nothing waits for the device, so the choice between them depends on the arguments alone.
#include "cuda/loss_call.h"
#include "cuda/operations.h"
#include "cuda/rows.h"
#include "loss/loss_checks.h"
#include "loss/selection.h"

namespace papo::cuda {
namespace {

RowTensor rowTensor(const papo_tensor& tensor) { return {tensor.data, tensor.rowStride}; }

bool hasMasked(const papo_loss_args& a) {
  return isPresent(a.maskedLogits) || isPresent(a.maskedLogProbs);
}

bool hasSequenceRatio(const papo_objective& o) { return o.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE; }

RowsCall rowsCall(const LossCall& call) {
  const papo_loss_args& a = call.args;
  RowsCall rows;
  rows.logits = rowTensor(a.logits);
  rows.maskedLogits = rowTensor(a.maskedLogits);
  rows.logitsGrad = rowTensor(a.logitsGrad);
  rows.maskedLogitsGrad = rowTensor(a.maskedLogitsGrad);
  rows.dtype = a.logits.dtype;
  rows.rows = a.logits.rows;
  rows.vocabSize = a.logits.columns;
  rows.inverseTemperature = 1 / call.options.temperature;
  rows.exactKl = isPresent(a.maskedLogits) &&
                 call.options.perceptionKlEstimator == PAPO_PERCEPTION_KL_ESTIMATOR_EXACT;
  rows.sumOfSquares = a.gradNorm != 0;
  rows.hasOldLogProbs = isPresent(a.oldLogProbs);
  rows.tokens = call.memory.tokenRows;
  rows.records = call.memory.records;
  rows.entries = call.memory.entries;
  rows.statistics = call.memory.statistics;
  rows.objective = call.objective;
  rows.error = call.error;
  return rows;
}

papo_status evaluate(Context& context, const LossCall& call) {
  return hasSequenceRatio(call.options) ? evaluateResponses(context, call)
                                        : evaluateTokens(context, call);
}

papo_status runRows(Context& context, const LossCall& call) {
  const RowsCall rows = rowsCall(call);
  if (isTokenLocal(call.options)) return launchLocalRows(context, rows);
  PAPO_TRY(launchRowStatistics(context, rows));
  PAPO_TRY(findThresholds(context, call));
  PAPO_TRY(evaluate(context, call));
  if (!rows.logitsGrad.data && !rows.maskedLogitsGrad.data) return PAPO_OK;
  return launchRowGradients(context, rows);
}

papo_status run(Context& context, const LossCall& call) {
  PAPO_TRY(fillTokens(context, call));
  PAPO_TRY(setTokenShares(context, call));
  if (isPresent(call.args.logits)) {
    PAPO_TRY(sortTokensByRow(context, call.memory.sort));
    PAPO_TRY(runRows(context, call));
  } else {
    PAPO_TRY(findThresholds(context, call));
    PAPO_TRY(evaluate(context, call));
  }
  return reduceTokens(context, call);
}

papo_status copyLengths(Context& context, const Responses& responses, LossCall* call) {
  if (!responses.cuSeqlens) return PAPO_OK;
  const size_t bytes = static_cast<size_t>(responses.count + 1) * sizeof *responses.cuSeqlens;
  PAPO_CUDA_TRY("cuSeqlens", cudaMemcpyAsync(call->memory.cuSeqlens, responses.cuSeqlens, bytes,
                                             cudaMemcpyHostToDevice, context.stream()));
  call->responses.cuSeqlens = call->memory.cuSeqlens;
  return PAPO_OK;
}

}  // namespace

LossMemory LossMemory::layOut(Arena* arena, const papo_loss_args& args,
                              const Responses& responses) {
  const papo_objective& o = *args.objective;
  const int64_t tokens = responses.rows, count = responses.count;
  LossMemory m{};
  m.records = arena->take<TokenRecord<float>>(tokens);
  if (responses.cuSeqlens) m.cuSeqlens = arena->take<int64_t>(count + 1);
  m.counts = arena->take<int64_t>(2 + count);
  m.partials = arena->take<TokenSums>(chunksOf(tokens));
  if (!isTokenLocal(o)) m.keys = arena->take<uint32_t>(tokens);
  if (o.topEntropyFraction < 1) m.entropyThreshold = arena->take<Threshold>(1);
  if (o.perceptionTopFraction < 1 && hasMasked(args)) {
    m.weightedKls = arena->take<float>(tokens);
    m.klThresholds = arena->take<Threshold>(count);
  }
  if (hasSequenceRatio(o)) m.responseClips = arena->take<ResponseClips>(count);
  if (!isPresent(args.logits)) return m;
  m.sort = TokenSort::layOut(arena, {args.logits, args.tokens, args.rowIndex}, &m.tokenRows);
  if (isPresent(args.rowIndex)) m.entries = arena->take<SampledEntry>(tokens);
  if (!isTokenLocal(o)) m.statistics = arena->take<RowStatistics>(tokens);
  return m;
}

papo_status lossWorkspace(const papo_loss_args& args, const Responses& responses, size_t* bytes) {
  Arena arena(nullptr);
  LossMemory::layOut(&arena, args, responses);
  *bytes = arena.used();
  return PAPO_OK;
}

papo_status loss(Context& context, const papo_loss_args& args, const Responses& responses,
                 void* workspace, size_t bytes) {
  size_t needed = 0;
  PAPO_TRY(lossWorkspace(args, responses, &needed));
  PAPO_TRY(requireWorkspace(workspace, bytes, needed));
  PAPO_TRY(requireOwnWorkspace(args, workspace, needed));
  PAPO_TRY(context.makeCurrent());
  Arena arena(workspace);
  LossCall call{args,
                *args.objective,
                tokenObjective<float>(*args.objective),
                responses,
                LossMemory::layOut(&arena, args, responses),
                context.error()};
  PAPO_TRY(copyLengths(context, responses, &call));
  return run(context, call);
}

}  // namespace papo::cuda
