// Rows of a local objective by thread-block clusters: each logit is read once from memory and each
// gradient written once.
//
// A cluster takes a row after another, in steps of the number of clusters. Its blocks hold the row, or
// the pair of image row and masked-image row, in shared memory (row_slots.cuh):
//   1. every warp: statistics of its tiles, as these arrive
//   2. barrier of the cluster
//   3. one warp of each block: merges the tiles of all blocks, token terms, constants of the gradient;
//      another looks for the next row that has tokens
//   4. every warp: tile by tile into registers, the next row's into the slot, gradients to memory
// so that memory works during 4, and for the other cluster of the multiprocessor during 2 and 3.
//
// Rows [rows, vocabSize], float32, float16 or bfloat16, in place or not. Tiles, their statistics and the
// order of the merge are those of row_math.cuh: the same bits as by any other kernel, whatever the
// number of blocks, warps and clusters. Rows without tokens become 0 and are not read.
#include <mutex>

#include "cuda/local_rows.h"
#include "cuda/row_math.cuh"
#include "cuda/row_slots.cuh"

namespace papo::cuda {
namespace {

#if PAPO_HAS_BULK_COPIES

// A row to be worked, as every warp needs to know it before its statistics.
struct LiveRow {
  int64_t row;    // rows of the call or more: none is left
  int64_t token;  // sampled, of the first of its tokens
  bool isShared;  // by several tokens
};

// By a warp: the first row with tokens among first, first + step, ...
__device__ LiveRow findRow(const RowsCall& call, int64_t first, int64_t step) {
  const int lane = threadIdx.x % kWarp;
  for (;; first += kWarp * step) {
    const int64_t row = first + lane * step;
    const bool isEnd = row >= call.rows;
    const int64_t count = isEnd ? 0 : call.tokens.count(row);
    const unsigned found = __ballot_sync(kFullWarp, isEnd || count > 0);
    if (!found) continue;
    const int64_t token = count > 0 ? call.tokens.id(call.tokens.at(row, 0)) : 0;
    const int leader = __ffs(static_cast<int>(found)) - 1;
    return {__shfl_sync(kFullWarp, row, leader), __shfl_sync(kFullWarp, token, leader),
            __shfl_sync(kFullWarp, count, leader) > 1};
  }
}

#endif
}  // namespace
}  // namespace papo::cuda
