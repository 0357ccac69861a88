// The most salient cells of a frame, by a radix selection that needs no memory: the key of the last
// chosen cell is found byte by byte, from counts of the keys that share its beginning.
#include "engine/refusals.h"
#include "masking/masking.h"
#include "masking/saliency_terms.h"

namespace papo {
namespace {

papo_status checkSaliencyPatchMask(const papo_engine* engine,
                                   const papo_saliency_patch_mask_args* a) {
  PAPO_TRY(requireArgs(engine, a));
  PAPO_TRY(requireSize("frames", a->frames, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("height", a->height, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("width", a->width, PAPO_INVALID_SHAPE));
  PAPO_TRY(requireSize("mergeSize", a->mergeSize, PAPO_INVALID_OPTION));
  const int64_t cells = CellGrid(*a).cells();
  if (a->count < 0 || a->count > cells)
    return fail(PAPO_INVALID_OPTION, "count: expected 0 to %lld cells, got %lld",
                static_cast<long long>(cells), static_cast<long long>(a->count));
  PAPO_TRY(
      requireMatrix({"saliency", &a->saliency}, a->frames * a->height, a->width, kFloatDTypes));
  PAPO_TRY(requireVector({"patchMask", &a->patchMask}, a->frames * cells, dtypeBit(PAPO_UINT8)));
  return requireDisjoint({{"saliency", &a->saliency}}, {{"patchMask", &a->patchMask}}, {});
}

template <class Key>
Threshold selectLargest(int64_t count, int64_t cells, const Key& keyOf) {
  Threshold threshold{0, count};
  for (int shift = 56; shift >= 0; shift -= 8) {
    int64_t counts[256] = {};
    for (int64_t i = 0; i < cells; ++i) {
      const uint64_t key = keyOf(i);
      if (threshold.counts(key, shift)) ++counts[key >> shift & 0xff];
    }
    threshold.narrow(counts, shift);
  }
  return threshold;
}

template <class T>
papo_status requireOrdered(const papo_saliency_patch_mask_args& a, const CellGrid& grid) {
  for (int64_t frame = 0; frame < a.frames; ++frame) {
    for (int64_t cell = 0; cell < grid.cells(); ++cell) {
      if (std::isnan(saliencyOf<T>(a, grid, frame, cell))) return refuseNanSaliency(cell, frame);
    }
  }
  return PAPO_OK;
}

template <class T>
papo_status maskMostSalient(const papo_saliency_patch_mask_args& a) {
  const CellGrid grid(a);
  const int64_t cells = grid.cells();
  PAPO_TRY(requireOrdered<T>(a, grid));
  auto* mask = static_cast<uint8_t*>(a.patchMask.data);
  if (a.count == 0) {
    std::memset(mask, 0, static_cast<size_t>(a.frames * cells));
    return PAPO_OK;
  }
  for (int64_t frame = 0; frame < a.frames; ++frame) {
    const auto keyOf = [&](int64_t cell) {
      return orderedKey(saliencyOf<T>(a, grid, frame, cell));
    };
    Threshold threshold = selectLargest(a.count, cells, keyOf);
    for (int64_t cell = 0; cell < cells; ++cell) {
      const uint64_t key = keyOf(cell);
      mask[frame * cells + cell] =
          key > threshold.key || (key == threshold.key && threshold.equal-- > 0);
    }
  }
  return PAPO_OK;
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_saliency_patch_mask(papo_engine* engine,
                                                const papo_saliency_patch_mask_args* args) {
  using namespace papo;
  PAPO_TRY(checkSaliencyPatchMask(engine, args));
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return cuda::saliencyPatchMask(*engine->cuda, *args);
#endif
  papo_status status = PAPO_INTERNAL;
  visitDType(args->saliency.dtype,
             [&](auto element) { status = maskMostSalient<decltype(element)>(*args); });
  return status;
}
