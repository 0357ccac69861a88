// Decisions of the fuzzer. An input is eight bytes of seed and then one byte a decision; where the
// bytes end, a generator goes on from the seed. So eight bytes are a whole random call, and a fuzzer
// that mutates bytes changes single decisions of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace papo_fuzz {

class Source {
 public:
  Source(const uint8_t* data, size_t size) : next_(data), end_(data + size) {
    const size_t given = size < sizeof state_ ? size : sizeof state_;
    if (given > 0) std::memcpy(&state_, data, given);
    next_ += given;
  }

  // SplitMix64 (Steele, Lea, Flood 2014). Takes no bytes: for the contents of tensors.
  uint64_t noise() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  double uniform() { return static_cast<double>(noise() >> 11) * 0x1p-53; }

  // 0 <= below(count) < count
  int64_t below(int64_t count) {
    const uint64_t word = next_ < end_ && count <= 256 ? *next_++ : noise();
    return static_cast<int64_t>(word % static_cast<uint64_t>(count));
  }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool percent(int chance) { return below(100) < chance; }

  template <class T, size_t kCount>
  T pick(const T (&values)[kCount]) {
    return values[below(static_cast<int64_t>(kCount))];
  }

 private:
  uint64_t state_ = 0;
  const uint8_t* next_;
  const uint8_t* end_;
};

}  // namespace papo_fuzz
