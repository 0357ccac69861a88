// What both engines draw for patches.
#pragma once

#include <cstdint>

#include "engine/host_device.h"
#include "masking/philox.h"
#include "papo.h"

namespace papo {

constexpr int64_t kDrawnTogether = 4;  // patches of one block of words

// Of patches first to first + 3, first a multiple of 4.
PAPO_HOST_DEVICE PhiloxBlock wordsOfPatches(const papo_random_patch_mask_args& a, int64_t first) {
  return philox({{static_cast<uint32_t>(first / kDrawnTogether), a.image,
                  static_cast<uint32_t>(a.prompt), static_cast<uint32_t>(a.prompt >> 32)}},
                a.seed);
}

PAPO_HOST_DEVICE uint8_t isMasked(const papo_random_patch_mask_args& a, uint32_t word) {
  return uniform(word) < a.ratio;
}

}  // namespace papo
