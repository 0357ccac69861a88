#include "cuda/block.cuh"
#include "cuda/token_sort.cuh"
#include "cuda/work_grid.h"

namespace papo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kScanThreads = 1024;

// Numbers of tokens to the ends of the rows' places. One block: its reads are 8 bytes a row, those of
// the rows themselves vocabSize times as many.
__global__ void __launch_bounds__(kScanThreads)
    scanRowCounts(TokenSort sort, const DeviceError* error) {
  if (error->key != 0) return;
  PAPO_SHARED_ARRAY(long long, totals, kScanThreads / 32);
  PAPO_SHARED_ARRAY(long long, last, 1);
  long long before = 0;
  for (int64_t first = 0; first <= sort.matrixRows; first += kScanThreads) {
    const int64_t row = first + threadIdx.x;
    const bool exists = row <= sort.matrixRows;
    const long long end =
        before + blockInclusiveScan<long long>(exists ? sort.rows.starts[row] : 0, totals);
    if (exists) sort.rows.starts[row] = end;
    if (threadIdx.x == kScanThreads - 1) last[0] = end;
    __syncthreads();
    before = last[0];
    __syncthreads();
  }
}

// Tokens to their rows' places, from the end, so that ends become starts. In any order within a row.
__global__ void __launch_bounds__(kThreads) placeTokens(TokenSort sort, const DeviceError* error) {
  if (error->key != 0) return;
  for (int64_t token = blockIdx.x * int64_t{kThreads} + threadIdx.x; token < sort.tokens;
       token += gridDim.x * int64_t{kThreads}) {
    if (sort.rows.ids[token] < 0) continue;
    auto* end = reinterpret_cast<unsigned long long*>(sort.rows.starts + sort.rows.rows[token]);
    sort.unordered[atomicAdd(end, ~0ull) - 1] = token;
  }
}

// A token's place among those of its row is the number of smaller ones there.
__global__ void __launch_bounds__(kThreads) orderTokens(TokenSort sort, const DeviceError* error) {
  if (error->key != 0) return;
  for (int64_t token = blockIdx.x * int64_t{kThreads} + threadIdx.x; token < sort.tokens;
       token += gridDim.x * int64_t{kThreads}) {
    if (sort.rows.ids[token] < 0) continue;
    const int32_t row = sort.rows.rows[token];
    const int64_t begin = sort.rows.starts[row], end = sort.rows.starts[row + 1];
    int64_t place = begin;
    for (int64_t i = begin; i < end; ++i) place += sort.unordered[i] < token;
    sort.rows.order[place] = token;
  }
}

}  // namespace

TokenSort TokenSort::layOut(Arena* arena, const TokenArguments& args, TokenRows* rows) {
  TokenSort sort;
  *rows = TokenRows::layOut(arena, args);
  sort.rows = rows->arrays();
  sort.tokens = args.tokens.rows;
  sort.matrixRows = args.logits.rows;
  sort.vocabSize = args.logits.columns;
  sort.callerIds = static_cast<const int32_t*>(args.tokens.data);
  sort.callerRows = static_cast<const int32_t*>(args.rowIndex.data);
  if (sort.callerRows) sort.unordered = arena->take<int64_t>(sort.tokens);
  return sort;
}

papo_status clearRowCounts(Context& context, const TokenSort& sort) {
  if (!sort.callerRows) return PAPO_OK;
  const auto bytes = static_cast<size_t>(sort.matrixRows + 1) * sizeof *sort.rows.starts;
  PAPO_CUDA_TRY("rowIndex", cudaMemsetAsync(sort.rows.starts, 0, bytes, context.stream()));
  return PAPO_OK;
}

papo_status sortTokensByRow(Context& context, const TokenSort& sort) {
  if (!sort.callerRows) return PAPO_OK;
  const dim3 grid(workBlocks(sort.tokens, kThreads));
  const DeviceError* error = context.error();
  PAPO_CUDA_TRY("rowIndex",
                launch(scanRowCounts, 1, kScanThreads, 0, context.stream(), sort, error));
  PAPO_CUDA_TRY("rowIndex", launch(placeTokens, grid, kThreads, 0, context.stream(), sort, error));
  PAPO_CUDA_TRY("rowIndex", launch(orderTokens, grid, kThreads, 0, context.stream(), sort, error));
  return PAPO_OK;
}

}  // namespace papo::cuda
