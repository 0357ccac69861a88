// papo_token_log_probs: row statistics of one branch, for old, reference and masked scoring.
#include "engine/engine.h"
#include "engine/tensors.h"
#include "loss/loss_checks.h"
#include "loss/token_rows.h"

namespace papo {
namespace {

papo_status checkArguments(const papo_engine* engine, const papo_token_log_probs_args* a) {
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

TokenArguments tokenArguments(const papo_token_log_probs_args& a) {
  return {a.logits, a.tokens, a.rowIndex};
}

struct Workspace {
  bool* counts;  // [N]
  TokenRows tokens;

  static Workspace layOut(Arena* arena, const papo_token_log_probs_args& a) {
    Workspace w;
    w.counts = arena->take<bool>(a.tokens.rows);
    w.tokens = TokenRows::layOut(arena, tokenArguments(a));
    return w;
  }
};

papo_status readTokens(const papo_token_log_probs_args& a, Workspace* w) {
  for (int64_t token = 0; token < a.tokens.rows; ++token) {
    w->counts[token] = true;
    if (isPresent(a.responseMask))
      PAPO_TRY(readMask({"responseMask", &a.responseMask}, token, &w->counts[token]));
  }
  return w->tokens.read(tokenArguments(a), [w](int64_t token) { return w->counts[token]; });
}

template <class Real>
void writeToken(const papo_token_log_probs_args& a, int64_t token, const BranchStatistics& s) {
  const auto write = [token](const papo_tensor& tensor, double value) {
    if (isPresent(tensor)) static_cast<Real*>(tensor.data)[token] = static_cast<Real>(value);
  };
  write(a.logProbs, s.logProb);
  write(a.entropies, s.entropy);
  write(a.logSumExps, s.max + s.logSum);
}

template <class Real>
void run(papo_engine* engine, const papo_token_log_probs_args& a, const Workspace& w) {
  const RowKernels kernels = engine->instructionSet->kernels[a.logits.dtype];
  forEachRow(engine, a.logits.rows, a.logits.columns, [&](int64_t row) {
    RowPair pair;
    pair.logits = static_cast<const unsigned char*>(a.logits.data) +
                  static_cast<size_t>(row * a.logits.rowStride) * dtypeBytes(a.logits.dtype);
    pair.vocabSize = a.logits.columns;
    pair.inverseTemperature = 1 / a.temperature;
    RowStatistics statistics;
    for (int64_t i = 0; i < w.tokens.count(row); ++i) {
      const int64_t token = w.tokens.at(row, i);
      pair.token = w.tokens.id(token);
      (i == 0 ? kernels.statistics : kernels.retarget)(pair, &statistics);
      writeToken<Real>(a, token, statistics.image);
    }
  });
  for (int64_t token = 0; token < a.tokens.rows; ++token)
    if (!w.counts[token]) writeToken<Real>(a, token, BranchStatistics());
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_token_log_probs_workspace(const papo_engine* engine,
                                                      const papo_token_log_probs_args* args,
                                                      size_t* bytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
  Arena arena(nullptr);
  Workspace::layOut(&arena, *args);
  *bytes = arena.used();
  return PAPO_OK;
}

extern "C" papo_status papo_token_log_probs(papo_engine* engine,
                                            const papo_token_log_probs_args* args, void* workspace,
                                            size_t workspaceBytes) {
  using namespace papo;
  PAPO_TRY(checkArguments(engine, args));
  Arena sizes(nullptr);
  Workspace::layOut(&sizes, *args);
  PAPO_TRY(requireWorkspace(workspace, workspaceBytes, sizes.used()));
  PAPO_TRY(requireOwnWorkspace(*args, workspace, sizes.used()));
  Arena arena(workspace);
  Workspace laidOut = Workspace::layOut(&arena, *args);
  PAPO_TRY(readTokens(*args, &laidOut));
  if (engine->isReference())
    run<double>(engine, *args, laidOut);
  else
    run<float>(engine, *args, laidOut);
  return PAPO_OK;
}
