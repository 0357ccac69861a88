// Hands out pieces of the caller's workspace. One function lays a workspace out; called on an arena
// without memory it only counts, so the size query and the use can never disagree.
#pragma once

#include <cstddef>
#include <cstdint>

namespace papo {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Arena(void* memory) : memory_(static_cast<unsigned char*>(memory)) {}

  template <class T>
  T* take(int64_t count) {
    const size_t at = used_;
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return memory_ ? reinterpret_cast<T*>(memory_ + at) : nullptr;
  }
  size_t used() const { return used_; }

 private:
  unsigned char* memory_;
  size_t used_ = 0;
};

}  // namespace papo
