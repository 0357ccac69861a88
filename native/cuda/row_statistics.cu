// Statistics of rows, docs/math.md Eq. 1-4, without gradients: the first of two sweeps over all rows,
// and log-probs on their own.
//
// logits, maskedLogits [rows, vocabSize] float32, float16 or bfloat16, each read once. A block a row,
// whose bits depend on that row alone; rows that no token has are not read. A NaN, +inf or nothing
// but -inf gives NaN.
#include "cuda/row_launch.cuh"

namespace papo::cuda {
namespace {

__device__ void writeOutputs(const LogProbOutputs& out, int64_t token,
                             const BranchStatistics& statistics) {
  if (out.logProbs) out.logProbs[token] = static_cast<float>(statistics.logProb);
  if (out.entropies) out.entropies[token] = static_cast<float>(statistics.entropy);
  if (out.logSumExps)
    out.logSumExps[token] = static_cast<float>(statistics.max + statistics.logSum);
}

// To every token of a row, by one lane; statistics are those of the first.
template <RowKind kKind, class T>
__device__ void writeTokens(const RowsCall& call, const RowScale& scale, int64_t row,
                            const SampledLogits<T>& logit, RowStatistics* statistics) {
  for (int64_t i = 0; i < call.tokens.count(row); ++i) {
    const int64_t token = call.tokens.at(row, i);
    if (i > 0) retarget(scale, kKind != RowKind::kOne, call.tokens.id(token), logit, statistics);
    if (call.records)
      setInputs(*statistics, kKind != RowKind::kOne, &call.records[token].inputs);
    else
      writeOutputs(call.logProbOutputs, token, statistics->image);
  }
  if (call.statistics) call.statistics[call.tokens.place(row)] = *statistics;
}

template <RowKind kKind, class T>
__global__ void __launch_bounds__(256) rowStatisticsKernel(const __grid_constant__ RowsCall call) {
  if (call.error->key != 0) return;
  PAPO_SHARED_DYNAMIC(unsigned char, bytes);
  const RowMemory memory = RowMemory::at(bytes);
  const RowScale scale = RowScale::of(call.inverseTemperature);
  for (int64_t row = blockIdx.x; row < call.rows; row += gridDim.x) {
    if (call.tokens.count(row) == 0) continue;
    const RowViews<T> views = RowViews<T>::of(call, row);
    const PairSums sums = sweepSums<kKind>(scale, views, call.vocabSize, Reuse::kLast, memory);
    if (warpIndex() == 0) {
      const int64_t id = call.tokens.id(call.tokens.at(row, 0));
      RowStatistics* const statistics = &memory.work->statistics;
      rowStatistics<kKind>(scale, sums, id, views.sampled(), statistics);
      if (laneIndex() == 0) writeTokens<kKind>(call, scale, row, views.sampled(), statistics);
    }
    __syncthreads();
  }
}

}  // namespace

papo_status launchRowStatistics(Context& context, const RowsCall& call) {
  PAPO_CUDA_TRY("row statistics", launchRows(context, call, [](auto element, auto kind) {
                  return rowStatisticsKernel<kind.value, decltype(element)>;
                }));
  return PAPO_OK;
}

}  // namespace papo::cuda
