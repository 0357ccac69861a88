// The row kernels of the instruction set "neon".
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/simd_neon.h"

#ifdef PAPO_NEON_KERNELS
#define PAPO_SIMD neon
#include "cpu/vocab_rows-inl.h"

namespace papo {

static bool supported() { return true; }

extern const InstructionSet kNeonInstructions = {
    "neon", supported, {neon::kKernels[0], neon::kKernels[1], neon::kKernels[2]}};

}  // namespace papo
#endif
