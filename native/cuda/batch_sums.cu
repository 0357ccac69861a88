#include "cuda/batch_sums.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

// Calls body(chunk, sum of term(i) over its values that count), the same in every thread.
template <class Term, class Body>
__device__ __forceinline__ void forEachChunk(const BatchSums& batch, const Term& term,
                                             const Body& body) {
  const int64_t count = batch.values.count;
  for (int64_t chunk = blockIdx.x; chunk < batch.chunks; chunk += gridDim.x) {
    const int64_t first = chunk * kChunkValues;
    const int64_t end = first + kChunkValues < count ? first + kChunkValues : count;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < end; i += kSumThreads)
      if (!batch.mask || batch.mask[i]) sum += term(batch.values.at(i));
    body(chunk, sumOfBlock(sum));
  }
}

__global__ void __launch_bounds__(kSumThreads)
    sumChunksKernel(BatchSums batch, const DeviceError* error) {
  if (error->key != 0) return;
  forEachChunk(
      batch, [](double value) { return value; },
      [&](int64_t chunk, double sum) {
        if (threadIdx.x == 0) batch.sums[chunk] = sum;
      });
  if (!batch.different) return;
  const double first = batch.values.at(0);
  forEachChunk(
      batch, [&](double value) { return value != first ? 1.0 : 0.0; },
      [&](int64_t chunk, double different) {
        if (threadIdx.x == 0) batch.different[chunk] = different;
      });
}

__global__ void __launch_bounds__(kSumThreads)
    squareChunksKernel(BatchSums batch, const DeviceError* error) {
  if (error->key != 0) return;
  const double mean = batchMean(batch);
  forEachChunk(
      batch, [&](double value) { return squaredDifference(value, mean); },
      [&](int64_t chunk, double squares) {
        if (threadIdx.x == 0) batch.squares[chunk] = squares;
      });
}

}  // namespace

papo_status launchBatchSums(Context& context, const BatchSums& batch) {
  constexpr const char* kWhat = "papo_group_advantages";
  const unsigned blocks = workBlocks(batch.chunks, 1);
  PAPO_CUDA_TRY(kWhat, launch(sumChunksKernel, blocks, kSumThreads, 0, context.stream(), batch,
                              context.error()));
  PAPO_CUDA_TRY(kWhat, launch(squareChunksKernel, blocks, kSumThreads, 0, context.stream(), batch,
                              context.error()));
  return PAPO_OK;
}

}  // namespace papo::cuda
