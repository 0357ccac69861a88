// What the launchers of the row kernels share: threads and blocks of those that give a block a row.
#pragma once

#include <cstdint>

#include "cuda/rows.h"
#include "engine/status.h"

namespace papo::cuda {

// Enough warps that each has about four tiles, at most 8: more would only wait longer for each other
// between the sweeps, and a multiprocessor holds several blocks instead.
inline unsigned rowThreads(int64_t tiles) {
  const int64_t warps = (tiles + 3) / 4;
  return 32u * static_cast<unsigned>(warps < 8 ? warps : 8);
}

// A block a row; more rows than a grid takes are reached by the loop in the kernel.
inline unsigned rowBlocks(int64_t rows) {
  constexpr int64_t kMost = 1 << 24;
  return static_cast<unsigned>(rows < kMost ? rows : kMost);
}

inline RowKind rowKind(const RowsCall& call) {
  if (!call.maskedLogits.data) return RowKind::kOne;
  return call.exactKl ? RowKind::kExactPair : RowKind::kPair;
}

}  // namespace papo::cuda
