// Gradients of rows, docs/math.md Eq. 8, from the statistics and slopes that earlier kernels left: the
// second of two sweeps over all rows.
//
// logitsGrad, maskedLogitsGrad [rows, vocabSize] of the logits' dtype, in place or not. Rows are taken
// from the last to the first, as the end of what the first sweep read may still be in the cache. Rows
// without tokens become 0, and so do gradients that no slope enters, whatever the logits; else a NaN
// in a row's statistics makes its gradient NaN.
#include "cuda/row_launch.cuh"

namespace papo::cuda {
namespace {

template <RowKind kKind, class T>
__global__ void __launch_bounds__(256, kGradientBlocks)
    rowGradientsKernel(const __grid_constant__ RowsCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_DYNAMIC(unsigned char, bytes);
  const RowMemory memory = RowMemory::at(bytes);
  const RowScale scale = RowScale::of(call.inverseTemperature);
  for (int64_t row = call.rows - 1 - blockIdx.x; row >= 0; row -= gridDim.x) {
    const RowViews<T> views = RowViews<T>::of(call, row);
    if (call.tokens.count(row) == 0) {
      clearRow(views, call.vocabSize);
      continue;
    }
    if (warpIndex() == 0) planFromRecords(call, scale, row, views.sampled(), memory.work);
    __syncthreads();
    const double squares = sweepGradient<kKind>(views, call.vocabSize, memory);
    if (threadIdx.x == 0) call.records[call.tokens.at(row, 0)].sumOfSquares = squares;
    __syncthreads();
  }
}

}  // namespace

papo_status launchRowGradients(Context& context, const RowsCall& call) {
  if (!call.logitsGrad.data && !call.maskedLogitsGrad.data) return PAPO_OK;
  PAPO_CUDA_TRY("row gradients", launchRows(context, call, [](auto element, auto kind) {
                  return rowGradientsKernel<kind.value, decltype(element)>;
                }));
  return PAPO_OK;
}

}  // namespace papo::cuda
