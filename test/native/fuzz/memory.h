// Memory of one fuzzed call: blocks between canaries, which AddressSanitizer is told of, and a copy
// of everything to compare with afterwards.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "../sanitizers.h"
#include "papo.h"

#ifdef PAPO_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace papo_fuzz {

struct Range {
  const unsigned char* begin;
  size_t bytes;

  bool holds(const void* p) const { return p >= begin && p < begin + bytes; }
  bool overlaps(const Range& other) const {
    return begin < other.begin + other.bytes && other.begin < begin + bytes;
  }
};

class Memory {
 public:
  static constexpr size_t kCanary = 64;  // also the alignment of a block

  // Bytes that nothing else may touch, filled with noise that differs from block to block.
  unsigned char* allocate(size_t bytes) {
    Block block;
    block.bytes = bytes;
    block.total = kCanary + (bytes + kCanary - 1) / kCanary * kCanary + kCanary;
    block.memory.reset(static_cast<unsigned char*>(std::aligned_alloc(kCanary, block.total)));
    for (size_t i = 0; i < block.total; ++i)
      block.memory.get()[i] = static_cast<unsigned char>(0xa5 + 29 * i + 53 * blocks_.size());
    blocks_.push_back(std::move(block));
    return blocks_.back().data();
  }

  size_t blocks() const { return blocks_.size(); }
  Range block(size_t index) const { return {blocks_[index].data(), blocks_[index].bytes}; }

  void snapshot() {
    for (Block& block : blocks_)
      block.copy.assign(block.memory.get(), block.memory.get() + block.total);
  }
  void restore(const std::vector<Range>& ranges) {
    for (const Range& range : ranges) {
      for (Block& block : blocks_) {
        if (!block.whole().holds(range.begin)) continue;
        const auto at = static_cast<size_t>(range.begin - block.memory.get());
        std::memcpy(block.memory.get() + at, block.copy.data() + at, range.bytes);
      }
    }
  }

  // Whether a byte is not as it was, outside the blocks that begin where these ranges do.
  bool changedOutside(const std::vector<Range>& ranges) const {
    for (const Block& block : blocks_) {
      bool isExempt = false;
      for (const Range& range : ranges) isExempt |= range.begin == block.data();
      if (isExempt ? canariesChanged(block)
                   : std::memcmp(block.memory.get(), block.copy.data(), block.total) != 0)
        return true;
    }
    return false;
  }

  // While guarded, AddressSanitizer reports whoever touches a canary.
  void guard() const {
#ifdef PAPO_HAS_ASAN
    for (const Block& block : blocks_) {
      unsigned char* end = block.data() + block.bytes;
      ASAN_POISON_MEMORY_REGION(block.memory.get(), kCanary);
      ASAN_POISON_MEMORY_REGION(end, static_cast<size_t>(block.memory.get() + block.total - end));
    }
#endif
  }
  void unguard() const {
#ifdef PAPO_HAS_ASAN
    for (const Block& block : blocks_) ASAN_UNPOISON_MEMORY_REGION(block.memory.get(), block.total);
#endif
  }

 private:
  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  struct Block {
    std::unique_ptr<unsigned char, Free> memory;
    size_t bytes = 0, total = 0;
    std::vector<unsigned char> copy;

    unsigned char* data() const { return memory.get() + kCanary; }
    Range whole() const { return {memory.get(), total}; }
  };

  static bool canariesChanged(const Block& block) {
    const size_t end = kCanary + block.bytes;
    return std::memcmp(block.memory.get(), block.copy.data(), kCanary) != 0 ||
           std::memcmp(block.memory.get() + end, block.copy.data() + end, block.total - end) != 0;
  }

  std::vector<Block> blocks_;
};

}  // namespace papo_fuzz
