#include "loss/token_rows.h"

#include <algorithm>

#include "engine/refusals.h"

namespace papo {
namespace {

// volatile: the compiler is not to read the caller's memory a second time after the check.
int32_t readOnce(const papo_tensor& tensor, int64_t i) {
  return static_cast<const volatile int32_t*>(tensor.data)[i];
}

}  // namespace

TokenRows TokenRows::layOut(Arena* arena, const TokenArguments& args) {
  TokenRows rows;
  rows.ids_ = arena->take<int32_t>(args.tokens.rows);
  if (!isPresent(args.rowIndex)) return rows;
  rows.rows_ = arena->take<int32_t>(args.tokens.rows);
  rows.starts_ = arena->take<int64_t>(args.logits.rows + 1);
  rows.order_ = arena->take<int64_t>(args.tokens.rows);
  return rows;
}

papo_status TokenRows::readToken(const TokenArguments& args, int64_t token) {
  const int32_t id = readOnce(args.tokens, token);
  if (id < 0 || id >= args.logits.columns)
    return refuseRange("tokens", "ids", args.logits.columns, id, token);
  ids_[token] = id;
  if (!rows_) return PAPO_OK;
  const int32_t row = readOnce(args.rowIndex, token);
  if (row < 0 || row >= args.logits.rows)
    return refuseRange("rowIndex", "rows", args.logits.rows, row, token);
  rows_[token] = row;
  return PAPO_OK;
}

// Counts the tokens of each row, turns counts into ends, and fills each row from its end.
void TokenRows::sortByRow(int64_t tokens, int64_t rows) {
  std::fill(starts_, starts_ + rows + 1, 0);
  for (int64_t token = 0; token < tokens; ++token)
    if (ids_[token] >= 0) ++starts_[rows_[token]];
  for (int64_t row = 0; row < rows; ++row) starts_[row + 1] += starts_[row];
  for (int64_t token = tokens - 1; token >= 0; --token)
    if (ids_[token] >= 0) order_[--starts_[rows_[token]]] = token;
}

}  // namespace papo
