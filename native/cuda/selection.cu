// The quantiles that select tokens (Eq. 14, 16): exact order statistics by radix selection. A block takes
// the values of a response, or of the batch, as integers in the order of the floats, and finds the one of
// a rank digit by digit from counts. Counts are integers: the result depends on nothing but the values.
#include "cuda/block.cuh"
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDigits = 256;  // of 8 bits
static_assert(kThreads == kDigits, "a thread has a digit");

// Ascending with the float; 0, which only a NaN could have, is a token that does not count.
constexpr uint32_t kAbsent = 0;

__device__ __forceinline__ uint32_t keyOf(float value) {
  const uint32_t bits = __float_as_uint(value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float valueOf(uint32_t key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

struct Shared {
  unsigned int counts[kDigits];
  unsigned int totals[kThreads / 32];
  unsigned int digit, rank, count;  // what a search for a digit found
  unsigned int smallest;
};

// The tokens of a quantile.
struct Segment {
  uint32_t* keys;
  int64_t begin, end;

  template <class Body>
  __device__ __forceinline__ void forEach(const Body& body) const {
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) body(i);
  }
};

struct Found {
  uint32_t key;
  bool nextIsEqual;  // the value of the next rank is the same
};

// The key of a rank, rank smaller than the number of keys.
__device__ Found keyOfRank(const Segment& segment, unsigned int rank, Shared* s) {
  uint32_t prefix = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    s->counts[threadIdx.x] = 0;
    __syncthreads();
    const uint32_t known = shift == 24 ? 0 : ~0u << (shift + 8);
    segment.forEach([&](int64_t i) {
      const uint32_t key = segment.keys[i];
      if (key != kAbsent && (key & known) == prefix)
        atomicAdd(&s->counts[key >> shift & (kDigits - 1)], 1u);
    });
    __syncthreads();
    const unsigned int own = s->counts[threadIdx.x];
    const unsigned int end = blockInclusiveScan(own, s->totals);
    if (rank < end && rank >= end - own) {
      s->digit = threadIdx.x;
      s->rank = rank - (end - own);
      s->count = own;
    }
    __syncthreads();
    prefix |= s->digit << shift;
    rank = s->rank;
  }
  return {prefix, rank + 1 < s->count};
}

// The smallest key above.
__device__ uint32_t keyAbove(const Segment& segment, uint32_t key, Shared* s) {
  if (threadIdx.x == 0) s->smallest = ~0u;
  __syncthreads();
  segment.forEach([&](int64_t i) {
    if (segment.keys[i] > key) atomicMin(&s->smallest, segment.keys[i]);
  });
  __syncthreads();
  return s->smallest;
}

// NaN where there are no values, or one is NaN.
__device__ float quantileOf(const Segment& segment, unsigned int count, double level, Shared* s) {
  const QuantileRank rank = quantileRank(count, level);
  const Found low = keyOfRank(segment, static_cast<unsigned int>(rank.below), s);
  if (rank.toNext == 0) return valueOf(low.key);
  const uint32_t high = low.nextIsEqual ? low.key : keyAbove(segment, low.key, s);
  return interpolated(valueOf(low.key), valueOf(high), rank.toNext);
}

// valueAt(i): of a token, its value.
template <class ValueAt>
__device__ Threshold thresholdOf(const LossCall& call, const Segment& segment, double level,
                                 Shared* s, const ValueAt& valueAt) {
  unsigned int counted = 0;
  bool isNan = false;
  segment.forEach([&](int64_t i) {
    const float value = valueAt(i);
    const bool counts = call.memory.records[i].counts;
    segment.keys[i] = counts ? keyOf(value) : kAbsent;
    counted += counts;
    isNan |= counts && std::isnan(value);
  });
  const unsigned int count = blockSum(counted, s->totals);
  if (__syncthreads_or(isNan) || count == 0) return {NAN, static_cast<int64_t>(count)};
  const float threshold = quantileOf(segment, count, level, s);
  unsigned int kept = 0;
  segment.forEach([&](int64_t i) {
    kept += segment.keys[i] != kAbsent && isKept(valueOf(segment.keys[i]), threshold);
  });
  return {threshold, static_cast<int64_t>(blockSum(kept, s->totals))};
}

__global__ void __launch_bounds__(kThreads) findEntropyThreshold(LossCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_ARRAY(Shared, s, 1);
  const Threshold threshold = thresholdOf(
      call, {call.memory.keys, 0, call.responses.rows}, 1 - call.options.topEntropyFraction, s,
      [&](int64_t i) { return call.memory.records[i].inputs.entropy; });
  if (threadIdx.x == 0) *call.memory.entropyThreshold = threshold;
}

__global__ void __launch_bounds__(kThreads) findKlThresholds(LossCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_ARRAY(Shared, s, 1);
  for (int64_t b = blockIdx.x; b < call.responses.count; b += gridDim.x) {
    const Threshold threshold = thresholdOf(
        call, {call.memory.keys, call.responses.begin(b), call.responses.end(b)},
        1 - call.options.perceptionTopFraction, s, [&](int64_t i) {
          const float kl = weightedPerceptionKl(call.objective, call.memory.records[i].inputs);
          call.memory.weightedKls[i] = kl;
          return kl;
        });
    if (threadIdx.x == 0) call.memory.klThresholds[b] = threshold;
    __syncthreads();
  }
}

}  // namespace

papo_status findThresholds(Context& context, const LossCall& call) {
  if (selectsByEntropy(call))
    PAPO_CUDA_TRY("papo_loss",
                  launch(findEntropyThreshold, 1, kThreads, 0, context.stream(), call));
  if (!selectsByPerception(call)) return PAPO_OK;
  const dim3 grid(workBlocks(call.responses.count, 1));
  PAPO_CUDA_TRY("papo_loss", launch(findKlThresholds, grid, kThreads, 0, context.stream(), call));
  return PAPO_OK;
}

}  // namespace papo::cuda
