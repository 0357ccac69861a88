// papo_token_log_probs: row statistics of one branch, for old, reference and masked scoring.
#include "engine/engine.h"
#include "engine/tensors.h"
#include "loss/loss_checks.h"

namespace papo {
namespace {

papo_status checkArguments(const papo_engine* engine, const papo_token_log_probs_args* a) {
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  if (!a) return fail(PAPO_INVALID_ARGUMENT, "args: expected arguments, got null");
  if (a->size != sizeof *a)
    return fail(PAPO_INVALID_ARGUMENT, "args: expected size %zu, got %zu", sizeof *a, a->size);
  if (!(a->temperature > 0) || a->temperature > 1e30)
    return fail(PAPO_INVALID_OPTION, "temperature: expected a finite number > 0, got %g",
                a->temperature);
  const unsigned real = dtypeBit(engine->isReference() ? PAPO_FLOAT64 : PAPO_FLOAT32);
  const unsigned logits = kLogitsDTypes | (engine->isReference() ? real : 0u);
  const int64_t rows = a->logits.rows, vocabSize = a->logits.columns;
  if (isPresent(a->logits) && (rows < 1 || vocabSize < 1))
    return fail(PAPO_INVALID_SHAPE, "logits: expected at least one row and column, got %lld, %lld",
                static_cast<long long>(rows), static_cast<long long>(vocabSize));
  PAPO_TRY(requireMatrix({"logits", &a->logits}, rows, vocabSize, logits));
  PAPO_TRY(requireVector({"tokens", &a->tokens}, rows, dtypeBit(PAPO_INT32)));
  PAPO_TRY(requireVector({"logProbs", &a->logProbs}, rows, real));
  if (isPresent(a->responseMask))
    PAPO_TRY(requireVector({"responseMask", &a->responseMask}, rows, dtypeBit(PAPO_UINT8)));
  if (isPresent(a->entropies)) PAPO_TRY(requireVector({"entropies", &a->entropies}, rows, real));
  if (isPresent(a->logSumExps)) PAPO_TRY(requireVector({"logSumExps", &a->logSumExps}, rows, real));
  return requireDisjoint(
      {{"logits", &a->logits}, {"tokens", &a->tokens}, {"responseMask", &a->responseMask}},
      {{"logProbs", &a->logProbs}, {"entropies", &a->entropies}, {"logSumExps", &a->logSumExps}},
      {});
}

papo_status checkValues(const papo_token_log_probs_args& a) {
  if (isPresent(a.responseMask)) PAPO_TRY(requireBinary({"responseMask", &a.responseMask}));
  return checkTokens(a.tokens, a.responseMask, false, a.logits.columns);
}

template <class Real>
void writeRow(const papo_token_log_probs_args& a, int64_t row, const BranchStatistics& s) {
  const auto write = [row](const papo_tensor& tensor, double value) {
    if (isPresent(tensor)) static_cast<Real*>(tensor.data)[row] = static_cast<Real>(value);
  };
  write(a.logProbs, s.logProb);
  write(a.entropies, s.entropy);
  write(a.logSumExps, s.max + s.logSum);
}

template <class Real>
void run(papo_engine* engine, const papo_token_log_probs_args& a) {
  const RowKernels kernels = engine->instructionSet->kernels[a.logits.dtype];
  const auto* mask = static_cast<const uint8_t*>(a.responseMask.data);
  forEachRow(engine, a.logits.rows, a.logits.columns, [&](int64_t row) {
    RowStatistics statistics;
    const bool counts = !mask || mask[row] != 0;
    if (counts) {
      RowPair pair;
      pair.logits = static_cast<const unsigned char*>(a.logits.data) +
                    static_cast<size_t>(row * a.logits.rowStride) * dtypeBytes(a.logits.dtype);
      pair.vocabSize = a.logits.columns;
      pair.token = static_cast<const int32_t*>(a.tokens.data)[row];
      pair.inverseTemperature = 1 / a.temperature;
      kernels.statistics(pair, &statistics);
    }
    writeRow<Real>(a, row, statistics.image);
  });
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_token_log_probs_workspace(const papo_engine* engine,
                                                      const papo_token_log_probs_args* args,
                                                      size_t* bytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
  *bytes = 0;  // the row kernels need none
  return PAPO_OK;
}

extern "C" papo_status papo_token_log_probs(papo_engine* engine,
                                            const papo_token_log_probs_args* args,
                                            void* /*workspace*/, size_t /*workspaceBytes*/) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  PAPO_TRY(checkValues(*args));
  if (engine->isReference())
    run<double>(engine, *args);
  else
    run<float>(engine, *args);
  return PAPO_OK;
}
