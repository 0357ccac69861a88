// Sums over the threads of a block. The order of the additions is fixed, so that sums of floating-point
// numbers have the same bits in every run.
#pragma once

#include <cstring>

#include "cuda/device.cuh"

namespace papo::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

// Inclusive sum over the threads up to this one; scratch: shared, one for each warp. Ends in a barrier
// behind which scratch may be used again.
template <class T>
__device__ __forceinline__ T blockInclusiveScan(T value, T* scratch) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const T below = __shfl_up_sync(kAllLanes, value, distance);
    if (lane >= distance) value += below;
  }
  if (lane == 31) scratch[warp] = value;
  __syncthreads();
  T before = 0;
  for (unsigned w = 0; w < warp; ++w) before += scratch[w];
  __syncthreads();
  return before + value;
}

// Sum over the block, in every thread; as above.
template <class T>
__device__ __forceinline__ T blockSum(T value, T* scratch) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  T sum = scratch[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) sum += scratch[w];
  __syncthreads();
  return sum;
}

// A struct of 8-byte members from the lane that is distance above.
template <class T>
__device__ __forceinline__ T shuffledDown(const T& value, unsigned distance) {
  static_assert(sizeof(T) % 8 == 0, "a struct of 8-byte members");
  unsigned long long words[sizeof(T) / 8];
  std::memcpy(words, &value, sizeof value);
#pragma unroll
  for (size_t i = 0; i < sizeof(T) / 8; ++i)
    words[i] = __shfl_down_sync(kAllLanes, words[i], distance);
  T out;
  std::memcpy(&out, words, sizeof out);
  return out;
}

// All threads' values merged, in thread 0; scratch: shared, one for each warp.
template <class T>
__device__ __forceinline__ void blockMerge(T* value, T* scratch) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned distance = 16; distance > 0; distance /= 2)
    value->merge(shuffledDown(*value, distance));
  if (lane == 0) scratch[warp] = *value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (unsigned w = 1; w < blockDim.x / 32; ++w) value->merge(scratch[w]);
  __syncthreads();
}

}  // namespace papo::cuda
