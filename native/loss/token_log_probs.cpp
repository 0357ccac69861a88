// papo_token_log_probs: row statistics of one branch, for old, reference and masked scoring.
#include "cuda/operations.h"
#include "engine/engine.h"
#include "loss/log_probs_checks.h"
#include "loss/loss_checks.h"
#include "loss/token_rows.h"

namespace papo {
namespace {

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
  PAPO_TRY(checkLogProbsArguments(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
#if PAPO_WITH_CUDA
  if (engine->isCuda()) return cuda::tokenLogProbsWorkspace(*args, bytes);
#endif
  Arena arena(nullptr);
  Workspace::layOut(&arena, *args);
  *bytes = arena.used();
  return PAPO_OK;
}

extern "C" papo_status papo_token_log_probs(papo_engine* engine,
                                            const papo_token_log_probs_args* args, void* workspace,
                                            size_t workspaceBytes) {
  using namespace papo;
  PAPO_TRY(checkLogProbsArguments(engine, args));
#if PAPO_WITH_CUDA
  if (engine->isCuda()) return cuda::tokenLogProbs(*engine->cuda, *args, workspace, workspaceBytes);
#endif
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
