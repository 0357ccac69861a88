// Gradients of a tile, docs/math.md Eq. 8, from registers to registers. By whole warps.
#pragma once

#include "cuda/row_plan.cuh"

namespace papo::cuda {

// ---- one branch ----------------------------------------------------------------------------------

__device__ __forceinline__ float log2Prob(const BranchConstants& k, float x) {
  return __fmaf_rn(__fadd_rn(x, -k.max), k.toLog2, k.minusLog2Sum);
}

// kEntropy: the entropy has a slope. Without one u stays unclamped: 2^-inf is 0.
template <bool kEntropy>
__device__ __forceinline__ float branchValue(const BranchConstants& k, float x) {
  const float u = log2Prob(k, x);
  if (!kEntropy) return __fmul_rn(expOf2(u), k.constant);
  const float clamped = clampExponent(u);
  return __fmul_rn(expOf2(clamped), __fmaf_rn(k.slope, clamped, k.constant));
}

// Adds the squares of the elements to *squares where kSquares.
template <bool kEntropy, bool kSquares, class T>
__device__ __forceinline__ void branchTile(const BranchConstants k, Tile<T>* tile, float* squares) {
#pragma unroll
  for (int w = 0; w < Tile<T>::kWords; ++w) {
    pace<T>(w);
    float values[Word<T>::kElements];
#pragma unroll
    for (int i = 0; i < Word<T>::kElements; ++i) {
      values[i] = branchValue<kEntropy>(k, Word<T>::element(tile->word(w), i));
      if (kSquares) *squares = __fmaf_rn(values[i], values[i], *squares);
    }
    tile->setWord(w, Word<T>::pack(values));
  }
}

template <bool kSquares, class T>
__device__ __forceinline__ void branchTile(const BranchConstants& k, Tile<T>* tile,
                                           float* squares) {
  if (k.slope == 0)
    branchTile<false, kSquares>(k, tile, squares);
  else
    branchTile<true, kSquares>(k, tile, squares);
}

// ---- both branches with the exact KL -------------------------------------------------------------

struct PairValue {
  float image, masked;
};

// Stands for -inf where 0 times it must be 0.
constexpr float kFarLog2Prob = -1e30f;

// S = {v : x' > -inf}; kHoles: the tile may have elements outside it.
//   dz  = p (slope u + (sharedConstant + d (u - u') in S, constant outside))
//   dz' = p' (slope' u' + constant') - d p 1_S
template <bool kHoles>
__device__ __forceinline__ PairValue exactValue(const BranchConstants& image,
                                                const BranchConstants& masked,
                                                const KlConstants& kl, float x, float maskedX) {
  const float u = clampExponent(log2Prob(image, x));
  const float rawMaskedU = log2Prob(masked, maskedX);
  const float maskedU = clampExponent(rawMaskedU);
  const float p = expOf2(u), maskedP = expOf2(maskedU);
  const float far = kHoles && rawMaskedU < kFarLog2Prob ? kFarLog2Prob : rawMaskedU;
  const bool isShared = !kHoles || maskedX != -INFINITY;
  const float inside = __fmaf_rn(kl.differenceSlope, __fadd_rn(u, -far), kl.sharedConstant);
  const float constant = isShared ? inside : image.constant;
  const float own = __fmul_rn(maskedP, __fmaf_rn(masked.slope, maskedU, masked.constant));
  return {__fmul_rn(p, __fmaf_rn(image.slope, u, constant)),
          __fmaf_rn(-kl.d, isShared ? p : 0, own)};
}

template <bool kHoles, bool kSquares, class T>
__device__ __forceinline__ void exactTile(const RowPlan& plan, Tile<T>* image, Tile<T>* masked,
                                          float* squares) {
  constexpr int kElements = Word<T>::kElements;
  const BranchConstants imageConstants = plan.image, maskedConstants = plan.masked;
  const KlConstants kl = plan.kl;
  float imageSquares = 0, maskedSquares = 0;
#pragma unroll
  for (int w = 0; w < Tile<T>::kWords; ++w) {
    pace<T>(w);
    float values[kElements], maskedValues[kElements];
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      const PairValue value = exactValue<kHoles>(imageConstants, maskedConstants, kl,
                                                 Word<T>::element(image->word(w), i),
                                                 Word<T>::element(masked->word(w), i));
      values[i] = value.image;
      maskedValues[i] = value.masked;
      if (kSquares) imageSquares = __fmaf_rn(value.image, value.image, imageSquares);
      if (kSquares) maskedSquares = __fmaf_rn(value.masked, value.masked, maskedSquares);
    }
    image->setWord(w, Word<T>::pack(values));
    masked->setWord(w, Word<T>::pack(maskedValues));
  }
  if (!kSquares) return;
  *squares = (plan.flowsToImage ? imageSquares : 0) + (plan.flowsToMasked ? maskedSquares : 0);
}

// Whether an element of the warp is -inf or so low that its log-prob may not enter a product. A NaN
// may be passed over: it has made the plan NaN.
template <class T>
__device__ __forceinline__ bool hasHoles(const BranchConstants& k, const Tile<T>& tile) {
  uint32_t smallest = tile.word(0);
#pragma unroll
  for (int i = 1; i < Tile<T>::kWords; ++i) smallest = Word<T>::smaller(smallest, tile.word(i));
  const float min =
      fminf(Word<T>::element(smallest, 0), Word<T>::element(smallest, Word<T>::kElements - 1));
  return __any_sync(kAllLanes, log2Prob(k, min) < kFarLog2Prob) != 0;
}

template <bool kSquares, class T>
__device__ __forceinline__ void exactTile(const RowPlan& plan, Tile<T>* image, Tile<T>* masked,
                                          float* squares) {
  if (hasHoles(plan.masked, *masked))
    exactTile<true, kSquares>(plan, image, masked, squares);
  else
    exactTile<false, kSquares>(plan, image, masked, squares);
}

// ---- sampled elements ----------------------------------------------------------------------------

// First entry of [begin, end) whose token is at least that.
__device__ inline const SampledEntry* firstEntryFrom(const SampledEntry* begin,
                                                     const SampledEntry* end, int64_t token) {
  while (begin != end) {
    const SampledEntry* const middle = begin + (end - begin) / 2;
    if (middle->token < token)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

// The sampled entries of the tile that starts at element start of its row.
__device__ __forceinline__ EntryRange entriesOfTile(const RowPlan& plan, int64_t start) {
  const SampledEntry* const end = plan.entries + plan.entryCount;
  const SampledEntry* const first = firstEntryFrom(plan.entries, end, start);
  return {first, firstEntryFrom(first, end, start + kTileElements)};
}

// Takes sampled elements out of the formulas for the others: a logit of -inf has gradient 0.
template <RowKind kKind, class T>
__device__ __forceinline__ void dropSampled(EntryRange entries, int64_t start, Tile<T>* image,
                                            Tile<T>* masked) {
#pragma unroll 1
  for (const SampledEntry* entry = entries.begin; entry != entries.end; ++entry) {
    putElement(image, static_cast<int>(entry->token - start), -INFINITY);
    if constexpr (kKind != RowKind::kOne)
      putElement(masked, static_cast<int>(entry->token - start), -INFINITY);
  }
}

// Puts their own gradients, computed in double, into their places. Returns the squares of these, which
// are added in double: one may be larger than all other elements of the row together.
template <RowKind kKind, class T>
__device__ __forceinline__ double putSampled(const RowPlan& plan, EntryRange entries, int64_t start,
                                             Tile<T>* image, Tile<T>* masked) {
  double squares = 0;
#pragma unroll 1
  for (const SampledEntry* entry = entries.begin; entry != entries.end; ++entry) {
    const int place = static_cast<int>(entry->token - start);
    const double element = plan.flowsToImage ? entry->element : 0;
    const double maskedElement = plan.flowsToMasked ? entry->maskedElement : 0;
    if (plan.flowsToImage) putElement(image, place, entry->element);
    if constexpr (kKind != RowKind::kOne) {
      if (plan.flowsToMasked) putElement(masked, place, entry->maskedElement);
    }
    squares += element * element + maskedElement * maskedElement;
  }
  return squares;
}

// ---- a tile of a row -----------------------------------------------------------------------------

template <class T>
__device__ __forceinline__ void clearTile(Tile<T>* tile) {
#pragma unroll
  for (int k = 0; k < Tile<T>::kVectors; ++k) tile->vectors[k] = make_uint4(0, 0, 0, 0);
}

template <RowKind kKind, bool kSquares, class T>
__device__ __forceinline__ void gradientOfOthers(const RowPlan& plan, Tile<T>* image,
                                                 Tile<T>* masked, float* squares) {
  if constexpr (kKind == RowKind::kExactPair) {
    if (plan.isTogether) {
      exactTile<kSquares>(plan, image, masked, squares);
      return;
    }
  }
  if (plan.flowsToImage) branchTile<kSquares>(plan.image, image, squares);
  if constexpr (kKind != RowKind::kOne) {
    if (plan.flowsToMasked) branchTile<kSquares>(plan.masked, masked, squares);
  }
}

// Turns the logits of the tile that starts at element start of its row into gradients; what does not
// flow becomes 0, whatever the logits. Elements behind the row's end become anything. Returns the sum
// of squares of the tile, before rounding to T, where the plan asks for it, in every lane.
// masked is not looked at where kind is kOne; branches that plan neither flows to nor takes together
// need not be loaded.
template <RowKind kKind, class T>
__device__ __forceinline__ double gradientOfTile(const RowPlan& plan, int64_t start, Tile<T>* image,
                                                 Tile<T>* masked) {
  const EntryRange entries = entriesOfTile(plan, start);
  dropSampled<kKind>(entries, start, image, masked);
  float squares = 0;
  if (plan.sumOfSquares)
    gradientOfOthers<kKind, true>(plan, image, masked, &squares);
  else
    gradientOfOthers<kKind, false>(plan, image, masked, &squares);
  if (!plan.flowsToImage) clearTile(image);
  if constexpr (kKind != RowKind::kOne) {
    if (!plan.flowsToMasked) clearTile(masked);
  }
  const double sampled = putSampled<kKind>(plan, entries, start, image, masked);
  if (!plan.sumOfSquares) return 0;
  return static_cast<double>(reduceScatter<1>(&squares)) + sampled;
}

}  // namespace papo::cuda
