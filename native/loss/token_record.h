// The record of a token during a call, and the steps that fill it; of both engines.
#pragma once

#include "loss/row_types.h"
#include "loss/token_terms.h"

namespace papo {

// Everything known of one token during a call. Real is float, or double for the reference.
template <class Real>
struct TokenRecord {
  TokenInputs<Real> inputs;
  TokenShares<Real> shares;
  TokenTerms<Real> terms;
  TokenSlopes<Real> slopes;
  bool counts = false;       // responseMask
  bool contributes = false;  // counts, or is padding that enters the auxiliary terms
  bool isSft = false;
  double sumOfSquares = 0;  // of the row's gradients, where asked for; of a row's first token
};

// What the statistics of a token's row say of it.
template <class Real>
PAPO_HOST_DEVICE void setInputs(const RowStatistics& statistics, bool hasMasked,
                                TokenInputs<Real>* in) {
  in->logProb = Real(statistics.image.logProb);
  in->entropy = Real(statistics.image.entropy);
  if (!hasMasked) return;
  in->maskedLogProb = Real(statistics.masked.logProb);
  in->maskedEntropy = Real(statistics.masked.entropy);
  in->exactKl = Real(statistics.exactKl);
}

// Eq. 9 of one token: clamp(logProb - oldLogProb); 0 with its gradient where there is no old policy.
template <class Real>
PAPO_HOST_DEVICE Clamped<Real> tokenLogRatio(const TokenObjective<Real>& o,
                                             const TokenInputs<Real>& in, bool hasOld) {
  if (!hasOld) return {0, 1};
  return clamped(in.logProb - in.oldLogProb, -o.logRatioClamp, o.logRatioClamp);
}

// Eq. 9 of a response: the clamped mean of its counted tokens' log-ratios, whose sum is given.
template <class Real>
PAPO_HOST_DEVICE Clamped<Real> responseLogRatio(const TokenObjective<Real>& o, double sum,
                                                double count) {
  return clamped(Real(sum / count), -o.logRatioClamp, o.logRatioClamp);
}

// Terms and slopes of a token whose ratio is its response's. The slope in it joins those of all counted
// tokens of the response, divided by their number: that part is left to the caller.
template <class Real>
PAPO_HOST_DEVICE void evaluateToken(const TokenObjective<Real>& o, const Clamped<Real>& ratio,
                                    TokenRecord<Real>* token) {
  token->terms = tokenTerms(o, token->inputs, ratio.value);
  token->slopes = tokenSlopes(o, token->terms, token->shares);
}

// Terms and slopes of a token whose ratio is its own.
template <class Real>
PAPO_HOST_DEVICE void evaluateToken(const TokenObjective<Real>& o, bool hasOldLogProbs,
                                    TokenRecord<Real>* token) {
  const Clamped<Real> ratio = tokenLogRatio(o, token->inputs, token->counts && hasOldLogProbs);
  evaluateToken(o, ratio, token);
  token->slopes.logProb += token->slopes.logRatio * ratio.slope;
}

template <class Real>
PAPO_HOST_DEVICE RowSlopes rowSlopes(const TokenSlopes<Real>& s) {
  RowSlopes slopes;
  slopes.logProb = static_cast<double>(s.logProb);
  slopes.entropy = static_cast<double>(s.entropy);
  slopes.maskedLogProb = static_cast<double>(s.maskedLogProb);
  slopes.maskedEntropy = static_cast<double>(s.maskedEntropy);
  slopes.exactKl = static_cast<double>(s.exactKl);
  return slopes;
}

}  // namespace papo
