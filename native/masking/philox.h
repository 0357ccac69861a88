// Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011): four words are a pure function of a counter and a key, so
// any element of a stream can be drawn anywhere, in any order.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace papo {

struct PhiloxBlock {
  uint32_t words[4];
};

PAPO_HOST_DEVICE PhiloxBlock philox(PhiloxBlock counter, uint64_t key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  uint32_t* c = counter.words;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * c[0], product1 = kMultiplier1 * c[2];
    const uint32_t c0 = static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key0;
    const uint32_t c2 = static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key1;
    c[1] = static_cast<uint32_t>(product1);
    c[3] = static_cast<uint32_t>(product0);
    c[0] = c0;
    c[2] = c2;
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

// Uniform on [0, 1), a multiple of 2^-32: never 1, so a ratio of 1 masks everything.
PAPO_HOST_DEVICE double uniform(uint32_t word) { return word * 0x1p-32; }

}  // namespace papo
