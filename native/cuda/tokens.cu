// Terms and slopes of tokens whose ratio is their own, where the rows did not give them already.
#include "cuda/tokens.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

__global__ void __launch_bounds__(kTokenThreads) evaluateRecords(LossCall call) {
  if (call.error->key != 0) return;
  const bool hasOld = isPresent(call.args.oldLogProbs);
  forEachToken(call.responses.rows, [&](int64_t token) {
    TokenRecord<float>& record = call.memory.records[token];
    if (!record.contributes) return;
    select(call, {token, responseOf(call.responses, token)}, &record);
    evaluateToken(call.objective, hasOld, &record);
  });
}

}  // namespace

papo_status evaluateTokens(Context& context, const LossCall& call) {
  const dim3 grid(workBlocks(call.responses.rows, kTokenThreads));
  PAPO_CUDA_TRY("papo_loss",
                launch(evaluateRecords, grid, kTokenThreads, 0, context.stream(), call));
  return PAPO_OK;
}

}  // namespace papo::cuda
