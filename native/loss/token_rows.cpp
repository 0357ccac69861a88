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

void SharedSlopes::add(int64_t id, const RowStatistics& statistics, const RowSlopes& own) {
  sums_.logProb += own.logProb;
  sums_.entropy += own.entropy;
  sums_.maskedLogProb += own.maskedLogProb;
  sums_.maskedEntropy += own.maskedEntropy;
  sums_.exactKl += own.exactKl;
  SampledEntry& entry = entries_[count_++];
  entry = SampledEntry();
  entry.token = id;
  entry.logProb = statistics.image.logProb;
  entry.maskedLogProb = statistics.masked.logProb;
  entry.slope = own.logProb;
  entry.maskedSlope = own.maskedLogProb;
}

RowSlopes SharedSlopes::finish() {
  mergeEqual();
  addOthers();
  sums_.entries = entries_;
  sums_.entryCount = count_;
  return sums_;
}

void SharedSlopes::mergeEqual() {
  // Stable without memory of its own: equal ids stay in the order of their tokens.
  for (int64_t i = 0; i < count_; ++i) entries_[i].order = i;
  std::sort(entries_, entries_ + count_, [](const SampledEntry& a, const SampledEntry& b) {
    return a.token != b.token ? a.token < b.token : a.order < b.order;
  });
  int64_t merged = 0;
  for (int64_t i = 1; i < count_; ++i) {
    if (entries_[i].token != entries_[merged].token) {
      entries_[++merged] = entries_[i];
    } else {
      entries_[merged].slope += entries_[i].slope;
      entries_[merged].maskedSlope += entries_[i].maskedSlope;
    }
  }
  count_ = merged + 1;
}

// From both ends: the total less the entry's own would lose the digits of small slopes.
void SharedSlopes::addOthers() {
  double slopes = 0, maskedSlopes = 0;
  for (int64_t i = 0; i < count_; ++i) {
    entries_[i].otherSlopes = slopes;
    entries_[i].otherMaskedSlopes = maskedSlopes;
    slopes += entries_[i].slope;
    maskedSlopes += entries_[i].maskedSlope;
  }
  slopes = maskedSlopes = 0;
  for (int64_t i = count_ - 1; i >= 0; --i) {
    entries_[i].otherSlopes += slopes;
    entries_[i].otherMaskedSlopes += maskedSlopes;
    slopes += entries_[i].slope;
    maskedSlopes += entries_[i].maskedSlope;
  }
}

}  // namespace papo
