// What the kernels over tokens share: their loop, a token's response, and its selection.
#pragma once

#include "cuda/device.cuh"
#include "cuda/loss_call.h"
#include "loss/shares.h"

namespace papo::cuda {

// Calls body(token) for every token of the thread; a thread takes one in a grid that is large enough.
template <class Body>
__device__ __forceinline__ void forEachToken(int64_t tokens, const Body& body) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t token = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; token < tokens;
       token += stride)
    body(token);
}

// The response of a token: the last that begins at or before it, so that it is no empty one.
__device__ __forceinline__ int64_t responseOf(const Responses& responses, int64_t token) {
  if (!responses.cuSeqlens) return token / (responses.rows / responses.count);
  int64_t low = 0, high = responses.count;  // begin(low) <= token < begin(high)
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (responses.cuSeqlens[middle] <= token)
      low = middle;
    else
      high = middle;
  }
  return low;
}

__device__ __forceinline__ BatchSize batchSize(const LossCall& call) {
  return {call.responses.rows, call.responses.count, call.memory.counts[0], call.memory.counts[1]};
}
__device__ __forceinline__ int64_t countedTokens(const LossCall& call, int64_t response) {
  return call.memory.counts[2 + response];
}

// Eq. 14 and 16, from the thresholds of findThresholds.
__device__ __forceinline__ void select(const LossCall& call, TokenPlace place,
                                       TokenRecord<float>* record) {
  if (const Threshold* threshold = call.memory.entropyThreshold) {
    record->inputs.keepsPolicy = isKept(record->inputs.entropy, threshold->value);
    if (call.options.topEntropyScope == PAPO_TOP_ENTROPY_SCOPE_POLICY_AND_ENTROPY)
      restrictEntropyToKept(call.options, threshold->kept, record);
  }
  if (const Threshold* thresholds = call.memory.klThresholds)
    record->inputs.keepsPerception =
        isKept(call.memory.weightedKls[place.token], thresholds[place.response].value);
}

}  // namespace papo::cuda
