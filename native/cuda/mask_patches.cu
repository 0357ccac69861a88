// Masked images (papo_mask_patches): a warp for each segment of a pixel row.
#include "cuda/masked_copy.cuh"
#include "cuda/operations.h"
#include "cuda/patch_mask_values.h"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr const char* kWhat = "papo_mask_patches";

// image and out: [planes.count * height, planes.rowElements].
template <class Bits>
struct MaskedImage {
  const Bits* image;
  Bits* out;
  int64_t imageStride, outStride;
  const uint8_t* mask;
  bool isShared;  // one mask for all frames
  Planes planes;
  int64_t height;
  int64_t segments;  // of a row
  FillSlice<Bits> fill;
};

template <class Bits>
__device__ __forceinline__ const uint8_t* maskRowOf(const MaskedImage<Bits>& call, int64_t row) {
  const Planes& planes = call.planes;
  const int64_t frame = call.isShared ? 0 : row / call.height / planes.perFrame;
  const int64_t gridRow = row % call.height / planes.side;
  return call.mask + (frame * planes.gridRows + gridRow) * planes.gridColumns;
}

template <class Bits>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    maskPatchesKernel(const __grid_constant__ MaskedImage<Bits> call, const DeviceError* error) {
  if (error->key != 0) return;
  const Planes& planes = call.planes;
  const int64_t cellElements = planes.side * planes.pixelElements;
  const int64_t items = planes.count * call.height * call.segments;
  for (int64_t item = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; item < items;
       item += int64_t{gridDim.x} * kWarps) {
    const int64_t row = item / call.segments;
    const uint8_t* maskRow = maskRowOf(call, row);
    const MaskedRow<Bits> masked{call.image + row * call.imageStride,
                                 call.out + row * call.outStride, planes.rowElements,
                                 planes.planar ? row / call.height % planes.perFrame : 0};
    maskSegment(masked, call.fill, item % call.segments, [&](int64_t element) {
      const int64_t cell = element / cellElements;
      return MaskRun{maskRow[cell] != 0, (cell + 1) * cellElements};
    });
  }
}

template <class T>
papo_status launchMaskPatches(Context& context, const papo_mask_patches_args& a) {
  using Bits = typename ElementBits<sizeof(T)>::Type;
  const Planes planes(a);
  MaskedImage<Bits> call{static_cast<const Bits*>(a.image.data),
                         static_cast<Bits*>(a.out.data),
                         a.image.rowStride,
                         a.out.rowStride,
                         static_cast<const uint8_t*>(a.patchMask.data),
                         a.patchMask.rows == planes.cells(),
                         planes,
                         a.height,
                         segmentsOf<Bits>(planes.rowElements),
                         {}};
  const unsigned blocks = workBlocks(planes.count * a.height * call.segments, kWarps);
  const int64_t runLength = planes.planar ? planes.rowElements : 1;
  return forEachFillSlice<T>(Fill(a.fill), runLength, [&](const FillSlice<Bits>& fill) {
    call.fill = fill;
    PAPO_CUDA_TRY(kWhat, launch(maskPatchesKernel<Bits>, blocks, kThreads, 0, context.stream(),
                                call, context.error()));
    return PAPO_OK;
  });
}

}  // namespace

papo_status maskPatches(Context& context, const papo_mask_patches_args& args) {
  PAPO_TRY(context.makeCurrent());
  PAPO_TRY(launchPatchMaskCheck(context, kWhat, static_cast<const uint8_t*>(args.patchMask.data),
                                args.patchMask.rows));
  papo_status status = PAPO_INTERNAL;
  visitImageDType(args.image.dtype, [&](auto element) {
    status = launchMaskPatches<decltype(element)>(context, args);
  });
  return status;
}

}  // namespace papo::cuda
