// Image masking: black patches, and the counter-based generator that chooses them.
#include <algorithm>
#include <cstring>

#include "engine/engine.h"
#include "engine/tensors.h"
#include "masking/philox.h"

namespace papo {
namespace {

int64_t patchesAlong(int64_t pixels, int64_t patchSize) {
  return (pixels + patchSize - 1) / patchSize;
}

papo_status checkMaskPatches(const papo_engine* engine, const papo_mask_patches_args* a) {
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  if (!a) return fail(PAPO_INVALID_ARGUMENT, "args: expected arguments, got null");
  if (a->size != sizeof *a)
    return fail(PAPO_INVALID_ARGUMENT, "args: expected size %zu, got %zu", sizeof *a, a->size);
  constexpr int64_t kLimit = 1 << 20;  // keeps height * width * channels inside 64 bits
  if (a->height < 1 || a->width < 1 || a->channels < 1 || a->height > kLimit || a->width > kLimit ||
      a->channels > kLimit)
    return fail(PAPO_INVALID_SHAPE,
                "image: expected height, width and channels of 1 to %lld, got %lld, %lld, %lld",
                static_cast<long long>(kLimit), static_cast<long long>(a->height),
                static_cast<long long>(a->width), static_cast<long long>(a->channels));
  if (a->patchSize < 1 || a->patchSize > kLimit)
    return fail(PAPO_INVALID_OPTION, "patchSize: expected 1 to %lld, got %lld",
                static_cast<long long>(kLimit), static_cast<long long>(a->patchSize));
  const unsigned u8 = dtypeBit(PAPO_UINT8);
  const int64_t pixels = a->height * a->width;
  const int64_t patches =
      patchesAlong(a->height, a->patchSize) * patchesAlong(a->width, a->patchSize);
  PAPO_TRY(requireMatrix({"image", &a->image}, pixels, a->channels, u8));
  PAPO_TRY(requireMatrix({"out", &a->out}, pixels, a->channels, u8));
  if (a->image.rowStride != a->channels || a->out.rowStride != a->channels)
    return fail(PAPO_INVALID_SHAPE, "image: expected contiguous pixels");
  PAPO_TRY(requireVector({"patchMask", &a->patchMask}, patches, u8));
  PAPO_TRY(requireBinary({"patchMask", &a->patchMask}));
  return requireDisjoint({{"image", &a->image}, {"patchMask", &a->patchMask}}, {{"out", &a->out}},
                         {{&a->image, &a->out}});
}

void maskPatches(const papo_mask_patches_args& a) {
  auto* pixels = static_cast<uint8_t*>(a.out.data);
  const auto* mask = static_cast<const uint8_t*>(a.patchMask.data);
  const int64_t columns = patchesAlong(a.width, a.patchSize);
  if (a.out.data != a.image.data)
    std::memcpy(pixels, a.image.data, static_cast<size_t>(a.height * a.width * a.channels));
  for (int64_t y = 0; y < a.height; ++y) {
    const uint8_t* maskRow = mask + y / a.patchSize * columns;
    for (int64_t patch = 0; patch < columns; ++patch) {
      if (!maskRow[patch]) continue;
      const int64_t begin = patch * a.patchSize;
      const int64_t end = std::min(begin + a.patchSize, a.width);
      std::memset(pixels + (y * a.width + begin) * a.channels, 0,
                  static_cast<size_t>((end - begin) * a.channels));
    }
  }
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_mask_patches(papo_engine* engine, const papo_mask_patches_args* args) {
  using namespace papo;
  PAPO_TRY(checkMaskPatches(engine, args));
  maskPatches(*args);
  return PAPO_OK;
}

extern "C" papo_status papo_random_patch_mask(papo_engine* engine,
                                              const papo_random_patch_mask_args* args) {
  using namespace papo;
  if (!engine) return fail(PAPO_INVALID_ARGUMENT, "engine: expected an engine, got null");
  if (!args) return fail(PAPO_INVALID_ARGUMENT, "args: expected arguments, got null");
  if (args->size != sizeof *args)
    return fail(PAPO_INVALID_ARGUMENT, "args: expected size %zu, got %zu", sizeof *args,
                args->size);
  if (!(args->ratio >= 0 && args->ratio <= 1))
    return fail(PAPO_INVALID_OPTION, "ratio: expected a number of 0 to 1, got %g", args->ratio);
  const int64_t patches = args->patchMask.rows;
  if (patches > INT32_MAX)
    return fail(PAPO_INVALID_SHAPE, "patchMask: expected fewer than 2^31 patches, got %lld",
                static_cast<long long>(patches));
  PAPO_TRY(requireVector({"patchMask", &args->patchMask}, patches, dtypeBit(PAPO_UINT8)));
  auto* mask = static_cast<uint8_t*>(args->patchMask.data);
  for (int64_t i = 0; i < patches; ++i) {
    const PhiloxBlock block =
        philox({static_cast<uint32_t>(i), args->image, static_cast<uint32_t>(args->prompt),
                static_cast<uint32_t>(args->prompt >> 32)},
               args->seed);
    mask[i] = uniform(block.words[0]) < args->ratio;
  }
  return PAPO_OK;
}
