// Grids of kernels whose blocks take one piece of work after the other.
#pragma once

#include <cstdint>

namespace papo::cuda {

// A few waves on the largest device; what is beyond them, blocks take in turn.
constexpr int64_t kMaxWorkBlocks = 4096;

// For the launch bounds of kernels in which the compiler would rather spill than have fewer blocks
// on a multiprocessor.
constexpr int kMinBlocks = 1;

inline unsigned workBlocks(int64_t items, int64_t itemsPerBlock) {
  const int64_t blocks = (items + itemsPerBlock - 1) / itemsPerBlock;
  return static_cast<unsigned>(blocks < kMaxWorkBlocks ? blocks : kMaxWorkBlocks);
}

}  // namespace papo::cuda
