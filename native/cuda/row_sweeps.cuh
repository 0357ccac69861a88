// The two sweeps of one block over one row: statistics from its start, gradients from its end, so
// that what was read last is read first again while a cache has it.
#pragma once

#include "cuda/row_math.cuh"

namespace papo::cuda {

// Tiles whose results are kept in shared memory at a time; longer rows are merged group by group.
constexpr int kGroupTiles = 1024;

PAPO_HOST_DEVICE int64_t tilesOf(int64_t vocabSize) {
  return (vocabSize + kTileElements - 1) / kTileElements;
}
PAPO_HOST_DEVICE int64_t smallerOf(int64_t a, int64_t b) { return a < b ? a : b; }

// Shared memory of a block: work, then for each tile of a group its sums, or its squares.
struct RowMemory {
  RowWork* work;
  TileSums* sums;
  double* squares;

  __device__ static RowMemory at(unsigned char* memory) {
    unsigned char* const tiles = memory + sizeof(RowWork);
    return {reinterpret_cast<RowWork*>(memory), reinterpret_cast<TileSums*>(tiles),
            reinterpret_cast<double*>(tiles)};
  }
  static size_t bytes(int64_t vocabSize) {
    const int64_t tiles = smallerOf(tilesOf(vocabSize), kGroupTiles);
    return sizeof(RowWork) + static_cast<size_t>(tiles) * sizeof(TileSums);
  }
};
static_assert(sizeof(RowWork) % 16 == 0 && sizeof(TileSums) >= sizeof(double), "one after another");

// A row of a tensor; null where the tensor is absent.
template <class T>
struct RowView {
  T* data;
  bool isAligned;

  __device__ static RowView of(const RowTensor& tensor, int64_t row) {
    if (!tensor.data) return {nullptr, false};
    T* const data = static_cast<T*>(tensor.data) + row * tensor.rowStride;
    return {data, isVectorAligned(data)};
  }
  __device__ __forceinline__ Tile<T> load(int64_t start, int64_t vocabSize, Reuse reuse) const {
    return loadTile(data + start, vocabSize - start, isAligned, reuse);
  }
  __device__ __forceinline__ void store(int64_t start, int64_t vocabSize, const Tile<T>& in) const {
    storeTile(data + start, vocabSize - start, isAligned, in);
  }
};

// The tensors of a call at one row.
template <class T>
struct RowViews {
  RowView<T> image, masked, imageGrad, maskedGrad;

  __device__ static RowViews of(const RowsCall& call, int64_t row) {
    return {RowView<T>::of(call.logits, row), RowView<T>::of(call.maskedLogits, row),
            RowView<T>::of(call.logitsGrad, row), RowView<T>::of(call.maskedLogitsGrad, row)};
  }
  __device__ SampledLogits<T> sampled() const { return {image.data, masked.data}; }
};

__device__ __forceinline__ int warpCount() { return static_cast<int>(blockDim.x) / kWarpLanes; }

// First sweep. The sums are there in warp 0 alone; the block synchronises before memory is used for
// anything else.
template <RowKind kKind, class T>
__device__ __forceinline__ PairSums sweepSums(const RowScale& scale, const RowViews<T>& row,
                                              int64_t vocabSize, Reuse reuse,
                                              const RowMemory& memory) {
  const int64_t tiles = tilesOf(vocabSize);
  PairSums total;
  for (int64_t first = 0; first < tiles; first += kGroupTiles) {
    const int count = static_cast<int>(smallerOf(tiles - first, kGroupTiles));
    if (first > 0) __syncthreads();
#pragma unroll 1
    for (int i = warpIndex(); i < count; i += warpCount()) {
      const int64_t start = (first + i) * kTileElements;
      const Tile<T> image = row.image.load(start, vocabSize, reuse);
      Tile<T> masked = image;
      if constexpr (kKind != RowKind::kOne) masked = row.masked.load(start, vocabSize, reuse);
      tileSums<kKind>(scale, image, masked, memory.sums + i);
    }
    __syncthreads();
    if (warpIndex() != 0) continue;
    const PairSums group =
        mergeTiles<kKind>(scale, count, [&](int i) -> const TileSums& { return memory.sums[i]; });
    if (first == 0)
      total = group;
    else
      mergeSums(group, scale.inverseTemperature, &total);
  }
  return total;
}

template <class T>
__device__ __forceinline__ Tile<T> emptyTile() {
  Tile<T> tile;
  clearTile(&tile);
  return tile;
}

template <RowKind kKind, class T>
__device__ __forceinline__ double sweepTile(const RowPlan& plan, const RowViews<T>& row,
                                            int64_t start, int64_t vocabSize) {
  Tile<T> image = emptyTile<T>(), masked = image;
  if (plan.isTogether || plan.flowsToImage) image = row.image.load(start, vocabSize, Reuse::kLast);
  if constexpr (kKind != RowKind::kOne) {
    if (plan.isTogether || plan.flowsToMasked)
      masked = row.masked.load(start, vocabSize, Reuse::kLast);
  }
  const double squares = gradientOfTile<kKind>(plan, start, &image, &masked);
  if (plan.writesImage) row.imageGrad.store(start, vocabSize, image);
  if constexpr (kKind != RowKind::kOne) {
    if (plan.writesMasked) row.maskedGrad.store(start, vocabSize, masked);
  }
  return squares;
}

// Sum of the squares of count tiles, by one warp, as mergeTiles adds.
__device__ __forceinline__ double mergeSquares(const double* squares, int count) {
  double sum = 0;
  for (int i = laneIndex(); i < count; i += kWarpLanes) sum += squares[i];
  return warpSum(sum);
}

// Second sweep, after the block has synchronised on the plan. Returns the sum of squares in warp 0,
// 0 where it is not asked for.
template <RowKind kKind, class T>
__device__ __forceinline__ double sweepGradient(const RowViews<T>& row, int64_t vocabSize,
                                                const RowMemory& memory) {
  const RowPlan& plan = memory.work->plan;
  const int64_t tiles = tilesOf(vocabSize);
  double total = 0;
  for (int64_t first = (tiles - 1) / kGroupTiles * kGroupTiles; first >= 0; first -= kGroupTiles) {
    const int count = static_cast<int>(smallerOf(tiles - first, kGroupTiles));
    // A warp takes the tiles that it had in the first sweep.
    const int rounds = (count - warpIndex() + warpCount() - 1) / warpCount();
#pragma unroll 1
    for (int i = warpIndex() + (rounds - 1) * warpCount(); i >= 0; i -= warpCount()) {
      const double squares = sweepTile<kKind>(plan, row, (first + i) * kTileElements, vocabSize);
      if (plan.sumOfSquares && laneIndex() == 0) memory.squares[i] = squares;
    }
    if (!plan.sumOfSquares) continue;
    __syncthreads();
    if (warpIndex() == 0) total += mergeSquares(memory.squares, count);
    __syncthreads();
  }
  return total;
}

// A row of no token: nothing is read.
template <class T>
__device__ __forceinline__ void clearRow(const RowViews<T>& row, int64_t vocabSize) {
  const Tile<T> zeros = emptyTile<T>();
  const int64_t tiles = tilesOf(vocabSize);
#pragma unroll 1
  for (int64_t i = warpIndex(); i < tiles; i += warpCount()) {
    if (row.imageGrad.data) row.imageGrad.store(i * kTileElements, vocabSize, zeros);
    if (row.maskedGrad.data) row.maskedGrad.store(i * kTileElements, vocabSize, zeros);
  }
}

}  // namespace papo::cuda
