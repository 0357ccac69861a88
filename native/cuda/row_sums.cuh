// Statistics of tiles, and their merge into those of a row: docs/math.md Eq. 1-5.
//
// A tile has its own maxima; its sums are relative to them, over at most 32 elements a lane in
// float32 and over the lanes by a butterfly of fixed order. Tiles are merged in double, in an order
// that depends on their number alone. So a row has the same bits whatever kernel, block or cluster
// works on it, and a branch the same alone and in a pair.
#pragma once

#include "cuda/row_tile.cuh"
#include "cuda/rows.h"
#include "loss/row_types.h"

namespace papo::cuda {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

__device__ __forceinline__ double shiftFactor(double shift) {
  return static_cast<double>(expOf2(static_cast<float>(shift * kLog2E)));
}

#define PAPO_ROW_FUNCTION __device__ inline
#include "loss/row_terms-inl.h"
#undef PAPO_ROW_FUNCTION

// Sums of a tile in float32 with t in units of log 2, e = 2^t: what a warp leaves in shared memory.
// Nothing is initialised, as nvcc demands of shared memory; of a single branch the first two sums are
// there, of a pair without KL the first four.
enum TileSum { kSum, kWeighted, kMaskedSum, kMaskedWeighted, kShared, kCross };
struct TileSums {
  float imageMax, maskedMax;  // of the logits, at least -FLT_MAX, NaN where one is
  float sums[6];              // sum e, sum e t; likewise masked; over S: sum e, sum e (t - t')
};

// Factors from logits to exponents of 2. Where all logits of a tile lie within +-far, no exponent
// and no product of a sum can leave float32, and nothing needs a guard.
struct RowScale {
  double inverseTemperature;
  float toLog2;
  float far;

  __device__ static RowScale of(double inverseTemperature) {
    const float toLog2 = static_cast<float>(inverseTemperature * kLog2E);
    return {inverseTemperature, toLog2, fminf(1e30f, 1e37f / toLog2)};
  }
};

// ---- a warp --------------------------------------------------------------------------------------

// Order of floats as order of integers; its own inverse. The positive NaN is the largest.
__device__ __forceinline__ int orderedBits(int bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

__device__ __forceinline__ float warpMaximum(float x) {
  const int ordered = orderedBits(__float_as_int(largerOrNan(x, -FLT_MAX)));
  return __int_as_float(orderedBits(__reduce_max_sync(kAllLanes, ordered)));
}

// Which of N sums a lane holds after reduceScatter.
template <int N, int kMask = kWarpLanes / 2>
__host__ __device__ constexpr int scatteredIndex(int lane) {
  if constexpr (N == 1) {
    return 0;
  } else {
    constexpr int kHalf = (N + 1) / 2;
    const int within = scatteredIndex<kHalf, kMask / 2>(lane);
    return (lane & kMask) != 0 && within + kHalf < N ? within + kHalf : within;
  }
}

// The lanes that are the first to hold a sum, one for each.
template <int N>
__host__ __device__ constexpr uint32_t scatteredLanes() {
  uint32_t lanes = 0;
  for (int k = 0; k < N; ++k) {
    int lane = 0;
    while (scatteredIndex<N>(lane) != k) ++lane;
    lanes |= uint32_t{1} << lane;
  }
  return lanes;
}

// Sums N values over the lanes of a warp, each by the same butterfly whatever N; while there are
// values left to share out, the two lanes of a step halve them, so that 4 sums take 18 instructions
// instead of 40. A lane gets sum scatteredIndex<N>(lane).
template <int N, int kMask = kWarpLanes / 2, class Real>
__device__ __forceinline__ Real reduceScatter(Real* values) {
  if constexpr (kMask == 0) {
    return values[0];
  } else {
    constexpr int kHalf = (N + 1) / 2;
    const bool isUpper = (laneIndex() & kMask) != 0;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const bool isShared = i + kHalf < N;
      const Real other = isShared ? values[i + kHalf < N ? i + kHalf : i] : values[i];
      const Real kept = isShared && isUpper ? other : values[i];
      const Real given = isShared && !isUpper ? other : values[i];
      values[i] = kept + __shfl_xor_sync(kAllLanes, given, kMask);
    }
    return reduceScatter<kHalf, kMask / 2>(values);
  }
}

// ---- a tile --------------------------------------------------------------------------------------

// 2^t is 0 below; takes the place of -inf, so that 2^t t is 0 as well. A NaN stays.
__device__ __forceinline__ float clampExponent(float t) { return t < -200 ? -200 : t; }

struct TileExtremes {
  float max;       // of the warp, at least -FLT_MAX, NaN where an element is
  bool isRegular;  // all elements of the warp within +-RowScale::far
};

template <class T>
__device__ __forceinline__ TileExtremes tileExtremes(const Tile<T>& tile, float far) {
  // Several chains, so that no step waits for the last.
  constexpr int kChains = 4;
  uint32_t larger[kChains], smaller[kChains];
#pragma unroll
  for (int i = 0; i < kChains; ++i) larger[i] = smaller[i] = tile.word(i);
#pragma unroll
  for (int i = kChains; i < Tile<T>::kWords; ++i) {
    larger[i % kChains] = Word<T>::larger(larger[i % kChains], tile.word(i));
    smaller[i % kChains] = Word<T>::smaller(smaller[i % kChains], tile.word(i));
  }
  const uint32_t largest =
      Word<T>::larger(Word<T>::larger(larger[0], larger[1]), Word<T>::larger(larger[2], larger[3]));
  const uint32_t smallest = Word<T>::smaller(Word<T>::smaller(smaller[0], smaller[1]),
                                             Word<T>::smaller(smaller[2], smaller[3]));
  constexpr int kLast = Word<T>::kElements - 1;
  const float max = largerOrNan(Word<T>::element(largest, 0), Word<T>::element(largest, kLast));
  const float min = fminf(Word<T>::element(smallest, 0), Word<T>::element(smallest, kLast));
  const int isRegular = max <= far && min >= -far;
  return {warpMaximum(max), __all_sync(kAllLanes, isRegular) != 0};
}

// x relative to the tile's maximum. The difference first: x * toLog2 - max * toLog2 would lose all
// digits of logits of 1e4.
template <bool kRegular>
__device__ __forceinline__ float exponent(float x, float max, float toLog2) {
  const float t = __fmul_rn(__fadd_rn(x, -max), toLog2);
  return kRegular ? t : clampExponent(t);
}

// A lane's sums of its 32 elements; two chains of 16.
template <bool kRegular, class T>
__device__ __forceinline__ void sumBranch(const Tile<T>& tile, float max, float toLog2,
                                          float* sums) {
  float sum[2] = {0, 0}, weighted[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < Tile<T>::kWords * Word<T>::kElements; ++i) {
    constexpr int kElements = Word<T>::kElements;
    const float x = Word<T>::element(tile.word(i / kElements), i % kElements);
    const float t = exponent<kRegular>(x, max, toLog2);
    const float e = expOf2(t);
    sum[i % 2] = __fadd_rn(sum[i % 2], e);
    weighted[i % 2] = __fmaf_rn(e, t, weighted[i % 2]);
  }
  sums[0] = __fadd_rn(sum[0], sum[1]);
  sums[1] = __fadd_rn(weighted[0], weighted[1]);
}

// sums: those of both branches, as from sumBranch, and the two over S.
template <bool kRegular, class T>
__device__ __forceinline__ void sumExactPair(const Tile<T>& image, const Tile<T>& masked, float max,
                                             float maskedMax, float toLog2, float* sums) {
  float sum[2] = {0, 0}, weighted[2] = {0, 0}, maskedSum[2] = {0, 0}, maskedWeighted[2] = {0, 0};
  float shared[2] = {0, 0}, cross[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < Tile<T>::kWords * Word<T>::kElements; ++i) {
    constexpr int kElements = Word<T>::kElements;
    const int j = i % 2;
    const float x = Word<T>::element(image.word(i / kElements), i % kElements);
    const float maskedX = Word<T>::element(masked.word(i / kElements), i % kElements);
    const float t = exponent<kRegular>(x, max, toLog2);
    const float rawMaskedT = exponent<true>(maskedX, maskedMax, toLog2);
    const float maskedT = kRegular ? rawMaskedT : clampExponent(rawMaskedT);
    const float e = expOf2(t), maskedE = expOf2(maskedT);
    sum[j] = __fadd_rn(sum[j], e);
    weighted[j] = __fmaf_rn(e, t, weighted[j]);
    maskedSum[j] = __fadd_rn(maskedSum[j], maskedE);
    maskedWeighted[j] = __fmaf_rn(maskedE, maskedT, maskedWeighted[j]);
    if (kRegular) {
      cross[j] = __fmaf_rn(e, __fadd_rn(t, -rawMaskedT), cross[j]);
    } else {
      // Below -1e30 a masked logit counts as that: -inf is outside S, and must not meet e = 0.
      const float far = rawMaskedT < -1e30f ? -1e30f : rawMaskedT;
      const float sharedE = maskedX == -INFINITY ? 0 : e;
      shared[j] = __fadd_rn(shared[j], sharedE);
      cross[j] = __fmaf_rn(sharedE, __fadd_rn(t, -far), cross[j]);
    }
  }
  sums[0] = __fadd_rn(sum[0], sum[1]);
  sums[1] = __fadd_rn(weighted[0], weighted[1]);
  sums[2] = __fadd_rn(maskedSum[0], maskedSum[1]);
  sums[3] = __fadd_rn(maskedWeighted[0], maskedWeighted[1]);
  sums[4] = kRegular ? sums[0] : __fadd_rn(shared[0], shared[1]);
  sums[5] = __fadd_rn(cross[0], cross[1]);
}

template <class T>
__device__ __forceinline__ void sumBranch(const Tile<T>& tile, const TileExtremes& extremes,
                                          float toLog2, float* sums) {
  if (extremes.isRegular)
    sumBranch<true>(tile, extremes.max, toLog2, sums);
  else
    sumBranch<false>(tile, extremes.max, toLog2, sums);
}

// Sums of one tile into out, by one warp; masked is not looked at where kind is kOne. The caller
// synchronises before out is read.
template <RowKind kKind, class T>
__device__ __forceinline__ void tileSums(const RowScale& scale, const Tile<T>& image,
                                         const Tile<T>& masked, TileSums* out) {
  constexpr int kSums = kKind == RowKind::kOne ? 2 : kKind == RowKind::kPair ? 4 : 6;
  float sums[kSums];
  const TileExtremes extremes = tileExtremes(image, scale.far);
  TileExtremes maskedExtremes = extremes;
  if constexpr (kKind != RowKind::kOne) maskedExtremes = tileExtremes(masked, scale.far);
  if constexpr (kKind == RowKind::kExactPair) {
    if (extremes.isRegular && maskedExtremes.isRegular)
      sumExactPair<true>(image, masked, extremes.max, maskedExtremes.max, scale.toLog2, sums);
    else
      sumExactPair<false>(image, masked, extremes.max, maskedExtremes.max, scale.toLog2, sums);
  } else {
    sumBranch(image, extremes, scale.toLog2, sums);
    if constexpr (kKind == RowKind::kPair)
      sumBranch(masked, maskedExtremes, scale.toLog2, sums + 2);
  }
  const float mine = reduceScatter<kSums>(sums);
  constexpr uint32_t kWriters = scatteredLanes<kSums>();
  if (kWriters >> laneIndex() & 1) out->sums[scatteredIndex<kSums>(laneIndex())] = mine;
  if (laneIndex() == 0) {
    out->imageMax = extremes.max;
    out->maskedMax = maskedExtremes.max;
  }
}

// ---- a row ---------------------------------------------------------------------------------------

// In natural units, as Eq. 5 has them.
template <RowKind kKind>
__device__ __forceinline__ PairSums pairSums(const TileSums& tile) {
  PairSums out;
  out.image = {tile.imageMax, tile.sums[kSum], tile.sums[kWeighted] * kLn2};
  if (kKind == RowKind::kOne) return out;
  out.masked = {tile.maskedMax, tile.sums[kMaskedSum], tile.sums[kMaskedWeighted] * kLn2};
  if (kKind == RowKind::kPair) return out;
  out.shared = tile.sums[kShared];
  out.cross = tile.sums[kCross] * kLn2;
  return out;
}

// Sum of one value over the lanes of a warp, in every lane.
__device__ __forceinline__ double warpSum(double value) {
#pragma unroll
  for (int mask = kWarpLanes / 2; mask > 0; mask /= 2)
    value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}

// Merges count tiles, tile(i) giving the sums of number i, by one warp; the result is in every lane.
// Lane i takes tiles i, i + 32, ... in order, then the lanes are added by a butterfly.
template <RowKind kKind, class TileAt>
__device__ __forceinline__ PairSums mergeTiles(const RowScale& scale, int count,
                                               const TileAt& tile) {
  float max = -FLT_MAX, maskedMax = -FLT_MAX;
#pragma unroll 1
  for (int i = laneIndex(); i < count; i += kWarpLanes) {
    max = largerOrNan(max, tile(i).imageMax);
    if (kKind != RowKind::kOne) maskedMax = largerOrNan(maskedMax, tile(i).maskedMax);
  }
  PairSums total;
  total.image.max = warpMaximum(max);
  if (kKind != RowKind::kOne) total.masked.max = warpMaximum(maskedMax);
#pragma unroll 1
  for (int i = laneIndex(); i < count; i += kWarpLanes) {
    PairSums part = pairSums<kKind>(tile(i));
    movePair(&part, total.image.max, total.masked.max, scale.inverseTemperature);
    addSums(part, &total);
  }
  total.image.sum = warpSum(total.image.sum);
  total.image.weighted = warpSum(total.image.weighted);
  if (kKind == RowKind::kOne) return total;
  total.masked.sum = warpSum(total.masked.sum);
  total.masked.weighted = warpSum(total.masked.weighted);
  if (kKind == RowKind::kPair) return total;
  total.shared = warpSum(total.shared);
  total.cross = warpSum(total.cross);
  return total;
}

}  // namespace papo::cuda
