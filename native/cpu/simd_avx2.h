// Primitives of the AVX2 kernels: 8 float lanes. See simd_portable.h for what each must do.
#pragma once

#include "cpu/simd_target.h"
#include "engine/dtype.h"

#define PAPO_AVX2_FEATURES "avx2,fma,f16c"

#ifdef PAPO_X86_KERNELS
PAPO_TARGET_BEGIN(PAPO_AVX2_FEATURES)
namespace papo {
namespace avx2 {

using Vec = __m256;
constexpr int kLanes = 8;

inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline Vec load(const Float16* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec load(const BFloat16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

inline __m128i toFloat16(Vec x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
inline __m128i toBFloat16(Vec x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i words = _mm256_srli_epi32(rounded, 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

inline void store(Vec x, float* p) { _mm256_storeu_ps(p, x); }
inline void store(Vec x, Float16* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), toFloat16(x));
}
inline void store(Vec x, BFloat16* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), toBFloat16(x));
}
inline void stream(Vec x, float* p) { _mm256_stream_ps(p, x); }
inline void stream(Vec x, Float16* p) {
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), toFloat16(x));
}
inline void stream(Vec x, BFloat16* p) {
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), toBFloat16(x));
}
inline void finishStreams() { _mm_sfence(); }
inline void prefetch(uintptr_t address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);
}

inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec atLeast(Vec bound, Vec x) { return _mm256_max_ps(bound, x); }
inline Vec chooseGreater(Vec a, Vec b, Vec yes, Vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
inline Vec withLane(Vec x, int lane, float value) {
  const __m256i chosen =
      _mm256_cmpeq_epi32(_mm256_set1_epi32(lane), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  return _mm256_blendv_ps(x, _mm256_set1_ps(value), _mm256_castsi256_ps(chosen));
}
inline float sumOf(Vec x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float maximumOf(Vec x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline Vec shiftIntoExponent(Vec x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 23));
}

}  // namespace avx2
}  // namespace papo
PAPO_TARGET_END
#endif
