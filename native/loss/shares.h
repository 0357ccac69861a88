// Denominators of the means and the share of a token in each (Eq. 15); of both engines.
#pragma once

#include <cstdint>

#include "loss/token_record.h"

namespace papo {

// What the masks of a whole call say.
struct BatchSize {
  int64_t rows = 0, responses = 0;
  int64_t tokens = 0, sftTokens = 0;  // that count
};

struct Denominators {
  double policy = 1;     // shared factor; the sequence reduction divides by the response's too
  double auxiliary = 1;  // padding included: all rows
  double entropy = 1, maskedEntropy = 1;
  double sft = 1;
  double tokens = 1;  // for metrics
};

// A mean over nothing is 0, whatever epsilon.
PAPO_HOST_DEVICE double denominator(double count, double epsilon) {
  return count > 0 ? count + epsilon : 1;
}

PAPO_HOST_DEVICE double policyDenominator(const papo_objective& o, double tokens,
                                          double responses) {
  if (o.normalizer > 0) return o.normalizer;
  if (o.reduction == PAPO_REDUCTION_SEQUENCE) return responses;
  return o.reduction == PAPO_REDUCTION_CONSTANT ? responses * o.maxLength : tokens;
}

PAPO_HOST_DEVICE Denominators denominators(const papo_objective& o, const BatchSize& size) {
  Denominators d;
  d.tokens = denominator(static_cast<double>(size.tokens), o.countEpsilon);
  d.sft = o.sftNormalizer > 0 ? o.sftNormalizer
                              : denominator(static_cast<double>(size.sftTokens), o.countEpsilon);
  d.policy = policyDenominator(o, d.tokens, static_cast<double>(size.responses));
  const bool sharesNormalizer = o.reduction == PAPO_REDUCTION_TOKEN && o.normalizer > 0;
  d.auxiliary = o.tokenNormalizer > 0 ? o.tokenNormalizer : static_cast<double>(size.rows);
  d.entropy = o.tokenNormalizer > 0 ? o.tokenNormalizer
              : sharesNormalizer    ? o.normalizer
                                    : d.tokens;
  d.maskedEntropy = d.entropy;
  return d;
}

// Of each token of a response in which countedTokens count.
PAPO_HOST_DEVICE double policyShare(const papo_objective& o, const Denominators& d,
                                    int64_t countedTokens) {
  const double share = 1 / d.policy;
  return o.reduction == PAPO_REDUCTION_SEQUENCE
             ? share / denominator(static_cast<double>(countedTokens), o.countEpsilon)
             : share;
}

// Of every token, in the means that are not divided by the responses.
template <class Real>
struct CommonShares {
  Real auxiliary, entropy, maskedEntropy, sft;
};
template <class Real>
PAPO_HOST_DEVICE CommonShares<Real> commonShares(const Denominators& d) {
  return {Real(1 / d.auxiliary), Real(1 / d.entropy), Real(1 / d.maskedEntropy), Real(1 / d.sft)};
}

template <class Real>
PAPO_HOST_DEVICE void setShares(const papo_objective& o, const CommonShares<Real>& common,
                                double policyShare, TokenRecord<Real>* record) {
  TokenShares<Real>& share = record->shares;
  if (record->counts) {
    share.policy = share.perception = Real(policyShare);
    share.entropy = common.entropy;
    share.maskedEntropy = common.maskedEntropy;
    share.sft = record->isSft ? common.sft : Real(0);
  }
  if (o.paddingInAuxiliaryTerms)
    share.perception = share.entropy = share.maskedEntropy = common.auxiliary;
}

// Entropy shares again, over the keptTokens that topEntropyFraction has chosen.
template <class Real>
PAPO_HOST_DEVICE void restrictEntropyToKept(const papo_objective& o, int64_t keptTokens,
                                            TokenRecord<Real>* record) {
  const double kept = o.tokenNormalizer > 0
                          ? o.tokenNormalizer
                          : denominator(static_cast<double>(keptTokens), o.countEpsilon);
  const bool isKept = record->counts && record->inputs.keepsPolicy;
  record->shares.entropy = isKept ? Real(1 / kept) : Real(0);
}

}  // namespace papo
