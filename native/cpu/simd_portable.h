// Primitives of the portable kernels, and what each primitive of an instruction set must do. A new
// instruction set is one more file like this and one like rows_portable.cpp.
//
// The vectors are those of GCC and Clang, which every processor's baseline can run: plain arrays of
// lanes are taken apart into scalars by GCC 12 and took about twice as long.
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/dtype.h"

namespace papo {
namespace portable {

constexpr int kLanes = 4;
using Vec = float __attribute__((vector_size(16)));
using Bits = uint32_t __attribute__((vector_size(16)));
using Words = uint16_t __attribute__((vector_size(8)));

// kLanes elements from or to any address of the element type. Stores round to nearest even. NaN stays
// NaN; for bfloat16 only a quiet one up to 0x7fff8000 (without sign) need do so, and arithmetic on
// bfloat16 logits and plain constants makes no other.
inline Vec load(const float* p) {
  Vec out;
  std::memcpy(&out, p, sizeof out);
  return out;
}
inline Vec load(const Float16* p) {
  return Vec{toFloat(p[0]), toFloat(p[1]), toFloat(p[2]), toFloat(p[3])};
}
inline Vec load(const BFloat16* p) {
  Words words;
  std::memcpy(&words, p, sizeof words);
  return reinterpret_cast<Vec>(__builtin_convertvector(words, Bits) << 16);
}
inline void store(Vec x, float* p) { std::memcpy(p, &x, sizeof x); }
inline void store(Vec x, Float16* p) {
  for (int i = 0; i < kLanes; ++i) fromFloat(x[i], p + i);
}
inline void store(Vec x, BFloat16* p) {
  const Bits bits = reinterpret_cast<Bits>(x);
  const Bits rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const Bits isNan = reinterpret_cast<Bits>(x != x);
  const Bits chosen = (isNan & (bits | 0x00400000)) | (~isNan & rounded);
  const Words words = __builtin_convertvector(chosen >> 16, Words);
  std::memcpy(p, &words, sizeof words);
}

// Stores past the caches where there is such an instruction; p is a multiple of the bytes stored.
// finishStreams() orders them before later stores.
template <class T>
inline void stream(Vec x, T* p) {
  store(x, p);
}
inline void finishStreams() {}
// A hint; the address need not be valid.
inline void prefetch(uintptr_t address) {
  __builtin_prefetch(reinterpret_cast<const void*>(address));
}

inline Vec broadcast(float x) { return Vec{x, x, x, x}; }
inline Vec add(Vec a, Vec b) { return a + b; }
inline Vec sub(Vec a, Vec b) { return a - b; }
inline Vec mul(Vec a, Vec b) { return a * b; }
// a * b + c, fused where the processor can.
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
// a > b ? yes : no
inline Vec chooseGreater(Vec a, Vec b, Vec yes, Vec no) {
  const Bits greater = reinterpret_cast<Bits>(a > b);
  return reinterpret_cast<Vec>((greater & reinterpret_cast<Bits>(yes)) |
                               (~greater & reinterpret_cast<Bits>(no)));
}
// max(bound, x); a NaN in x stays NaN.
inline Vec atLeast(Vec bound, Vec x) { return chooseGreater(bound, x, bound, x); }
inline Vec withLane(Vec x, int lane, float value) {
  x[lane] = value;
  return x;
}
// Over the lanes, in a fixed order; a NaN reaches the sum but may be missing in the maximum.
inline float sumOf(Vec x) { return (x[0] + x[2]) + (x[1] + x[3]); }
inline float maximumOf(Vec x) {
  const float even = x[0] > x[2] ? x[0] : x[2], odd = x[1] > x[3] ? x[1] : x[3];
  return even > odd ? even : odd;
}
// The bits of each lane shifted left by 23: the low bits of the mantissa become the exponent.
inline Vec shiftIntoExponent(Vec x) {
  return reinterpret_cast<Vec>(reinterpret_cast<Bits>(x) << 23);
}

}  // namespace portable
}  // namespace papo
