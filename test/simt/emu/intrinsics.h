// Loads and stores with a cache hint, fences, and intrinsics of arithmetic and bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "simt.h"

namespace simt {

float noisy(float y);  // off by up to Options::ulpNoise
void yieldSpin(const char* file, int line);

// A vector access traps on the device where a host would not mind.
template <class T>
void checkAligned(const T* at, const char* file, int line) {
  if (reinterpret_cast<uintptr_t>(at) % sizeof(T))
    fail(file, line, "misaligned %zu-byte access at %p", sizeof(T), static_cast<const void*>(at));
}

template <class To, class From>
To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "a cast of bits keeps the size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

}  // namespace simt

#define SIMT_LOAD(name)                   \
  template <class T>                      \
  T name(const T* at, SIMT_HERE) {        \
    simt::checkAligned(at, file_, line_); \
    return *at;                           \
  }
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldcg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldlu)
SIMT_LOAD(__ldcv)
#undef SIMT_LOAD
#define SIMT_STORE(name)                                 \
  template <class T>                                     \
  void name(T* at, simt::SameType<T> value, SIMT_HERE) { \
    simt::checkAligned(at, file_, line_);                \
    *at = value;                                         \
  }
SIMT_STORE(__stcs)
SIMT_STORE(__stcg)
SIMT_STORE(__stwb)
SIMT_STORE(__stwt)
#undef SIMT_STORE

// Fibers of one host thread see each other's writes; ThreadSanitizer is told of barriers only.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __trap(SIMT_HERE) { simt::fail(file_, line_, "__trap"); }
inline void __nanosleep(unsigned, SIMT_HERE) { simt::yieldSpin(file_, line_); }

// Fast intrinsics are right to about 1 ulp here; the device is allowed 2 + |1.173 x| in __expf.
inline float __expf(float x) { return simt::noisy(::exp2f(x * 1.4426950408889634f)); }
inline float __logf(float x) { return simt::noisy(::log2f(x) * 0.6931471805599453f); }
inline float __log2f(float x) { return simt::noisy(::log2f(x)); }
inline float __fdividef(float a, float b) { return simt::noisy(a / b); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return ::sqrtf(a); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }
inline float rsqrtf(float a) { return 1.0f / ::sqrtf(a); }

inline unsigned __float_as_uint(float x) { return simt::bits<unsigned>(x); }
inline int __float_as_int(float x) { return simt::bits<int>(x); }
inline float __uint_as_float(unsigned x) { return simt::bits<float>(x); }
inline float __int_as_float(int x) { return simt::bits<float>(x); }
inline long long __double_as_longlong(double x) { return simt::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return simt::bits<double>(x); }

inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) {
  return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
using std::max;
using std::min;
