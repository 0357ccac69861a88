// Stages of papo_group_advantages on a device, each a few kernels; advantages.cpp puts them in
// order.
#pragma once

#include <cstdint>

#include "advantages/advantage_terms.h"
#include "cuda/context.h"
#include "engine/host_device.h"

namespace papo::cuda {

// [count] of float32 or float64, read and written as double.
struct RealVector {
  void* data = nullptr;
  int64_t count = 0;
  bool isDouble = false;

  PAPO_HOST_DEVICE double at(int64_t i) const {
    return isDouble ? static_cast<const double*>(data)[i] : static_cast<const float*>(data)[i];
  }
  PAPO_HOST_DEVICE void set(int64_t i, double value) const {
    if (isDouble)
      static_cast<double*>(data)[i] = value;
    else
      static_cast<float*>(data)[i] = static_cast<float>(value);
  }
};

// A response in its group: the id, signed order made unsigned, above the index. No two are equal,
// so that their order is one and the same whatever sorts them.
using GroupKey = uint64_t;

PAPO_HOST_DEVICE GroupKey groupKey(int32_t id, int64_t index) {
  return static_cast<GroupKey>(static_cast<uint32_t>(id) ^ 0x80000000u) << 32 |
         static_cast<GroupKey>(index);
}
PAPO_HOST_DEVICE uint32_t groupOf(GroupKey key) { return static_cast<uint32_t>(key >> 32); }
PAPO_HOST_DEVICE int32_t groupIdOf(GroupKey key) {
  return static_cast<int32_t>(groupOf(key) ^ 0x80000000u);
}
PAPO_HOST_DEVICE int64_t memberOf(GroupKey key) { return static_cast<int64_t>(key & 0xffffffffu); }

constexpr int kTileKeys = 4096;  // sorted in shared memory

struct GroupOrder {
  const int32_t* ids = nullptr;  // [B]
  RealVector rewards;            // [B], looked at for finite values on the way
  GroupKey* keys = nullptr;      // [B]; in order afterwards
  GroupKey* spare = nullptr;     // [B], beyond one tile
};

// Sorts, then looks for groups of one. Which of the two arrays holds the result goes to
// order->keys.
papo_status launchGroupOrder(Context& context, GroupOrder* order);

// Sums over all values of a call, in chunks of fixed length: a chunk's place does not depend on the
// grid, and whoever needs a sum adds up the chunks in one fixed order.
constexpr int kChunkValues = 4096;
inline int64_t chunksOf(int64_t count) { return (count + kChunkValues - 1) / kChunkValues; }

struct BatchSums {
  RealVector values;
  const uint8_t* mask = nullptr;                // [count] which of them count; null: all
  const unsigned long long* counted = nullptr;  // on the device, with a mask
  double* sums = nullptr;                       // [chunks]
  double* squares = nullptr;                    // [chunks] of differences from the mean
  double* different = nullptr;  // [chunks] how many differ from the first value; null: not asked
  int64_t chunks = 0;
};

papo_status launchBatchSums(Context& context, const BatchSums& sums);

struct GroupCall {
  AdvantageOptions options;
  RealVector rewards, advantages;
  const GroupKey* keys = nullptr;  // [B] in order
  BatchSums batch;                 // without chunks where the scale is not the batch's
};

papo_status launchGroupAdvantages(Context& context, const GroupCall& call);

struct RemaxCall {
  RealVector rewards, baselines, advantages;
};

papo_status launchRemax(Context& context, const RemaxCall& call);

struct ReturnsCall {
  RealVector rewards, returns, advantages;  // returns.data null: not asked for
  const uint8_t* mask = nullptr;            // [N]
  const int64_t* cuSeqlens = nullptr;       // [responses + 1] on the device; null: equal lengths
  int64_t responses = 0;
  double discount = 1, epsilon = 0;
  double* values = nullptr;               // [N] returns in double
  unsigned long long* counted = nullptr;  // 0 at the beginning
  BatchSums batch;                        // of values
};

papo_status launchReturns(Context& context, const ReturnsCall& call);
papo_status launchWhitening(Context& context, const ReturnsCall& call);

}  // namespace papo::cuda
