// Which tokens each row of logits predicts, from the caller's token ids and row index.
//
// Both become addresses, and another thread may write to the caller's memory during a call: every
// value is read once, checked, and used from the copy that is made here.
#pragma once

#include "engine/arena.h"
#include "engine/host_device.h"
#include "engine/tensors.h"

namespace papo {

// The arguments of a call that say which entry of which row is a token's.
struct TokenArguments {
  const papo_tensor& logits;
  const papo_tensor& tokens;
  const papo_tensor& rowIndex;  // absent: token i is predicted by row i
};

class TokenRows {
 public:
  static TokenRows layOut(Arena* arena, const TokenArguments& args);

  // Takes the tokens for which isRead(token); the others are looked at nowhere, and no row has them.
  template <class IsRead>
  papo_status read(const TokenArguments& args, IsRead&& isRead) {
    for (int64_t token = 0; token < args.tokens.rows; ++token) {
      ids_[token] = -1;
      if (isRead(token)) PAPO_TRY(readToken(args, token));
    }
    if (starts_) sortByRow(args.tokens.rows, args.logits.rows);
    return PAPO_OK;
  }

  PAPO_HOST_DEVICE int64_t id(int64_t token) const { return ids_[token]; }
  // Tokens of a row, in their order.
  PAPO_HOST_DEVICE int64_t count(int64_t row) const {
    return starts_ ? starts_[row + 1] - starts_[row] : int64_t{ids_[row] >= 0};
  }
  PAPO_HOST_DEVICE int64_t at(int64_t row, int64_t i) const {
    return starts_ ? order_[starts_[row] + i] : row;
  }
  // A place of the row's own in an array over the tokens, count(row) long.
  PAPO_HOST_DEVICE int64_t place(int64_t row) const { return starts_ ? starts_[row] : row; }

  // For the kernels that fill them.
  struct Arrays {
    int32_t *ids, *rows;
    int64_t *starts, *order;
  };
  PAPO_HOST_DEVICE Arrays arrays() const { return {ids_, rows_, starts_, order_}; }

 private:
  papo_status readToken(const TokenArguments& args, int64_t token);
  void sortByRow(int64_t tokens, int64_t rows);

  int32_t* ids_ = nullptr;     // [N], -1 where a token is not read
  int32_t* rows_ = nullptr;    // [N], with a row index, and so are the following
  int64_t* starts_ = nullptr;  // [R + 1], first of each row's tokens in order
  int64_t* order_ = nullptr;   // [N], tokens by row
};

}  // namespace papo
