#include "loss/batch.h"

#include <new>

#include "loss/loss_checks.h"

namespace papo {
namespace {

template <class Real>
Real valueOr(const papo_tensor& tensor, int64_t row, Real fallback) {
  return tensor.data ? static_cast<const Real*>(tensor.data)[row] : fallback;
}

}  // namespace

// Of a tensor that is per token or per response.
template <class Real>
Real Batch<Real>::valueAt(const papo_tensor& tensor, int64_t row, int64_t response,
                          Real fallback) const {
  return valueOr(tensor, tensor.rows == responses_.rows ? row : response, fallback);
}

template <class Real>
papo_status Batch<Real>::fill() {
  PAPO_TRY(fillRecords());
  countTokens();
  setShares();
  return PAPO_OK;
}

template <class Real>
papo_status Batch<Real>::fillRecords() {
  const bool sftPerResponse = isPresent(args_.sftMask) && args_.sftMask.rows != responses_.rows;
  for (int64_t b = 0; b < responses_.count; ++b) {
    bool responseSft = false;
    if (sftPerResponse) PAPO_TRY(readMask({"sftMask", &args_.sftMask}, b, &responseSft));
    for (int64_t row = responses_.begin(b); row < responses_.end(b); ++row) {
      new (records_ + row) TokenRecord<Real>;
      PAPO_TRY(fillMasks(row, responseSft));
      fillInputs(row, b);
    }
  }
  return PAPO_OK;
}

// Every value of a mask is looked at, also where another mask makes it useless, and once only:
// memory that changes during the call is not to give a token two answers.
template <class Real>
papo_status Batch<Real>::fillMasks(int64_t row, bool responseSft) {
  TokenRecord<Real>& record = records_[row];
  record.counts = true;
  if (isPresent(args_.responseMask))
    PAPO_TRY(readMask({"responseMask", &args_.responseMask}, row, &record.counts));
  bool sft = responseSft;
  if (isPresent(args_.sftMask) && args_.sftMask.rows == responses_.rows)
    PAPO_TRY(readMask({"sftMask", &args_.sftMask}, row, &sft));
  record.contributes = record.counts || objective_.paddingInAuxiliaryTerms != 0;
  record.isSft = record.counts && sft;
  return PAPO_OK;
}

template <class Real>
void Batch<Real>::fillInputs(int64_t row, int64_t b) {
  TokenRecord<Real>& record = records_[row];
  TokenInputs<Real>& in = record.inputs;
  in.hasMasked = isPresent(args_.maskedLogits) || isPresent(args_.maskedLogProbs);
  in.hasRef = isPresent(args_.refLogProbs);
  if (record.contributes) {
    in.logProb = valueOr(args_.logProbs, row, Real(0));
    in.maskedLogProb = valueOr(args_.maskedLogProbs, row, Real(0));
    in.entropy = valueOr(args_.entropies, row, Real(0));
    in.maskedEntropy = valueOr(args_.maskedEntropies, row, Real(0));
    in.exactKl = valueOr(args_.exactPerceptionKl, row, Real(0));
    in.perceptionWeight = valueAt(args_.perceptionWeights, row, b, Real(1));
  }
  if (record.counts) {
    in.oldLogProb = valueOr(args_.oldLogProbs, row, Real(0));
    in.refLogProb = valueOr(args_.refLogProbs, row, Real(0));
    in.advantage = valueAt(args_.advantages, row, b, Real(0));
    in.tokenWeight = valueAt(args_.tokenWeights, row, b, Real(1));
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
