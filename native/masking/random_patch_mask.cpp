// Masks that are drawn: each value from its own counter.
#include "masking/masking.h"
#include "masking/random_terms.h"

extern "C" papo_status papo_random_patch_mask(papo_engine* engine,
                                              const papo_random_patch_mask_args* args) {
  using namespace papo;
  PAPO_TRY(requireArgs(engine, args));
  if (!(args->ratio >= 0 && args->ratio <= 1))
    return fail(PAPO_INVALID_OPTION, "ratio: expected a number of 0 to 1, got %g", args->ratio);
  const int64_t patches = args->patchMask.rows;
  if (patches > INT32_MAX)
    return fail(PAPO_INVALID_SHAPE, "patchMask: expected fewer than 2^31 patches, got %lld",
                static_cast<long long>(patches));
  PAPO_TRY(requireVector({"patchMask", &args->patchMask}, patches, dtypeBit(PAPO_UINT8)));
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return cuda::randomPatchMask(*engine->cuda, *args);
#endif
  auto* mask = static_cast<uint8_t*>(args->patchMask.data);
  for (int64_t first = 0; first < patches; first += kDrawnTogether) {
    const PhiloxBlock block = wordsOfPatches(*args, first);
    for (int64_t i = first; i < std::min(first + kDrawnTogether, patches); ++i)
      mask[i] = isMasked(*args, block.words[i - first]);
  }
  return PAPO_OK;
}
