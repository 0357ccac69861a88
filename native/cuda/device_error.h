// What a kernel found wrong with the values of an argument, for papo_engine_synchronize to report.
//
// Of several findings the one of the first check and the lowest index wins, whatever the order of the
// threads: they are kept as one number, and the smallest stays.
#pragma once

#include <cstdint>

namespace papo::cuda {

// In the order in which the CPU engine would report them.
enum class Finding : uint32_t {
  responseMask = 1,  // neither 0 nor 1
  sftMask,
  tokens,    // id outside the vocabulary
  rowIndex,  // row outside the logits
  patchMask,
  rewards,  // not finite; got: the bits of the double
  baselines,
  rewardMask,     // responseMask of a call with rewards, which are looked at before it
  countedTokens,  // responseMask has fewer than two; got: how many
  groupIds,       // a group of one; got: its id, index: by ascending id
  saliency        // NaN; index: frame * limit + cell, limit: the cells of a frame
};

// Zeroed memory is "nothing found".
struct DeviceError {
  unsigned long long key;  // ~(finding << 40 | index), the largest stays; 0: none
  long long got;           // of an integer, or the bits of a double
  long long limit;

  // Of a check that several blocks make: what they found so far, which becomes the key when the last
  // one is done. Until then none of them stops the others.
  unsigned long long pending = 0;
  unsigned int blocksDone = 0;
};

constexpr int kFindingIndexBits = 40;

}  // namespace papo::cuda
