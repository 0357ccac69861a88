// What is known of a row of logits, or of the pair of image row and masked-image row, between reading
// it and writing its gradient: plain data of both engines.
#pragma once

#include <cstdint>

namespace papo {

// Statistics of one branch of a row. With m = max z and s = sum_v exp(z_v - m):
struct BranchStatistics {
  double max = 0;      // m
  double sumExp = 0;   // s
  double logSum = 0;   // log s, so that log p_v = (z_v - m) - logSum
  double logProb = 0;  // z[token] - m - logSum
  double entropy = 0;  // logSum - sum_v p_v (z_v - m)
};

// exactKl    = sum over v in S of p_v (log p_v - log p'_v), S = {v : z'_v > -inf}
// sharedMass = sum over v in S of p_v: 1 unless the masked branch excludes tokens that the image
//              branch does not; those tokens are left out, so that the KL stays finite.
struct RowStatistics {
  BranchStatistics image;
  BranchStatistics masked;  // pair only
  double exactKl = 0;
  double sharedMass = 1;
};

// A sampled entry of a row, for its gradient: its log-probs l and l', the slopes g and g' of the
// tokens that sampled it, and of those of the same row that sampled another.
struct SampledEntry {
  int64_t token = 0;
  double logProb = 0, maskedLogProb = 0;
  double slope = 0, maskedSlope = 0;
  double otherSlopes = 0, otherMaskedSlopes = 0;
  float element = 0, maskedElement = 0;  // set by gradient()
  int64_t order = 0;                     // of the entry's first token among those of the row
};

// Slopes of the loss in the row's statistics, temperature not yet applied: docs/math.md Eq. 8. Of a
// row that several tokens share they are sums over these, and the entries say what is whose.
struct RowSlopes {
  double logProb = 0;        // g
  double entropy = 0;        // h
  double maskedLogProb = 0;  // g'
  double maskedEntropy = 0;  // h'
  double exactKl = 0;        // d

  SampledEntry* entries = nullptr;  // by ascending token, each once; null: the row's token alone
  int64_t entryCount = 0;
};

}  // namespace papo
