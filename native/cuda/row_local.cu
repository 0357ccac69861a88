// Statistics, token terms and gradients of an objective that is local to a token, in one kernel: each
// row is swept from its start for the statistics and from its end for the gradient.
//
// Bits are those of rowStatisticsKernel and rowGradientsKernel, by the same functions. Reads each
// logit twice, the second time from a cache as far as the rows in flight fit it; writes each gradient
// once, in place or not.
#include "cuda/row_launch.cuh"

namespace papo::cuda {
namespace {

template <RowKind kKind, class T>
__global__ void __launch_bounds__(256, kGradientBlocks)
    localRowsKernel(const __grid_constant__ RowsCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_DYNAMIC(unsigned char, bytes);
  const RowMemory memory = RowMemory::at(bytes);
  const RowScale scale = RowScale::of(call.inverseTemperature);
  const bool wantsGradient = call.logitsGrad.data || call.maskedLogitsGrad.data;
  for (int64_t row = blockIdx.x; row < call.rows; row += gridDim.x) {
    const RowViews<T> views = RowViews<T>::of(call, row);
    if (call.tokens.count(row) == 0) {
      clearRow(views, call.vocabSize);
      continue;
    }
    if (warpIndex() == 0) prefetchRecord(call, row, memory.work);
    const PairSums sums = sweepSums<kKind>(scale, views, call.vocabSize, Reuse::kSoon, memory);
    if (warpIndex() == 0)
      rowEpilogue<kKind>(call, scale, row, sums, views.sampled(), true, memory.work);
    __syncthreads();
    if (wantsGradient) {
      const double squares = sweepGradient<kKind>(views, call.vocabSize, memory);
      if (threadIdx.x == 0) call.records[call.tokens.at(row, 0)].sumOfSquares = squares;
    }
    __syncthreads();
  }
}

}  // namespace

papo_status launchLocalRowsInTwoSweeps(Context& context, const RowsCall& call) {
  PAPO_CUDA_TRY("loss rows", launchRows(context, call, [](auto element, auto kind) {
                  return localRowsKernel<kind.value, decltype(element)>;
                }));
  return PAPO_OK;
}

}  // namespace papo::cuda
