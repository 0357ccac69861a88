// The row kernels of the instruction set "avx2".
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/simd_avx2.h"

#ifdef PAPO_X86_KERNELS
PAPO_TARGET_BEGIN(PAPO_AVX2_FEATURES)
#define PAPO_SIMD avx2
#include "cpu/vocab_rows-inl.h"
PAPO_TARGET_END

namespace papo {

static bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && cpuHasF16c();
}

extern const InstructionSet kAvx2Instructions = {
    "avx2",
    supported,
    {avx2::kKernels[0], avx2::kKernels[1], avx2::kKernels[2]},
    PAPO_AVX2_FEATURES};

}  // namespace papo
#endif
