// What both engines compute of a cell's saliency.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/dtype.h"
#include "engine/host_device.h"
#include "masking/grids.h"
#include "papo.h"

namespace papo {

PAPO_HOST_DEVICE double widened(double value) { return value; }
template <class T>
PAPO_HOST_DEVICE double widened(T value) {
  return toFloat(value);
}

// Mean over the patches of a cell, in the order of their rows. Sums alone, in which nothing can be
// fused: every device gives the same bits.
template <class T>
PAPO_HOST_DEVICE double saliencyOf(const papo_saliency_patch_mask_args& a, const CellGrid& grid,
                                   int64_t frame, int64_t cell) {
  const int64_t top = cell / grid.columns * a.mergeSize, left = cell % grid.columns * a.mergeSize;
  const int64_t bottom = top + a.mergeSize < a.height ? top + a.mergeSize : a.height;
  const int64_t right = left + a.mergeSize < a.width ? left + a.mergeSize : a.width;
  const T* values = static_cast<const T*>(a.saliency.data);
  double sum = 0;
  for (int64_t y = top; y < bottom; ++y) {
    const T* row = values + (frame * a.height + y) * a.saliency.rowStride;
    for (int64_t x = left; x < right; ++x) sum += widened(row[x]);
  }
  return sum / static_cast<double>((bottom - top) * (right - left));
}

// Whole numbers in the order of the doubles: the bits, all flipped where negative. Both zeros are
// one.
PAPO_HOST_DEVICE uint64_t orderedKey(double value) {
  const double positiveZero = value + 0.0;
  uint64_t bits;
  memcpy(&bits, &positiveZero, sizeof bits);
  constexpr uint64_t kSign = uint64_t{1} << 63;
  return bits & kSign ? ~bits : bits | kSign;
}

// The count-th largest key, and how many of those equal to it belong to the count largest. Found
// byte by byte from the highest: counts[byte] keys share the bytes above shift with it.
struct Threshold {
  uint64_t key;
  int64_t equal;

  PAPO_HOST_DEVICE bool counts(uint64_t other, int shift) const {
    // Shifts in two steps: the first round compares no bits at all.
    return other >> shift >> 8 == key >> shift >> 8;
  }
  template <class Count>
  PAPO_HOST_DEVICE void narrow(const Count* counts, int shift) {
    uint64_t byte = 255;
    for (; byte > 0 && static_cast<int64_t>(counts[byte]) < equal; --byte)
      equal -= static_cast<int64_t>(counts[byte]);
    key |= byte << shift;
  }
};

}  // namespace papo
