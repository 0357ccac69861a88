// Token ids and row index on a device: the copies that are checked, and the tokens in the order of their
// rows (loss/token_rows.h).
#pragma once

#include "cuda/context.h"
#include "engine/arena.h"
#include "loss/token_rows.h"

namespace papo::cuda {

// Workspace of a call with logits; by value to the kernels.
struct TokenSort {
  TokenRows::Arrays rows{};      // starts: of each row the number of its tokens, before the sort
  int64_t* unordered = nullptr;  // [N], with a row index: tokens by row, in any order within it
  int64_t tokens = 0, matrixRows = 0, vocabSize = 0;
  const int32_t *callerIds = nullptr, *callerRows = nullptr;  // the arguments; rows may be null

  static TokenSort layOut(Arena* arena, const TokenArguments& args, TokenRows* rows);
};

// Zeroes what the reading kernel counts in.
papo_status clearRowCounts(Context& context, const TokenSort& sort);
// After the kernel that read the tokens (readTokenOfRow of token_sort.cuh): tokens by row, in their
// order within each. Nothing without a row index.
papo_status sortTokensByRow(Context& context, const TokenSort& sort);

}  // namespace papo::cuda
