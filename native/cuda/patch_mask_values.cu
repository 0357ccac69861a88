#include "cuda/findings.cuh"
#include "cuda/patch_mask_values.h"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    checkPatchMaskKernel(const uint8_t* mask, int64_t count, DeviceError* error) {
  if (!mayCheck(error)) return;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads)
    if (mask[i] > 1) found(error, Finding::patchMask, i);
  if (!isCheckDone(error)) return;
  publishFinding(error, [&](Finding, int64_t index) { return FindingDetail{mask[index], 0}; });
}

}  // namespace

papo_status launchPatchMaskCheck(Context& context, const char* what, const uint8_t* mask,
                                 int64_t count) {
  PAPO_CUDA_TRY(what, launch(checkPatchMaskKernel, workBlocks(count, kThreads), kThreads, 0,
                             context.stream(), mask, count, context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
