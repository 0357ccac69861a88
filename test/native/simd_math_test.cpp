// Vector exponential, conversions and selections of each instruction set against the scalar ones.
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "check.h"
#include "cpu/rows.h"
#include "cpu/simd_portable.h"
#include "cpu/simd_target.h"
#ifdef PAPO_X86_KERNELS
#include "cpu/simd_avx2.h"
#include "cpu/simd_avx512.h"
#endif
#include "cpu/simd_neon.h"

#define PAPO_SIMD portable
#include "cpu/simd_math-inl.h"
#include "simd_math_test-inl.h"
#undef PAPO_SIMD
#ifdef PAPO_X86_KERNELS
#define PAPO_SIMD avx2
PAPO_TARGET_BEGIN(PAPO_AVX2_FEATURES)
#include "cpu/simd_math-inl.h"
#include "simd_math_test-inl.h"
PAPO_TARGET_END
#undef PAPO_SIMD
#define PAPO_SIMD avx512
PAPO_TARGET_BEGIN(PAPO_AVX512_FEATURES)
#include "cpu/simd_math-inl.h"
#include "simd_math_test-inl.h"
PAPO_TARGET_END
#undef PAPO_SIMD
#endif
#ifdef PAPO_NEON_KERNELS
#define PAPO_SIMD neon
#include "cpu/simd_math-inl.h"
#include "simd_math_test-inl.h"
#undef PAPO_SIMD
#endif

int main() {
  papo::portable::testAll("portable");
#ifdef PAPO_X86_KERNELS
  if (papo::findInstructionSet("avx2")->supported()) papo::avx2::testAll("avx2");
  if (papo::findInstructionSet("avx512")->supported()) papo::avx512::testAll("avx512");
#endif
#ifdef PAPO_NEON_KERNELS
  papo::neon::testAll("neon");
#endif
  return papo_test::finish();
}
