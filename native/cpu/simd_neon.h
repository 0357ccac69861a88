// Primitives of the NEON kernels: 8 float lanes in two registers. See simd_portable.h for what each
// must do. NEON is in the baseline of AArch64, so there is no target to switch on.
//
// Two registers: eight 16-bit elements are then one whole load or store, and two chains of sums run
// side by side.
#pragma once

#include "cpu/simd_target.h"
#include "engine/dtype.h"

#ifdef PAPO_NEON_KERNELS
namespace papo {
namespace neon {

struct Vec {
  float32x4_t low, high;
};
constexpr int kLanes = 8;

inline uint32x4_t bitsOf(float32x4_t x) { return vreinterpretq_u32_f32(x); }
inline float32x4_t fromBits(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

inline Vec load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline Vec load(const Float16* p) {
  const float16x8_t x = vreinterpretq_f16_u16(vld1q_u16(&p->bits));
  return {vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x)};
}
// Each word into the upper half of its lane.
inline Vec load(const BFloat16* p) {
  const uint16x8_t words = vld1q_u16(&p->bits), zero = vdupq_n_u16(0);
  return {vreinterpretq_f32_u16(vzip1q_u16(zero, words)),
          vreinterpretq_f32_u16(vzip2q_u16(zero, words))};
}

inline uint16x8_t toFloat16(Vec x) {
  return vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.low), x.high));
}
// The bits plus 1 where the upper word is odd: shifted to the sign, that bit is added as a 1.
inline uint32x4_t withOddBit(float32x4_t x) {
  return vsraq_n_u32(bitsOf(x), vshlq_n_u32(bitsOf(x), 15), 31);
}
inline uint16x8_t toBFloat16(Vec x) {
  const uint32x4_t half = vdupq_n_u32(0x7fff);
  // The upper words of the sums.
  return vaddhn_high_u32(vaddhn_u32(withOddBit(x.low), half), withOddBit(x.high), half);
}

inline void store(Vec x, float* p) {
  vst1q_f32(p, x.low);
  vst1q_f32(p + 4, x.high);
}
inline void store(Vec x, Float16* p) { vst1q_u16(&p->bits, toFloat16(x)); }
inline void store(Vec x, BFloat16* p) { vst1q_u16(&p->bits, toBFloat16(x)); }
// Plain stores: the non-temporal pair is only a hint, and the cores notice long runs of stores.
template <class T>
inline void stream(Vec x, T* p) {
  store(x, p);
}
inline void finishStreams() {}
inline void prefetch(uintptr_t address) {
  __builtin_prefetch(reinterpret_cast<const void*>(address));
}

inline Vec broadcast(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline Vec add(Vec a, Vec b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline Vec sub(Vec a, Vec b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline Vec mul(Vec a, Vec b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline Vec fma(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
inline Vec atLeast(Vec bound, Vec x) {
  return {vmaxq_f32(bound.low, x.low), vmaxq_f32(bound.high, x.high)};
}
inline Vec chooseGreater(Vec a, Vec b, Vec yes, Vec no) {
  return {vbslq_f32(vcgtq_f32(a.low, b.low), yes.low, no.low),
          vbslq_f32(vcgtq_f32(a.high, b.high), yes.high, no.high)};
}
inline Vec withLane(Vec x, int lane, float value) {
  const uint32x4_t first = {0, 1, 2, 3}, second = {4, 5, 6, 7};
  const uint32x4_t chosen = vdupq_n_u32(static_cast<uint32_t>(lane));
  const float32x4_t values = vdupq_n_f32(value);
  return {vbslq_f32(vceqq_u32(first, chosen), values, x.low),
          vbslq_f32(vceqq_u32(second, chosen), values, x.high)};
}
// In the order of AVX2, so that both give the same bits.
inline float sumOf(Vec x) {
  const float32x4_t four = vaddq_f32(x.low, x.high);
  return vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}
inline float maximumOf(Vec x) { return vmaxvq_f32(vmaxq_f32(x.low, x.high)); }
inline Vec shiftIntoExponent(Vec x) {
  return {fromBits(vshlq_n_u32(bitsOf(x.low), 23)), fromBits(vshlq_n_u32(bitsOf(x.high), 23))};
}

}  // namespace neon
}  // namespace papo
#endif
