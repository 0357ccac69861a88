// What is decided of a row between reading it and writing its gradient: statistics, the tokens'
// terms and slopes, and the constants of Eq. 8. A matter of one warp, while the others wait.
#pragma once

#include <cuda_pipeline_primitives.h>

#include "cuda/row_sums.cuh"
#include "loss/shared_slopes.h"

namespace papo::cuda {

// One branch of Eq. 8 in units of log 2, for elements that no token sampled, u = log2 p:
//   dz = 2^u (constant + slope u),  u = (x - max) * toLog2 + minusLog2Sum
struct BranchConstants {
  float max, toLog2, minusLog2Sum, constant, slope;
};

// Of the exact KL: factor of u - u', constant of the image branch inside S, and d.
struct KlConstants {
  float differenceSlope, sharedConstant, d;
};

// For all warps of a block, in shared memory, where nothing is initialised.
struct RowPlan {
  BranchConstants image, masked;
  KlConstants kl;
  bool isTogether;  // the exact KL enters: both branches are read before either is written
  // Whose gradient has a value other than 0, and so needs the logits; whose memory is written.
  bool flowsToImage, flowsToMasked, writesImage, writesMasked;
  bool sumOfSquares;
  int64_t entryCount;           // what the row's tokens sampled, by ascending id
  const SampledEntry* entries;  // in RowWork, or in global memory where tokens share the row
};

// A row's plan and what it is made from.
struct RowWork {
  RowPlan plan;
  RowStatistics statistics;
  SampledEntry own;           // of a row with one token
  TokenRecord<float> record;  // of that token: copied in early, worked on, copied back
};

// ---- the record of the row's only token ----------------------------------------------------------

// Starts the copy of the record; finished by rowEpilogue of the same warp.
__device__ __forceinline__ void prefetchRecord(const RowsCall& call, int64_t row, RowWork* work) {
  constexpr int kChunks = static_cast<int>(sizeof(TokenRecord<float>) / 8);
  static_assert(sizeof(TokenRecord<float>) % 8 == 0 && kChunks <= kWarpLanes, "a chunk a lane");
  if (call.tokens.count(row) != 1 || laneIndex() >= kChunks) return;
  const TokenRecord<float>* const record = call.records + call.tokens.at(row, 0);
  __pipeline_memcpy_async(reinterpret_cast<unsigned char*>(&work->record) + 8 * laneIndex(),
                          reinterpret_cast<const unsigned char*>(record) + 8 * laneIndex(), 8);
  __pipeline_commit();
}

// ---- statistics ----------------------------------------------------------------------------------

// The logit that a token sampled, of branch 0 or 1, from wherever the row lies.
template <class T>
struct SampledLogits {
  const T* image;
  const T* masked;  // null: one branch
  __device__ float operator()(int branch, int64_t id) const {
    return toFloat((branch == 0 ? image : masked)[id]);
  }
};

// By one warp: lanes 0 and 1 take a branch each, since a logarithm in double takes its time.
template <RowKind kKind, class Logits>
__device__ __forceinline__ void rowStatistics(const RowScale& scale, const PairSums& sums,
                                              int64_t id, const Logits& logit, RowStatistics* out) {
  const int lane = laneIndex();
  if (lane == 0) out->image = branchStatistics(sums.image, logit(0, id), scale.inverseTemperature);
  if (lane == 1)
    out->masked = kKind == RowKind::kOne
                      ? BranchStatistics()
                      : branchStatistics(sums.masked, logit(1, id), scale.inverseTemperature);
  __syncwarp();
  if (lane == 0) {
    out->exactKl = 0;
    out->sharedMass = 1;
    if (kKind == RowKind::kExactPair) setExactKl(sums, out);
  }
}

template <class Logits>
__device__ __forceinline__ void retarget(const RowScale& scale, bool hasMasked, int64_t id,
                                         const Logits& logit, RowStatistics* statistics) {
  retargetBranch(logit(0, id), scale.inverseTemperature, &statistics->image);
  if (hasMasked) retargetBranch(logit(1, id), scale.inverseTemperature, &statistics->masked);
}

// ---- constants of the gradient -------------------------------------------------------------------

__device__ __forceinline__ BranchConstants branchConstants(const BranchStatistics& statistics,
                                                           double constant, double slope,
                                                           const RowScale& scale) {
  const double inverse = scale.inverseTemperature;
  return {product(statistics.max, 1 / inverse), scale.toLog2, product(statistics.logSum, -kLog2E),
          product(constant, inverse), product(slope, inverse * kLn2)};
}

// By one lane. entries: what the row's tokens sampled; their elements are set.
__device__ inline void setPlan(const RowsCall& call, const RowScale& scale,
                               const RowStatistics& statistics, const RowSlopes& slopes,
                               SampledEntry* entries, int64_t entryCount, RowPlan* plan) {
  const EntryRange range{entries, entries + entryCount};
  const GradientTerms terms = gradientTerms(statistics, slopes, range);
  for (int64_t i = 0; i < entryCount; ++i)
    setElements(statistics, slopes, terms, scale.inverseTemperature, entries + i);
  plan->image = branchConstants(statistics.image, terms.constant, -slopes.entropy, scale);
  plan->masked =
      branchConstants(statistics.masked, terms.maskedConstant, -slopes.maskedEntropy, scale);
  plan->kl = {product(slopes.exactKl, scale.inverseTemperature * kLn2),
              product(terms.sharedConstant, scale.inverseTemperature),
              product(slopes.exactKl, scale.inverseTemperature)};
  plan->isTogether = call.exactKl && slopes.exactKl != 0;
  plan->writesImage = call.logitsGrad.data != nullptr;
  plan->writesMasked = call.maskedLogitsGrad.data != nullptr;
  plan->flowsToImage = plan->writesImage && terms.flowsToImage;
  plan->flowsToMasked = plan->writesMasked && call.objective.maskedGradient && terms.flowsToMasked;
  plan->sumOfSquares = call.sumOfSquares;
  plan->entryCount = entryCount;
  plan->entries = entries;
}

// ---- epilogues, each by one warp; the caller synchronises the block behind them ------------------

// A row that several tokens share: every token's log-probs before anything is overwritten in place.
// evaluates: terms and slopes are due as well, else they are in the records. By one lane.
template <class Logits>
__device__ inline void planSharedRow(const RowsCall& call, const RowScale& scale, int64_t row,
                                     const Logits& logit, bool evaluates, RowWork* work) {
  const bool hasMasked = call.maskedLogits.data != nullptr;
  SampledEntry* const entries = call.entries + call.tokens.place(row);
  SharedSlopes shared(entries);
  for (int64_t i = 0; i < call.tokens.count(row); ++i) {
    const int64_t token = call.tokens.at(row, i), id = call.tokens.id(token);
    TokenRecord<float>* const record = call.records + token;
    retarget(scale, hasMasked, id, logit, &work->statistics);
    if (evaluates) {
      setInputs(work->statistics, hasMasked, &record->inputs);
      evaluateToken(call.objective, call.hasOldLogProbs, record);
    }
    shared.add(id, work->statistics, rowSlopes(record->slopes));
  }
  const RowSlopes slopes = shared.finish();
  setPlan(call, scale, work->statistics, slopes, entries, slopes.entryCount, &work->plan);
}

// By one lane.
__device__ inline void planOwnRow(const RowsCall& call, const RowScale& scale, int64_t id,
                                  const TokenSlopes<float>& tokenSlopes, RowWork* work) {
  const RowSlopes slopes = rowSlopes(tokenSlopes);
  work->own = ownEntry(id, work->statistics, slopes);
  setPlan(call, scale, work->statistics, slopes, &work->own, 1, &work->plan);
}

// Sums of a row into statistics, terms and slopes of its tokens, and the plan of its gradient; after
// prefetchRecord. Where several blocks do this for the same row of one token, one writesRecord; a row
// that tokens share is for one block alone.
template <RowKind kKind, class Logits>
__device__ __forceinline__ void rowEpilogue(const RowsCall& call, const RowScale& scale,
                                            int64_t row, const PairSums& sums, const Logits& logit,
                                            bool writesRecord, RowWork* work) {
  const int64_t token = call.tokens.at(row, 0), id = call.tokens.id(token);
  rowStatistics<kKind>(scale, sums, id, logit, &work->statistics);
  __pipeline_wait_prior(0);
  __syncwarp();
  if (laneIndex() != 0) return;
  if (call.tokens.count(row) > 1) {
    planSharedRow(call, scale, row, logit, true, work);
    return;
  }
  TokenRecord<float>* const record = &work->record;
  setInputs(work->statistics, kKind != RowKind::kOne, &record->inputs);
  evaluateToken(call.objective, call.hasOldLogProbs, record);
  planOwnRow(call, scale, id, record->slopes, work);
  if (writesRecord) call.records[token] = *record;
}

// The plan from statistics and slopes that an earlier kernel left.
template <class Logits>
__device__ __forceinline__ void planFromRecords(const RowsCall& call, const RowScale& scale,
                                                int64_t row, const Logits& logit, RowWork* work) {
  if (laneIndex() != 0) return;
  work->statistics = call.statistics[call.tokens.place(row)];
  if (call.tokens.count(row) > 1) {
    planSharedRow(call, scale, row, logit, false, work);
    return;
  }
  const int64_t token = call.tokens.at(row, 0);
  planOwnRow(call, scale, call.tokens.id(token), call.records[token].slopes, work);
}

}  // namespace papo::cuda
