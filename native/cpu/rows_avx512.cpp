// The row kernels of the instruction set "avx512".
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/simd_avx512.h"

#ifdef PAPO_X86_KERNELS
PAPO_TARGET_BEGIN(PAPO_AVX512_FEATURES)
#define PAPO_SIMD avx512
#include "cpu/vocab_rows-inl.h"
PAPO_TARGET_END

namespace papo {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("fma") && cpuHasF16c();
}

extern const InstructionSet kAvx512Instructions = {
    "avx512",
    supported,
    {avx512::kKernels[0], avx512::kKernels[1], avx512::kKernels[2]},
    PAPO_AVX512_FEATURES};

}  // namespace papo
#endif
