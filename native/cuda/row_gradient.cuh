// Gradients of a tile, docs/math.md Eq. 8, from registers to registers. By whole warps.
#pragma once

#include "cuda/row_plan.cuh"

namespace papo::cuda {

// What else is done with the elements of a tile than computing them.
enum class TileExtra {
  kNone,
  kSquares,  // their squares are summed
  kSampled   // that, and elements that a token sampled take the place of others
};

// The sampled entries of a tile, in the number of an element within the tile.
struct TileEntries {
  const SampledEntry* begin;
  const SampledEntry* end;
  int64_t start;  // of the tile in the row
};

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

__device__ __forceinline__ TileEntries entriesOfTile(const RowPlan& plan, int64_t start) {
  const SampledEntry* const end = plan.entries + plan.entryCount;
  const SampledEntry* const first = firstEntryFrom(plan.entries, end, start);
  return {first, firstEntryFrom(first, end, start + kTileElements), start};
}

// An element's gradient as it is to be written; adds the square of those that no token sampled.
// Sampled ones are added apart, in double: one may be larger than all others together.
template <TileExtra kExtra>
__device__ __forceinline__ float finishElement(float value, int place, const TileEntries& entries,
                                               float SampledEntry::*element, float* squares) {
  if constexpr (kExtra == TileExtra::kSampled) {
    for (const SampledEntry* entry = entries.begin; entry != entries.end; ++entry)
      if (entry->token == entries.start + place) return entry->*element;
  }
  if constexpr (kExtra != TileExtra::kNone) *squares = __fmaf_rn(value, value, *squares);
  return value;
}

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

template <bool kEntropy, TileExtra kExtra, class T>
__device__ __forceinline__ void branchTile(const BranchConstants& k, const TileEntries& entries,
                                           float SampledEntry::*element, Tile<T>* tile,
                                           float* squares) {
  constexpr int kElements = Word<T>::kElements;
#pragma unroll
  for (int w = 0; w < Tile<T>::kWords; ++w) {
    float values[kElements];
#pragma unroll
    for (int i = 0; i < kElements; ++i)
      values[i] = finishElement<kExtra>(
          branchValue<kEntropy>(k, Word<T>::element(tile->word(w), i)), Tile<T>::elementOf(w) + i,
          entries, element, squares);
    tile->setWord(w, Word<T>::pack(values));
  }
}

template <TileExtra kExtra, class T>
__device__ __forceinline__ void branchTile(const BranchConstants& k, const TileEntries& entries,
                                           float SampledEntry::*element, Tile<T>* tile,
                                           float* squares) {
  if (k.slope == 0)
    branchTile<false, kExtra>(k, entries, element, tile, squares);
  else
    branchTile<true, kExtra>(k, entries, element, tile, squares);
}

// ---- both branches with the exact KL -------------------------------------------------------------

struct PairValue {
  float image, masked;
};

// S = {v : x' > -inf}; kHoles: the tile may have elements outside it.
//   dz  = p (slope u + (sharedConstant + d (u - u') in S, constant outside))
//   dz' = p' (slope' u' + constant') - d p 1_S
template <bool kHoles>
__device__ __forceinline__ PairValue exactValue(const RowPlan& plan, float x, float maskedX) {
  const BranchConstants& k = plan.image;
  const BranchConstants& m = plan.masked;
  const float u = clampExponent(log2Prob(k, x));
  const float rawMaskedU = log2Prob(m, maskedX);
  const float maskedU = clampExponent(rawMaskedU);
  const float p = expOf2(u), maskedP = expOf2(maskedU);
  const float far = kHoles && rawMaskedU < -1e30f ? -1e30f : rawMaskedU;
  float constant = __fmaf_rn(plan.differenceSlope, __fadd_rn(u, -far), plan.sharedConstant);
  float sharedP = p;
  if (kHoles && maskedX == -INFINITY) {
    constant = k.constant;
    sharedP = 0;
  }
  const float own = __fmul_rn(maskedP, __fmaf_rn(m.slope, maskedU, m.constant));
  return {__fmul_rn(p, __fmaf_rn(k.slope, u, constant)), __fmaf_rn(-plan.d, sharedP, own)};
}

template <bool kHoles, TileExtra kExtra, class T>
__device__ __forceinline__ void exactTile(const RowPlan& plan, const TileEntries& entries,
                                          Tile<T>* image, Tile<T>* masked, float* squares) {
  constexpr int kElements = Word<T>::kElements;
  float imageSquares = 0, maskedSquares = 0;
#pragma unroll
  for (int w = 0; w < Tile<T>::kWords; ++w) {
    float values[kElements], maskedValues[kElements];
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      const PairValue value = exactValue<kHoles>(plan, Word<T>::element(image->word(w), i),
                                                 Word<T>::element(masked->word(w), i));
      const int place = Tile<T>::elementOf(w) + i;
      values[i] = finishElement<kExtra>(value.image, place, entries, &SampledEntry::element,
                                        &imageSquares);
      maskedValues[i] = finishElement<kExtra>(value.masked, place, entries,
                                              &SampledEntry::maskedElement, &maskedSquares);
    }
    image->setWord(w, Word<T>::pack(values));
    masked->setWord(w, Word<T>::pack(maskedValues));
  }
  if (kExtra == TileExtra::kNone) return;
  if (plan.flowsToImage) *squares += imageSquares;
  if (plan.flowsToMasked) *squares += maskedSquares;
}

// Whether an element of the warp is -inf, or no number.
template <class T>
__device__ __forceinline__ bool hasHoles(const Tile<T>& tile) {
  uint32_t smallest = tile.word(0);
#pragma unroll
  for (int i = 1; i < Tile<T>::kWords; ++i) smallest = Word<T>::smaller(smallest, tile.word(i));
  const float min = fminf(Word<T>::element(smallest, 0),
                          Word<T>::element(smallest, Word<T>::kElements - 1));
  return __any_sync(kAllLanes, !(min > -INFINITY)) != 0;
}

template <TileExtra kExtra, class T>
__device__ __forceinline__ void exactTile(const RowPlan& plan, const TileEntries& entries,
                                          Tile<T>* image, Tile<T>* masked, float* squares) {
  if (hasHoles(*masked))
    exactTile<true, kExtra>(plan, entries, image, masked, squares);
  else
    exactTile<false, kExtra>(plan, entries, image, masked, squares);
}

// ---- a tile of a row -----------------------------------------------------------------------------

template <class T>
__device__ __forceinline__ void clearTile(Tile<T>* tile) {
#pragma unroll
  for (int k = 0; k < Tile<T>::kVectors; ++k) tile->vectors[k] = make_uint4(0, 0, 0, 0);
}

template <RowKind kKind, TileExtra kExtra, class T>
__device__ __forceinline__ void gradientOfTile(const RowPlan& plan, const TileEntries& entries,
                                               Tile<T>* image, Tile<T>* masked, float* squares) {
  if constexpr (kKind == RowKind::kExactPair) {
    if (plan.isTogether) {
      exactTile<kExtra>(plan, entries, image, masked, squares);
      return;
    }
  }
  if (plan.flowsToImage)
    branchTile<kExtra>(plan.image, entries, &SampledEntry::element, image, squares);
  if constexpr (kKind != RowKind::kOne) {
    if (plan.flowsToMasked)
      branchTile<kExtra>(plan.masked, entries, &SampledEntry::maskedElement, masked, squares);
  }
}

// Squares of the sampled elements of a tile, in double.
__device__ inline double sampledSquares(const RowPlan& plan, const TileEntries& entries) {
  double squares = 0;
  for (const SampledEntry* entry = entries.begin; entry != entries.end; ++entry) {
    const double image = plan.flowsToImage ? entry->element : 0;
    const double masked = plan.flowsToMasked ? entry->maskedElement : 0;
    squares += image * image + masked * masked;
  }
  return squares;
}

// Turns the logits of a tile that starts at element start of its row into gradients; what does not
// flow becomes 0, whatever the logits. Elements behind the row's end become anything. Returns the sum
// of squares of the tile, before rounding to T, in lane 0 where the plan asks for it.
// masked is not looked at where kind is kOne; branches that plan neither flows to nor takes together
// need not be loaded.
template <RowKind kKind, class T>
__device__ __forceinline__ double gradientOfTile(const RowPlan& plan, int64_t start,
                                                 Tile<T>* image, Tile<T>* masked) {
  const TileEntries entries = entriesOfTile(plan, start);
  float squares = 0;
  if (entries.begin != entries.end)
    gradientOfTile<kKind, TileExtra::kSampled>(plan, entries, image, masked, &squares);
  else if (plan.sumOfSquares)
    gradientOfTile<kKind, TileExtra::kSquares>(plan, entries, image, masked, &squares);
  else
    gradientOfTile<kKind, TileExtra::kNone>(plan, entries, image, masked, &squares);
  if (!plan.flowsToImage) clearTile(image);
  if constexpr (kKind != RowKind::kOne) {
    if (!plan.flowsToMasked) clearTile(masked);
  }
  if (!plan.sumOfSquares) return 0;
  const float sum = reduceScatter<1>(&squares);
  return static_cast<double>(sum) + sampledSquares(plan, entries);
}

}  // namespace papo::cuda
