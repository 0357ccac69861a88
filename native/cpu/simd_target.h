// Compiles the functions between PAPO_TARGET_BEGIN and PAPO_TARGET_END for an instruction set that
// the rest of the program does not assume, so that no source file needs flags of its own.
// Standard headers and immintrin.h must come before: they are to stay at the baseline.
#pragma once

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

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define PAPO_X86_KERNELS 1
#endif
