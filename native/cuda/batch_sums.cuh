// Sums over all values of a call, from those of its chunks, for every block that needs them.
#pragma once

#include "cuda/advantages.h"
#include "cuda/device.cuh"

namespace papo::cuda {

constexpr int kSumThreads = 256;

// Of one value a thread, in an order of its own; the same in every thread.
__device__ __forceinline__ double blockSum(double value) {
  constexpr int kWarps = kSumThreads / 32;
  PAPO_SHARED_ARRAY(double, ofWarps, kWarps);
  for (int distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  if (threadIdx.x % 32 == 0) ofWarps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += ofWarps[warp];
  __syncthreads();
  return sum;
}

__device__ __forceinline__ double sumOfChunks(const double* chunks, int64_t count) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += chunks[i];
  return blockSum(sum);
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
