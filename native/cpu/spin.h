// Waiting without sleeping, for what is about to happen: waking a sleeping thread takes tens of
// microseconds, and several times that where the processor is virtual and idle.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace papo {

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether the condition came true within so many turns, of some 10 ns each.
template <class Condition>
bool spinUntil(int turns, Condition condition) {
  for (int i = 0; i < turns; ++i) {
    if (condition()) return true;
    pause();
  }
  return false;
}

}  // namespace papo
