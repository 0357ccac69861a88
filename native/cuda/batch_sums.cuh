// Sums over all values of a call, from those of its chunks, for every block that needs them.
#pragma once

#include "cuda/advantages.h"
#include "cuda/block.cuh"

namespace papo::cuda {

constexpr int kSumThreads = 256;

__device__ __forceinline__ double sumOfBlock(double value) {
  PAPO_SHARED_ARRAY(double, ofWarps, kSumThreads / 32);
  return blockSum(value, ofWarps);
}

__device__ __forceinline__ double sumOfChunks(const double* chunks, int64_t count) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += chunks[i];
  return sumOfBlock(sum);
}

// How many values count, their mean, and the sum of squared differences from it.
__device__ __forceinline__ double batchCount(const BatchSums& batch) {
  return batch.mask ? static_cast<double>(*batch.counted) : static_cast<double>(batch.values.count);
}

__device__ __forceinline__ double batchMean(const BatchSums& batch) {
  const double sum = sumOfChunks(batch.sums, batch.chunks);
  return batch.mask ? countedMean(sum, batchCount(batch)) : meanOf(sum, batch.values.count);
}

// 0 where all values are equal.
__device__ __forceinline__ double batchDeviation(const BatchSums& batch) {
  const double squares = sumOfChunks(batch.squares, batch.chunks);
  const bool isConstant = sumOfChunks(batch.different, batch.chunks) == 0;
  return isConstant ? 0 : deviationOf(squares, batch.values.count);
}

}  // namespace papo::cuda
