// Per-token outputs, and the loss, terms and metrics: sums over chunks of tokens, then over the chunks.
// The order depends on the number of tokens and responses alone.
#include "cuda/block.cuh"
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kWarps = kTokenThreads / 32;

// A block takes a chunk of kTokenThreads tokens.
__global__ void __launch_bounds__(kTokenThreads) reduceChunks(LossCall call, int64_t chunks) {
  if (call.error->key != 0) return;
  PAPO_SHARED_ARRAY(TokenSums, scratch, kWarps);
  for (int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const int64_t token = chunk * kTokenThreads + threadIdx.x;
    TokenSums sums;
    if (token < call.responses.rows) {
      const TokenRecord<float>& record = call.memory.records[token];
      writeOutputs(call.args, token, record);
      sums = TokenSums::of(record);
    }
    blockMerge(&sums, scratch);
    if (threadIdx.x == 0) call.memory.partials[chunk] = sums;
  }
}

__device__ void addResponseClips(const LossCall& call, TokenSums* sums) {
  sums->clippedHigh = sums->clippedLow = 0;
  for (int64_t b = threadIdx.x; b < call.responses.count; b += kTokenThreads) {
    sums->clippedHigh += call.memory.responseClips[b].high;
    sums->clippedLow += call.memory.responseClips[b].low;
  }
}

__global__ void __launch_bounds__(kTokenThreads)
    combineChunks(LossCall call, int64_t chunks, MetricsContext metrics) {
  if (call.error->key != 0) return;
  PAPO_SHARED_ARRAY(TokenSums, scratch, kWarps);
  TokenSums sums;
  for (int64_t chunk = threadIdx.x; chunk < chunks; chunk += kTokenThreads)
    sums.merge(call.memory.partials[chunk]);
  if (call.options.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE) addResponseClips(call, &sums);
  blockMerge(&sums, scratch);
  if (threadIdx.x != 0) return;
  metrics.size = batchSize(call);
  writeMetrics(call.options, metrics, sums, static_cast<double*>(call.args.metrics.data));
}

}  // namespace

papo_status reduceTokens(Context& context, const LossCall& call) {
  const int64_t chunks = chunksOf(call.responses.rows);
  const MetricsContext metrics = metricsContext(call.args, BatchSize());
  PAPO_CUDA_TRY("papo_loss", launch(reduceChunks, dim3(workBlocks(chunks, 1)), kTokenThreads, 0,
                                    context.stream(), call, chunks));
  PAPO_CUDA_TRY("papo_loss", launch(combineChunks, 1, kTokenThreads, 0, context.stream(), call,
                                    chunks, metrics));
  return PAPO_OK;
}

}  // namespace papo::cuda
