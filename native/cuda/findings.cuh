// How kernels check values: every block looks at its part, and the last one to finish publishes the
// finding that wins, so that it does not depend on the order of the blocks. No block waits for
// another.
#pragma once

#include "cuda/device.cuh"
#include "cuda/device_error.h"

namespace papo::cuda {

__device__ __forceinline__ unsigned long long findingKey(Finding finding, int64_t index) {
  return ~(static_cast<unsigned long long>(finding) << kFindingIndexBits |
           static_cast<unsigned long long>(index));
}

// For the whole block, first in a kernel that checks: false where an earlier kernel found
// something.
__device__ __forceinline__ bool mayCheck(DeviceError* error) {
  const bool stop = threadIdx.x == 0 && atomicMax(&error->key, 0ull) != 0;
  return !__syncthreads_or(stop);
}

__device__ __forceinline__ void found(DeviceError* error, Finding finding, int64_t index) {
  atomicMax(&error->pending, findingKey(finding, index));
}

// For the whole block, behind its last found(): true for one thread of the block that is last.
__device__ __forceinline__ bool isCheckDone(DeviceError* error) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x != 0) return false;
  const bool last = atomicInc(&error->blocksDone, gridDim.x - 1) == gridDim.x - 1;
  __threadfence();
  return last;
}

struct FindingDetail {
  long long got = 0, limit = 0;
};

__device__ __forceinline__ bool isFinite(double value) { return value - value == 0; }

__device__ __forceinline__ FindingDetail detailOf(double value) {
  FindingDetail detail;
  memcpy(&detail.got, &value, sizeof value);
  return detail;
}

// For the thread of isCheckDone. detail(finding, index) says what is known of the winner.
template <class Detail>
__device__ __forceinline__ void publishFinding(DeviceError* error, const Detail& detail) {
  const unsigned long long key = atomicExch(&error->pending, 0ull);
  if (key == 0) return;
  constexpr unsigned long long kIndex = (1ull << kFindingIndexBits) - 1;
  const FindingDetail known =
      detail(static_cast<Finding>(~key >> kFindingIndexBits), static_cast<int64_t>(~key & kIndex));
  error->got = known.got;
  error->limit = known.limit;
  atomicExch(&error->key, key);
}

}  // namespace papo::cuda
