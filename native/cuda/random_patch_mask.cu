// Masks that are drawn (papo_random_patch_mask): each value from its own counter, so that they are
// those of the CPU.
#include "cuda/context.h"
#include "cuda/device.cuh"
#include "cuda/operations.h"
#include "cuda/work_grid.h"
#include "masking/random_terms.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    randomPatchMaskKernel(const __grid_constant__ papo_random_patch_mask_args args,
                          const DeviceError* error) {
  if (error->key != 0) return;
  uint8_t* mask = static_cast<uint8_t*>(args.patchMask.data);
  const int64_t patches = args.patchMask.rows;
  const bool isAligned = reinterpret_cast<uintptr_t>(mask) % sizeof(uchar4) == 0;
  const int64_t step = int64_t{gridDim.x} * kThreads * kDrawnTogether;
  for (int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kDrawnTogether;
       first < patches; first += step) {
    const PhiloxBlock block = wordsOfPatches(args, first);
    uint8_t values[kDrawnTogether];
#pragma unroll
    for (int i = 0; i < kDrawnTogether; ++i) values[i] = isMasked(args, block.words[i]);
    if (isAligned && first + kDrawnTogether <= patches) {
      *reinterpret_cast<uchar4*>(mask + first) =
          make_uchar4(values[0], values[1], values[2], values[3]);
      continue;
    }
#pragma unroll
    for (int i = 0; i < kDrawnTogether; ++i)
      if (first + i < patches) mask[first + i] = values[i];
  }
}

}  // namespace

papo_status randomPatchMask(Context& context, const papo_random_patch_mask_args& args) {
  PAPO_TRY(context.makeCurrent());
  PAPO_CUDA_TRY(
      "papo_random_patch_mask",
      launch(randomPatchMaskKernel, workBlocks(args.patchMask.rows, kThreads * kDrawnTogether),
             kThreads, 0, context.stream(), args, context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
