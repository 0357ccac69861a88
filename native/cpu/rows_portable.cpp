// The row kernels of the instruction set "portable".
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/simd_portable.h"
#define PAPO_SIMD portable
#include "cpu/vocab_rows-inl.h"

namespace papo {

static bool supported() { return true; }

extern const InstructionSet kPortableInstructions = {
    "portable", supported, {portable::kKernels[0], portable::kKernels[1], portable::kKernels[2]}};

}  // namespace papo
