// Masked patches in the row order of the Qwen2-VL processor.
#include "masking/masking.h"

namespace papo {
namespace {

// The patch grid of one image or video: t frame groups of h x w patches.
struct PatchGrid {
  int64_t t, h, w;

  int64_t patches() const { return t * h * w; }
};

PatchGrid gridOf(const papo_tensor& gridThw, int64_t image) {
  const auto* thw = static_cast<const int32_t*>(gridThw.data) + image * gridThw.rowStride;
  return {thw[0], thw[1], thw[2]};
}

papo_status checkGrids(const papo_mask_patch_rows_args& a) {
  PAPO_TRY(requireMatrix({"gridThw", &a.gridThw}, a.gridThw.rows, 3, dtypeBit(PAPO_INT32)));
  int64_t left = a.rows.rows;
  for (int64_t i = 0; i < a.gridThw.rows; ++i) {
    const PatchGrid grid = gridOf(a.gridThw, i);
    if (grid.t < 1 || grid.h < 1 || grid.w < 1 || grid.h % a.mergeSize != 0 ||
        grid.w % a.mergeSize != 0)
      return fail(PAPO_INVALID_SHAPE,
                  "gridThw: expected t, h and w of at least 1, h and w multiples of %lld, got "
                  "%lld, %lld, %lld at index %lld",
                  static_cast<long long>(a.mergeSize), static_cast<long long>(grid.t),
                  static_cast<long long>(grid.h), static_cast<long long>(grid.w),
                  static_cast<long long>(i));
    if (grid.t > left / (grid.h * grid.w))
      return fail(PAPO_INVALID_SHAPE, "gridThw: expected %lld patches in all, got more",
                  static_cast<long long>(a.rows.rows));
    left -= grid.patches();
  }
  if (left == 0) return PAPO_OK;
  return fail(PAPO_INVALID_SHAPE, "gridThw: expected %lld patches in all, got %lld",
              static_cast<long long>(a.rows.rows), static_cast<long long>(a.rows.rows - left));
}

papo_status checkFill(const papo_mask_patch_rows_args& a) {
  const int64_t channels = isPresent(a.fill) ? a.fill.rows : 1;
  PAPO_TRY(requireFill(a.fill, channels, a.rows.dtype));
  if (channels > 0 && a.rows.columns % channels == 0) return PAPO_OK;
  return fail(PAPO_INVALID_SHAPE, "fill: expected a divisor of the %lld features, got %lld values",
              static_cast<long long>(a.rows.columns), static_cast<long long>(channels));
}

papo_status checkMaskPatchRows(const papo_engine* engine, const papo_mask_patch_rows_args* a) {
  PAPO_TRY(requireArgs(engine, a));
  if (a->unit != PAPO_UNIT_PATCH && a->unit != PAPO_UNIT_TOKEN)
    return fail(PAPO_INVALID_OPTION, "unit: expected a papo_mask_unit, got %d", a->unit);
  PAPO_TRY(requireSize("mergeSize", a->mergeSize, PAPO_INVALID_OPTION));
  const papo_tensor& rows = a->rows;
  PAPO_TRY(requireMatrix({"rows", &rows}, rows.rows, rows.columns, kImageDTypes));
  PAPO_TRY(requireMatrix({"out", &a->out}, rows.rows, rows.columns,
                         1u << static_cast<unsigned>(rows.dtype)));
  PAPO_TRY(checkGrids(*a));
  const int64_t perValue = a->unit == PAPO_UNIT_TOKEN ? a->mergeSize * a->mergeSize : 1;
  PAPO_TRY(requireVector({"patchMask", &a->patchMask}, rows.rows / perValue, dtypeBit(PAPO_UINT8)));
  PAPO_TRY(requireBinaryHere(engine, {"patchMask", &a->patchMask}));
  PAPO_TRY(checkFill(*a));
  return requireDisjoint({{"rows", &a->rows},
                          {"gridThw", &a->gridThw},
                          {"patchMask", &a->patchMask},
                          {"fill", &a->fill}},
                         {{"out", &a->out}}, {{&a->rows, &a->out}});
}

// Features are ordered by channel first.
template <class T>
void fillRow(const Fill& fill, int64_t features, T* out) {
  const int64_t perChannel = features / fill.count();
  for (int64_t channel = 0; channel < fill.count(); ++channel)
    std::fill_n(out + channel * perChannel, perChannel, toElement<T>(fill.at(channel)));
}

template <class T>
void maskRow(const papo_mask_patch_rows_args& a, const Fill& fill, int64_t row, bool masked) {
  const auto* in = static_cast<const T*>(a.rows.data) + row * a.rows.rowStride;
  auto* out = static_cast<T*>(a.out.data) + row * a.out.rowStride;
  if (masked)
    fillRow(fill, a.rows.columns, out);
  else if (in != out)
    std::memcpy(out, in, static_cast<size_t>(a.rows.columns) * sizeof(T));
}

template <class T>
void maskRows(const papo_mask_patch_rows_args& a, const Fill& fill, int64_t begin, int64_t end) {
  const auto* mask = static_cast<const uint8_t*>(a.patchMask.data);
  const bool perToken = a.unit == PAPO_UNIT_TOKEN;
  const int64_t perValue = perToken ? a.mergeSize * a.mergeSize : 1;
  int64_t image = 0, first = 0;  // of the image's rows
  for (int64_t row = begin; row < end;) {
    const PatchGrid grid = gridOf(a.gridThw, image++);
    const int64_t next = first + grid.patches();
    for (; row < std::min(next, end); ++row) {
      // Tokens are in the order of their own grid already.
      const int64_t at =
          perToken ? (row - first) / perValue : patchOfRow(row - first, grid.w, a.mergeSize);
      maskRow<T>(a, fill, row, mask[first / perValue + at] != 0);
    }
    first = next;
  }
}

}  // namespace
}  // namespace papo

extern "C" papo_status papo_mask_patch_rows(papo_engine* engine,
                                            const papo_mask_patch_rows_args* args) {
  using namespace papo;
  PAPO_TRY(checkMaskPatchRows(engine, args));
#if defined(PAPO_WITH_CUDA)
  if (engine->isCuda()) return cuda::maskPatchRows(*engine->cuda, *args);
#endif
  const Fill fill(args->fill);
  visitImageDType(args->rows.dtype, [&](auto element) {
    using T = decltype(element);
    const int64_t rowBytes = args->rows.columns * static_cast<int64_t>(sizeof(T));
    forEachPart(engine, args->rows.rows, rowBytes,
                [&](int64_t begin, int64_t end) { maskRows<T>(*args, fill, begin, end); });
  });
  return PAPO_OK;
}
