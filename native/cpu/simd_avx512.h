// Primitives of the AVX-512 kernels: 16 float lanes. See simd_portable.h for what each must do.
#pragma once

#include "cpu/simd_target.h"
#include "engine/dtype.h"

#define PAPO_AVX512_FEATURES "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"

#ifdef PAPO_X86_KERNELS
PAPO_TARGET_BEGIN(PAPO_AVX512_FEATURES)
namespace papo {
namespace avx512 {

using Vec = __m512;
constexpr int kLanes = 16;

inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline Vec load(const Float16* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load(const BFloat16* p) {
  // Each word into the upper half of its lane: one permutation instead of a conversion and a shift.
  const __m512i bits =
      _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  const __m512i word = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0,  //
                                        7, 0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);
  return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, word, bits));
}

inline __m256i toFloat16(Vec x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
inline __m256i toBFloat16(Vec x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
  const __m512i even = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_mask_add_epi32(even, odd, bits, _mm512_set1_epi32(0x8000));
  // The upper word of each lane: one permutation where a shift and a conversion would be three.
  const __m512i upper = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                         31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, rounded));
}

inline void store(Vec x, float* p) { _mm512_storeu_ps(p, x); }
inline void store(Vec x, Float16* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), toFloat16(x));
}
inline void store(Vec x, BFloat16* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), toBFloat16(x));
}
inline void stream(Vec x, float* p) { _mm512_stream_ps(p, x); }
inline void stream(Vec x, Float16* p) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), toFloat16(x));
}
inline void stream(Vec x, BFloat16* p) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), toBFloat16(x));
}
inline void finishStreams() { _mm_sfence(); }
inline void prefetch(uintptr_t address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);
}

inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec atLeast(Vec bound, Vec x) { return _mm512_max_ps(bound, x); }
inline Vec chooseGreater(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
}
inline Vec withLane(Vec x, int lane, float value) {
  return _mm512_mask_mov_ps(x, static_cast<__mmask16>(1u << lane), _mm512_set1_ps(value));
}
inline float sumOf(Vec x) { return _mm512_reduce_add_ps(x); }
inline float maximumOf(Vec x) { return _mm512_reduce_max_ps(x); }
inline Vec shiftIntoExponent(Vec x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23));
}

}  // namespace avx512
}  // namespace papo
PAPO_TARGET_END
#endif
