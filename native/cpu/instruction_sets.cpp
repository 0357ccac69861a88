// The instruction sets of this build, fastest first.
#include <cstring>

#include "cpu/rows.h"
#include "cpu/simd_target.h"

namespace papo {

extern const InstructionSet kPortableInstructions;
#ifdef PAPO_X86_KERNELS
extern const InstructionSet kAvx2Instructions;
extern const InstructionSet kAvx512Instructions;
#endif
#ifdef PAPO_NEON_KERNELS
extern const InstructionSet kNeonInstructions;
#endif

InstructionSetList instructionSets() {
  static const InstructionSet* const all[] = {
#ifdef PAPO_X86_KERNELS
      &kAvx512Instructions,  //
      &kAvx2Instructions,
#endif
#ifdef PAPO_NEON_KERNELS
      &kNeonInstructions,
#endif
      &kPortableInstructions,  //
      &referenceInstructionSet,
  };
  return {all, static_cast<int>(sizeof all / sizeof all[0])};
}

const InstructionSet* findInstructionSet(const char* name) {
  const InstructionSetList list = instructionSets();
  for (int i = 0; i < list.count; ++i) {
    const InstructionSet* set = list.first[i];
    if (name ? std::strcmp(set->name, name) == 0 : set->supported()) return set;
  }
  return nullptr;
}

}  // namespace papo
