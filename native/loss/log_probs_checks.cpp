#include "loss/log_probs_checks.h"

namespace papo {

papo_status checkLogProbsArguments(const papo_engine* engine, const papo_token_log_probs_args* a) {
  PAPO_TRY(requireArgs(engine, a));
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
  const int64_t tokens = isPresent(a->rowIndex) ? a->tokens.rows : rows;
  PAPO_TRY(requireVector({"tokens", &a->tokens}, tokens, dtypeBit(PAPO_INT32)));
  if (tokens < 1)
    return fail(PAPO_INVALID_SHAPE, "tokens: expected at least one, got %lld",
                static_cast<long long>(tokens));
  if (isPresent(a->rowIndex))
    PAPO_TRY(requireVector({"rowIndex", &a->rowIndex}, tokens, dtypeBit(PAPO_INT32)));
  PAPO_TRY(requireVector({"logProbs", &a->logProbs}, tokens, real));
  if (isPresent(a->responseMask))
    PAPO_TRY(requireVector({"responseMask", &a->responseMask}, tokens, dtypeBit(PAPO_UINT8)));
  if (isPresent(a->entropies)) PAPO_TRY(requireVector({"entropies", &a->entropies}, tokens, real));
  if (isPresent(a->logSumExps))
    PAPO_TRY(requireVector({"logSumExps", &a->logSumExps}, tokens, real));
  return requireDisjoint(
      {{"logits", &a->logits},
       {"tokens", &a->tokens},
       {"rowIndex", &a->rowIndex},
       {"responseMask", &a->responseMask}},
      {{"logProbs", &a->logProbs}, {"entropies", &a->entropies}, {"logSumExps", &a->logSumExps}},
      {});
}

papo_status requireOwnWorkspace(const papo_token_log_probs_args& a, const void* workspace,
                                size_t bytes) {
  const papo_tensor view = bytesView(workspace, bytes);
  return requireDisjoint({{"logits", &a.logits},
                          {"tokens", &a.tokens},
                          {"rowIndex", &a.rowIndex},
                          {"responseMask", &a.responseMask},
                          {"logProbs", &a.logProbs},
                          {"entropies", &a.entropies},
                          {"logSumExps", &a.logSumExps}},
                         {{"workspace", &view}}, {});
}

}  // namespace papo
