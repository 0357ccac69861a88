// Compiles the functions between PAPO_TARGET_BEGIN and PAPO_TARGET_END for an instruction set that
// the rest of the program does not assume, so that no source file needs flags of its own.
// Standard headers must come before: they are to stay at the baseline.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define PAPO_X86_KERNELS 1
// GCC 12 takes the deliberately undefined pass-through operands of these intrinsics for a mistake.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#include <cpuid.h>
namespace papo {
// Clang 14 refuses __builtin_cpu_supports("f16c").
inline bool cpuHasF16c() {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
}  // namespace papo
#endif

// The lanes of NEON registers are numbered from the low address only where bytes are too.
#if defined(__AARCH64EL__) && (defined(__GNUC__) || defined(__clang__))
#define PAPO_NEON_KERNELS 1
#include <arm_neon.h>
#endif

#define PAPO_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define PAPO_TARGET_BEGIN(features) \
  PAPO_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define PAPO_TARGET_END PAPO_PRAGMA(clang attribute pop)
#else
#define PAPO_TARGET_BEGIN(features) \
  PAPO_PRAGMA(GCC push_options)     \
  PAPO_PRAGMA(GCC target(features))
#define PAPO_TARGET_END PAPO_PRAGMA(GCC pop_options)
#endif
