// The most salient cells of each frame (papo_saliency_patch_mask): a block for each, by the CPU's
// radix selection. Like there, means are computed anew in every round, and no memory is needed.
#include "cuda/context.h"
#include "cuda/findings.cuh"
#include "cuda/operations.h"
#include "cuda/work_grid.h"
#include "masking/saliency_terms.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;
constexpr const char* kWhat = "papo_saliency_patch_mask";
constexpr unsigned kAllLanes = 0xffffffffu;

using Args = papo_saliency_patch_mask_args;

template <class T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    checkSaliencyKernel(Args args, DeviceError* error) {
  if (!mayCheck(error)) return;
  const CellGrid grid(args);
  const int64_t cells = grid.cells(), all = args.frames * cells;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < all;
       i += int64_t{gridDim.x} * kThreads) {
    const double mean = saliencyOf<T>(args, grid, i / cells, i % cells);
    if (mean != mean) found(error, Finding::saliency, i);
  }
  if (!isCheckDone(error)) return;
  publishFinding(error, [&](Finding, int64_t) { return FindingDetail{0, cells}; });
}

// keyOf(cell) of the frame's cells; the same in every thread.
template <class KeyOf>
__device__ __forceinline__ Threshold selectLargest(int64_t count, int64_t cells,
                                                   const KeyOf& keyOf) {
  PAPO_SHARED_ARRAY(unsigned long long, counts, 256);
  Threshold threshold{0, count};
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < 256; i += kThreads) counts[i] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < cells; i += kThreads) {
      const uint64_t key = keyOf(i);
      if (threshold.counts(key, shift)) atomicAdd(&counts[key >> shift & 0xff], 1ull);
    }
    __syncthreads();
    threshold.narrow(counts, shift);
    __syncthreads();
  }
  return threshold;
}

// How many threads below this one say yes, and how many of all.
struct BlockRank {
  int below, all;
};

__device__ __forceinline__ BlockRank rankInBlock(bool yes) {
  PAPO_SHARED_ARRAY(int, ofWarps, kWarps);
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const unsigned votes = __ballot_sync(kAllLanes, yes);
  if (lane == 0) ofWarps[warp] = __popc(votes);
  __syncthreads();
  BlockRank rank{__popc(votes & ((1u << lane) - 1)), 0};
  for (int i = 0; i < kWarps; ++i) {
    if (i < warp) rank.below += ofWarps[i];
    rank.all += ofWarps[i];
  }
  __syncthreads();
  return rank;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    saliencyPatchMaskKernel(Args args, const DeviceError* error) {
  if (error->key != 0) return;
  const CellGrid grid(args);
  const int64_t cells = grid.cells();
  for (int64_t frame = blockIdx.x; frame < args.frames; frame += gridDim.x) {
    const auto keyOf = [&](int64_t cell) {
      return orderedKey(saliencyOf<T>(args, grid, frame, cell));
    };
    const Threshold threshold = selectLargest(args.count, cells, keyOf);
    uint8_t* mask = static_cast<uint8_t*>(args.patchMask.data) + frame * cells;
    // Of equal cells the first: how many come before one is known from the tiles before.
    int64_t equalBefore = 0;
    for (int64_t first = 0; first < cells; first += kThreads) {
      const int64_t cell = first + threadIdx.x;
      const bool isThere = cell < cells;
      const uint64_t key = isThere ? keyOf(cell) : 0;
      const BlockRank equal = rankInBlock(isThere && key == threshold.key);
      if (isThere)
        mask[cell] = key > threshold.key ||
                     (key == threshold.key && equalBefore + equal.below < threshold.equal);
      equalBefore += equal.all;
    }
  }
}

template <class T>
papo_status launchSaliencyPatchMask(Context& context, const Args& args) {
  const int64_t cells = args.frames * CellGrid(args).cells();
  PAPO_CUDA_TRY(kWhat, launch(checkSaliencyKernel<T>, workBlocks(cells, kThreads), kThreads, 0,
                              context.stream(), args, context.error()));
  PAPO_CUDA_TRY(kWhat, launch(saliencyPatchMaskKernel<T>, workBlocks(args.frames, 1), kThreads, 0,
                              context.stream(), args, context.error()));
  return PAPO_OK;
}

}  // namespace

papo_status saliencyPatchMask(Context& context, const Args& args) {
  PAPO_TRY(context.makeCurrent());
  papo_status status = PAPO_INTERNAL;
  visitDType(args.saliency.dtype, [&](auto element) {
    status = launchSaliencyPatchMask<decltype(element)>(context, args);
  });
  return status;
}

}  // namespace papo::cuda
