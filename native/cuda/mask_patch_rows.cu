// Masked patches in the row order of the Qwen2-VL processor (papo_mask_patch_rows): a warp for each
// segment of a row.
#include "cuda/masked_copy.cuh"
#include "cuda/operations.h"
#include "cuda/patch_mask_values.h"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr const char* kWhat = "papo_mask_patch_rows";

// Images that follow each other, by value in the parameters of a kernel; more of them take more
// launches.
struct ImageBatch {
  static constexpr int kCapacity = 64;

  int count = 0;
  int64_t firstRows[kCapacity + 1];  // of each image and, last, behind them
  int32_t widths[kCapacity];         // in patches
};

template <class Bits>
struct MaskedPatchRows {
  const Bits* rows;
  Bits* out;
  int64_t rowsStride, outStride;
  int64_t features;
  const uint8_t* mask;
  bool isPerToken;
  int64_t mergeSize;
  int64_t segments;  // of a row
  ImageBatch images;
  FillSlice<Bits> fill;
};

__device__ __forceinline__ int imageOf(const ImageBatch& images, int64_t row) {
  int low = 0, high = images.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (images.firstRows[middle] <= row)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

template <class Bits>
__device__ __forceinline__ bool isRowMasked(const MaskedPatchRows<Bits>& call, int64_t row) {
  // Tokens are in the order of their own grid already, and each image has whole ones.
  if (call.isPerToken) return call.mask[row / (call.mergeSize * call.mergeSize)] != 0;
  const int image = imageOf(call.images, row);
  const int64_t first = call.images.firstRows[image];
  return call.mask[first + patchOfRow(row - first, call.images.widths[image], call.mergeSize)] != 0;
}

template <class Bits>
__global__ void __launch_bounds__(kThreads)
    maskPatchRowsKernel(const __grid_constant__ MaskedPatchRows<Bits> call,
                        const DeviceError* error) {
  if (error->key != 0) return;
  const ImageBatch& images = call.images;
  const int64_t items = (images.firstRows[images.count] - images.firstRows[0]) * call.segments;
  for (int64_t item = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; item < items;
       item += int64_t{gridDim.x} * kWarps) {
    const int64_t row = images.firstRows[0] + item / call.segments;
    const bool isMasked = isRowMasked(call, row);
    const MaskedRow<Bits> masked{call.rows + row * call.rowsStride, call.out + row * call.outStride,
                                 call.features, 0};
    maskSegment(masked, call.fill, item % call.segments, [&](int64_t) {
      return MaskRun{isMasked, call.features};
    });
  }
}

// Reads the next images, from index on; returns the index behind them.
int64_t readImages(const papo_tensor& gridThw, int64_t index, ImageBatch* images) {
  int64_t row = images->firstRows[images->count];
  images->count = 0;
  for (; index < gridThw.rows && images->count < ImageBatch::kCapacity; ++index) {
    const auto* thw = static_cast<const int32_t*>(gridThw.data) + index * gridThw.rowStride;
    images->firstRows[images->count] = row;
    images->widths[images->count++] = thw[2];
    row += int64_t{thw[0]} * thw[1] * thw[2];
  }
  images->firstRows[images->count] = row;
  return index;
}

template <class T>
papo_status launchMaskPatchRows(Context& context, const papo_mask_patch_rows_args& a) {
  using Bits = typename ElementBits<sizeof(T)>::Type;
  MaskedPatchRows<Bits> call{static_cast<const Bits*>(a.rows.data),
                             static_cast<Bits*>(a.out.data),
                             a.rows.rowStride,
                             a.out.rowStride,
                             a.rows.columns,
                             static_cast<const uint8_t*>(a.patchMask.data),
                             a.unit == PAPO_UNIT_TOKEN,
                             a.mergeSize,
                             segmentsOf<Bits>(a.rows.columns),
                             {},
                             {}};
  const Fill fill(a.fill);
  const int64_t perChannel = a.rows.columns / fill.count();
  call.images.firstRows[0] = 0;
  for (int64_t image = 0; image < a.gridThw.rows;) {
    image = readImages(a.gridThw, image, &call.images);
    const int64_t rows = call.images.firstRows[call.images.count] - call.images.firstRows[0];
    const unsigned blocks = workBlocks(rows * call.segments, kWarps);
    PAPO_TRY(forEachFillSlice<T>(fill, perChannel, [&](const FillSlice<Bits>& slice) {
      call.fill = slice;
      PAPO_CUDA_TRY(kWhat, launch(maskPatchRowsKernel<Bits>, blocks, kThreads, 0, context.stream(),
                                  call, context.error()));
      return PAPO_OK;
    }));
  }
  return PAPO_OK;
}

}  // namespace

papo_status maskPatchRows(Context& context, const papo_mask_patch_rows_args& args) {
  PAPO_TRY(context.makeCurrent());
  PAPO_TRY(launchPatchMaskCheck(context, kWhat, static_cast<const uint8_t*>(args.patchMask.data),
                                args.patchMask.rows));
  papo_status status = PAPO_INTERNAL;
  visitImageDType(args.rows.dtype, [&](auto element) {
    status = launchMaskPatchRows<decltype(element)>(context, args);
  });
  return status;
}

}  // namespace papo::cuda
