#include "loss/batch.h"

#include <new>

namespace papo {
namespace {

// Value of a tensor that is per token or per response; fallback where it is absent.
template <class Real>
class PerTokenOrResponse {
 public:
  PerTokenOrResponse(const papo_tensor& tensor, const Responses& responses)
      : values_(static_cast<const Real*>(tensor.data)), perToken_(tensor.rows == responses.rows) {}

  Real at(int64_t row, int64_t response, Real fallback) const {
    if (!values_) return fallback;
    return values_[perToken_ ? row : response];
  }

 private:
  const Real* values_;
  bool perToken_;
};

template <class Real>
Real valueOr(const papo_tensor& tensor, int64_t row, Real fallback) {
  return tensor.data ? static_cast<const Real*>(tensor.data)[row] : fallback;
}

}  // namespace

template <class Real>
void Batch<Real>::fill() {
  fillInputs();
  countTokens();
  setShares();
}

template <class Real>
void Batch<Real>::fillInputs() {
  const PerTokenOrResponse<Real> advantages(args_.advantages, responses_);
  const PerTokenOrResponse<Real> tokenWeights(args_.tokenWeights, responses_);
  const PerTokenOrResponse<Real> perceptionWeights(args_.perceptionWeights, responses_);
  const PerTokenOrResponse<uint8_t> sftMask(args_.sftMask, responses_);
  const auto* mask = static_cast<const uint8_t*>(args_.responseMask.data);
  const bool hasMasked = isPresent(args_.maskedLogits) || isPresent(args_.maskedLogProbs);
  for (int64_t b = 0; b < responses_.count; ++b) {
    for (int64_t row = responses_.begin(b); row < responses_.end(b); ++row) {
      TokenRecord<Real>& record = *new (records_ + row) TokenRecord<Real>;
      record.counts = !mask || mask[row] != 0;
      record.contributes = record.counts || objective_.paddingInAuxiliaryTerms != 0;
      record.isSft = record.counts && sftMask.at(row, b, 0) != 0;
      TokenInputs<Real>& in = record.inputs;
      in.hasMasked = hasMasked;
      in.hasRef = isPresent(args_.refLogProbs);
      if (record.contributes) {
        in.logProb = valueOr(args_.logProbs, row, Real(0));
        in.maskedLogProb = valueOr(args_.maskedLogProbs, row, Real(0));
        in.entropy = valueOr(args_.entropies, row, Real(0));
        in.maskedEntropy = valueOr(args_.maskedEntropies, row, Real(0));
        in.exactKl = valueOr(args_.exactPerceptionKl, row, Real(0));
        in.perceptionWeight = perceptionWeights.at(row, b, 1);
      }
      if (record.counts) {
        in.oldLogProb = valueOr(args_.oldLogProbs, row, Real(0));
        in.refLogProb = valueOr(args_.refLogProbs, row, Real(0));
        in.advantage = advantages.at(row, b, 0);
        in.tokenWeight = tokenWeights.at(row, b, 1);
      }
    }
  }
}

template <class Real>
int64_t Batch<Real>::countedTokens(int64_t response) const {
  int64_t count = 0;
  for (int64_t row = responses_.begin(response); row < responses_.end(response); ++row)
    count += records_[row].counts;
  return count;
}

template <class Real>
void Batch<Real>::countTokens() {
  const papo_objective& o = objective_;
  int64_t tokens = 0, sftTokens = 0;
  for (int64_t row = 0; row < responses_.rows; ++row) {
    tokens += records_[row].counts;
    sftTokens += records_[row].isSft;
  }
  Denominators& d = denominators_;
  d.tokenCount = tokens;
  d.tokens = denominator(static_cast<double>(tokens), o.countEpsilon);
  d.sft = o.sftNormalizer > 0 ? o.sftNormalizer
                              : denominator(static_cast<double>(sftTokens), o.countEpsilon);
  const auto responseCount = static_cast<double>(responses_.count);
  const double own[] = {d.tokens, responseCount, responseCount * o.maxLength};
  d.policy = o.normalizer > 0 ? o.normalizer : own[o.reduction];
  const bool sharesNormalizer = o.reduction == PAPO_REDUCTION_TOKEN && o.normalizer > 0;
  d.auxiliary = o.tokenNormalizer > 0 ? o.tokenNormalizer : static_cast<double>(responses_.rows);
  d.entropy = o.tokenNormalizer > 0 ? o.tokenNormalizer
              : sharesNormalizer    ? o.normalizer
                                    : d.tokens;
  d.maskedEntropy = d.entropy;
}

template <class Real>
void Batch<Real>::setShares() {
  const papo_objective& o = objective_;
  const Denominators& d = denominators_;
  for (int64_t b = 0; b < responses_.count; ++b) {
    double policy = 1 / d.policy;
    if (o.reduction == PAPO_REDUCTION_SEQUENCE)
      policy /= denominator(static_cast<double>(countedTokens(b)), o.countEpsilon);
    for (int64_t row = responses_.begin(b); row < responses_.end(b); ++row) {
      TokenRecord<Real>& record = records_[row];
      TokenShares<Real>& share = record.shares;
      if (record.counts) {
        share.policy = share.perception = Real(policy);
        share.entropy = Real(1 / d.entropy);
        share.maskedEntropy = Real(1 / d.maskedEntropy);
        share.sft = record.isSft ? Real(1 / d.sft) : Real(0);
      }
      if (o.paddingInAuxiliaryTerms)
        share.perception = share.entropy = share.maskedEntropy = Real(1 / d.auxiliary);
    }
  }
}

template <class Real>
void Batch<Real>::restrictEntropyToKept(int64_t keptTokens) {
  const papo_objective& o = objective_;
  const double kept = o.tokenNormalizer > 0
                          ? o.tokenNormalizer
                          : denominator(static_cast<double>(keptTokens), o.countEpsilon);
  for (int64_t row = 0; row < responses_.rows; ++row) {
    TokenRecord<Real>& record = records_[row];
    const bool isKept = record.counts && record.inputs.keepsPolicy;
    record.shares.entropy = isKept ? Real(1 / kept) : Real(0);
  }
  denominators_.entropy = kept;
}

template class Batch<float>;
template class Batch<double>;

}  // namespace papo
