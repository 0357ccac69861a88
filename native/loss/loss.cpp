// papo_loss: row statistics, token terms, row gradients, in that order (docs/architecture.md).
//
// For an objective that is local to a token the three stages run row by row, while the row is still
// in cache. A sequence ratio or a quantile needs every row's statistics first; the rows are then
// swept a second time. Each thread writes only to the gradients of its own rows and the records of
// their tokens, and the sums run over the records in order afterwards: same inputs, same bits,
// whatever the threads.
#include <cstring>

#include "cuda/operations.h"
#include "engine/engine.h"
#include "loss/batch.h"
#include "loss/loss_checks.h"
#include "loss/reduction.h"
#include "loss/selection.h"
#include "loss/shared_slopes.h"
#include "loss/token_io.h"
#include "loss/token_rows.h"

namespace papo {
namespace {

TokenArguments tokenArguments(const papo_loss_args& args) {
  return {args.logits, args.tokens, args.rowIndex};
}

template <class Real>
struct Workspace {
  TokenRecord<Real>* records;  // [N]
  Real* selection;             // [N], of an objective that is not local to a token
  TokenRows tokenRows;         // of a call with logits
  SampledEntry* entries;       // [N], with a row index; by the place of a row
  RowStatistics* statistics;   // [N], between two sweeps; by the place of a row

  static Workspace layOut(Arena* arena, const papo_loss_args& args, int64_t tokens) {
    Workspace w{};
    w.records = arena->take<TokenRecord<Real>>(tokens);
    const bool isLocal = isTokenLocal(*args.objective);
    if (!isLocal) w.selection = arena->take<Real>(tokens);
    if (!isPresent(args.logits)) return w;
    w.tokenRows = TokenRows::layOut(arena, tokenArguments(args));
    if (isPresent(args.rowIndex)) w.entries = arena->take<SampledEntry>(tokens);
    if (!isLocal) w.statistics = arena->take<RowStatistics>(tokens);
    return w;
  }
};

template <class Real>
class LossCall {
 public:
  LossCall(papo_engine* engine, const papo_loss_args& args, const Responses& responses,
           const Workspace<Real>& workspace)
      : engine_(engine),
        args_(args),
        objective_(tokenObjective<Real>(*args.objective)),
        workspace_(workspace),
        tokens_(workspace.tokenRows),
        batch_(args, responses, workspace.records) {
    if (!isPresent(args.logits)) return;
    kernels_ = engine->instructionSet->kernels[args.logits.dtype];
    exactKl_ = isPresent(args.maskedLogits) &&
               args.objective->perceptionKlEstimator == PAPO_PERCEPTION_KL_ESTIMATOR_EXACT;
  }

  papo_status run() {
    PAPO_TRY(batch_.fill());
    if (isPresent(args_.logits))
      PAPO_TRY(tokens_.read(tokenArguments(args_),
                            [this](int64_t token) { return batch_[token].contributes; }));
    if (isTokenLocal(*args_.objective))
      runLocal();
    else
      runWithSelection();
    writePerToken();
    writeMetrics();
    return PAPO_OK;
  }

 private:
  void runLocal() {
    if (!isPresent(args_.logits)) return evaluateAll();
    sweep([this](int64_t row) {
      RowStatistics statistics;
      readStatistics(row, &statistics);
      for (int64_t i = 0; i < tokens_.count(row); ++i) evaluate(tokens_.at(row, i));
      writeGradient(row, &statistics);
    });
  }

  void runWithSelection() {
    if (isPresent(args_.logits)) sweep([this](int64_t row) { readStatistics(row, &kept(row)); });
    selectTokens(*args_.objective, objective_, &batch_, workspace_.selection);
    if (args_.objective->ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE)
      evaluateWithResponseRatios();
    else
      evaluateAll();
    if (!wantsGradient()) return;
    sweep([this](int64_t row) { writeGradient(row, &kept(row)); });
  }

  RowStatistics& kept(int64_t row) { return workspace_.statistics[tokens_.place(row)]; }

  // --- rows ---------------------------------------------------------------------------------------

  bool wantsGradient() const {
    return isPresent(args_.logitsGrad) || isPresent(args_.maskedLogitsGrad);
  }

  template <class Body>
  void sweep(Body&& body) {
    forEachRow(engine_, args_.logits.rows, args_.logits.columns, [&](int64_t row) {
      if (tokens_.count(row) > 0)
        body(row);
      else
        clearGradients(row);
    });
  }

  static void* rowOf(const papo_tensor& tensor, int64_t row) {
    if (!tensor.data) return nullptr;
    return static_cast<unsigned char*>(tensor.data) +
           static_cast<size_t>(row * tensor.rowStride) * dtypeBytes(tensor.dtype);
  }

  // The row of a branch, alone or with the same row of the other, for one of its tokens.
  RowPair rowPair(int64_t row, int64_t token, const papo_tensor& logits,
                  const papo_tensor* maskedLogits) const {
    RowPair pair;
    pair.logits = rowOf(logits, row);
    pair.maskedLogits = maskedLogits ? rowOf(*maskedLogits, row) : nullptr;
    pair.vocabSize = args_.logits.columns;
    pair.token = tokens_.id(token);
    pair.inverseTemperature = 1 / args_.objective->temperature;
    pair.exactKl = exactKl_;
    return pair;
  }

  // Whether the gradients need both rows. If not, the masked row is read first and alone, so that
  // the image row is in the cache when its gradient is due.
  bool needsPair() const { return exactKl_ || isPresent(args_.maskedLogitsGrad); }

  // Of the row once, and of each of its tokens. Left for the last token.
  void readStatistics(int64_t row, RowStatistics* statistics) {
    const int64_t first = tokens_.at(row, 0);
    if (isPresent(args_.maskedLogits) && !needsPair()) {
      kernels_.statistics(rowPair(row, first, args_.maskedLogits, nullptr), statistics);
      const BranchStatistics branch = statistics->image;
      kernels_.statistics(rowPair(row, first, args_.logits, nullptr), statistics);
      statistics->masked = branch;
    } else {
      kernels_.statistics(rowPair(row, first, args_.logits, &args_.maskedLogits), statistics);
    }
    setInputs(first, *statistics);
    if (tokens_.count(row) > 1) readOtherTokens(row, statistics);
  }

  void readOtherTokens(int64_t row, RowStatistics* statistics) {
    for (int64_t i = 1; i < tokens_.count(row); ++i) {
      const int64_t token = tokens_.at(row, i);
      kernels_.retarget(rowPair(row, token, args_.logits, &args_.maskedLogits), statistics);
      setInputs(token, *statistics);
    }
  }

  void setInputs(int64_t token, const RowStatistics& statistics) {
    papo::setInputs(statistics, isPresent(args_.maskedLogits), &batch_[token].inputs);
  }

  RowSlopes slopesOf(int64_t token) const { return rowSlopes(batch_[token].slopes); }

  RowSlopes sharedSlopes(int64_t row, RowStatistics* statistics) const {
    SharedSlopes shared(workspace_.entries + tokens_.place(row));
    for (int64_t i = 0; i < tokens_.count(row); ++i) {
      const int64_t token = tokens_.at(row, i);
      kernels_.retarget(rowPair(row, token, args_.logits, &args_.maskedLogits), statistics);
      shared.add(tokens_.id(token), *statistics, slopesOf(token));
    }
    return shared.finish();
  }

  void writeGradient(int64_t row, RowStatistics* statistics) {
    if (!wantsGradient()) return;
    const int64_t first = tokens_.at(row, 0);
    const RowPair pair =
        rowPair(row, first, args_.logits, needsPair() ? &args_.maskedLogits : nullptr);
    const RowSlopes slopes =
        tokens_.count(row) == 1 ? slopesOf(first) : sharedSlopes(row, statistics);
    RowGradients out{rowOf(args_.logitsGrad, row), rowOf(args_.maskedLogitsGrad, row)};
    if (!objective_.maskedGradient) out.maskedLogits = nullptr;
    batch_[first].sumOfSquares =
        kernels_.gradient(pair, *statistics, slopes, out, args_.gradNorm != 0);
    // After the row's own gradient, which reads the masked logits that this may overwrite.
    if (!objective_.maskedGradient) clearRow(args_.maskedLogitsGrad, row);
  }

  void clearGradients(int64_t row) {
    clearRow(args_.logitsGrad, row);
    clearRow(args_.maskedLogitsGrad, row);
  }

  static void clearRow(const papo_tensor& gradient, int64_t row) {
    if (!isPresent(gradient)) return;
    std::memset(rowOf(gradient, row), 0,
                static_cast<size_t>(gradient.columns) * dtypeBytes(gradient.dtype));
  }

  // --- tokens -------------------------------------------------------------------------------------

  void evaluateAll() {
    for (int64_t row = 0; row < batch_.responses().rows; ++row) evaluate(row);
  }

  void evaluate(int64_t row) {
    if (batch_[row].contributes)
      evaluateToken(objective_, isPresent(args_.oldLogProbs), &batch_[row]);
  }

  // GSPO: all tokens of a response share the clamped mean of their log-ratios, and the slope in it
  // returns to each of them divided by their number (Eq. 9).
  void evaluateWithResponseRatios() {
    for (int64_t b = 0; b < batch_.responses().count; ++b) {
      const int64_t begin = batch_.responses().begin(b), end = batch_.responses().end(b);
      const double count = denominator(static_cast<double>(batch_.countedTokens(b)), 0);
      const Clamped<Real> ratio = responseLogRatio(begin, end, count);
      double responseSlope = 0;
      for (int64_t row = begin; row < end; ++row) {
        TokenRecord<Real>& token = batch_[row];
        if (!token.contributes) continue;
        evaluateToken(objective_, ratio, &token);
        responseSlope += static_cast<double>(token.slopes.logRatio);
      }
      for (int64_t row = begin; row < end; ++row) {
        if (batch_[row].counts)
          batch_[row].slopes.logProb += Real(responseSlope / count) * ratio.slope;
      }
    }
  }

  Clamped<Real> responseLogRatio(int64_t begin, int64_t end, double count) const {
    if (!isPresent(args_.oldLogProbs)) return {0, 1};
    double sum = 0;
    for (int64_t row = begin; row < end; ++row) {
      const TokenInputs<Real>& in = batch_[row].inputs;
      if (batch_[row].counts) sum += static_cast<double>(in.logProb - in.oldLogProb);
    }
    return papo::responseLogRatio(objective_, sum, count);
  }

  // --- results ------------------------------------------------------------------------------------

  void writePerToken() {
    for (int64_t row = 0; row < batch_.responses().rows; ++row)
      writeOutputs(args_, row, batch_[row]);
  }

  void writeMetrics() {
    reduceBatch(*args_.objective, batch_, metricsContext(args_, batch_.size()),
                static_cast<double*>(args_.metrics.data));
  }

  papo_engine* engine_;
  const papo_loss_args& args_;
  TokenObjective<Real> objective_;
  Workspace<Real> workspace_;
  TokenRows tokens_;
  Batch<Real> batch_;
  RowKernels kernels_{};
  bool exactKl_ = false;
};

template <class Real>
papo_status runLoss(papo_engine* engine, const papo_loss_args& args, const Responses& responses,
                    void* memory, size_t bytes) {
  Arena sizes(nullptr);
  Workspace<Real>::layOut(&sizes, args, responses.rows);
  PAPO_TRY(requireWorkspace(memory, bytes, sizes.used()));
  PAPO_TRY(requireOwnWorkspace(args, memory, sizes.used()));
  Arena arena(memory);
  const auto workspace = Workspace<Real>::layOut(&arena, args, responses.rows);
  return LossCall<Real>(engine, args, responses, workspace).run();
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_loss_workspace(const papo_engine* engine, const papo_loss_args* args,
                                           size_t* bytes) {
  using namespace papo;
  PAPO_TRY(requireArgs(engine, args));
  if (!bytes) return fail(PAPO_INVALID_ARGUMENT, "bytes: expected a pointer, got null");
  Responses responses;
  PAPO_TRY(checkLossArguments(*engine, *args, &responses));
#if PAPO_WITH_CUDA
  if (engine->isCuda()) return cuda::lossWorkspace(*args, responses, bytes);
#endif
  Arena arena(nullptr);
  if (engine->isReference())
    Workspace<double>::layOut(&arena, *args, responses.rows);
  else
    Workspace<float>::layOut(&arena, *args, responses.rows);
  *bytes = arena.used();
  return PAPO_OK;
}

extern "C" papo_status papo_loss(papo_engine* engine, const papo_loss_args* args, void* workspace,
                                 size_t workspaceBytes) {
  using namespace papo;
  PAPO_TRY(requireArgs(engine, args));
  Responses responses;
  PAPO_TRY(checkLossArguments(*engine, *args, &responses));
#if PAPO_WITH_CUDA
  if (engine->isCuda())
    return cuda::loss(*engine->cuda, *args, responses, workspace, workspaceBytes);
#endif
  return engine->isReference()
             ? runLoss<double>(engine, *args, responses, workspace, workspaceBytes)
             : runLoss<float>(engine, *args, responses, workspace, workspaceBytes);
}
