// What a call of the loss gives of a token, and what it takes of it: between the arguments' tensors and
// the token's record; of both engines.
#pragma once

#include "engine/tensors.h"
#include "loss/token_sums.h"

namespace papo {

// Where a token stands in a call.
struct TokenPlace {
  int64_t token = 0, response = 0;
};

struct TokenMasks {
  bool counts = true;  // responseMask
  bool isSft = false;  // sftMask
};

template <class Real>
PAPO_HOST_DEVICE Real valueOr(const papo_tensor& tensor, int64_t i, Real fallback) {
  return tensor.data ? static_cast<const Real*>(tensor.data)[i] : fallback;
}

// Which element is the token's, of a tensor with one a token or one a response.
PAPO_HOST_DEVICE int64_t elementOf(const papo_tensor& tensor, const Responses& responses,
                                   TokenPlace place) {
  return tensor.rows == responses.rows ? place.token : place.response;
}

template <class Real>
PAPO_HOST_DEVICE void setMasks(TokenMasks masks, bool paddingContributes,
                               TokenRecord<Real>* record) {
  record->counts = masks.counts;
  record->contributes = masks.counts || paddingContributes;
  record->isSft = masks.counts && masks.isSft;
}

// After the masks.
template <class Real>
PAPO_HOST_DEVICE void readInputs(const papo_loss_args& a, const Responses& responses,
                                 TokenPlace place, TokenRecord<Real>* record) {
  TokenInputs<Real>& in = record->inputs;
  const int64_t token = place.token;
  const auto valueAt = [&](const papo_tensor& tensor, Real fallback) {
    return valueOr(tensor, elementOf(tensor, responses, place), fallback);
  };
  in.hasMasked = isPresent(a.maskedLogits) || isPresent(a.maskedLogProbs);
  in.hasRef = isPresent(a.refLogProbs);
  if (record->contributes) {
    in.logProb = valueOr(a.logProbs, token, Real(0));
    in.maskedLogProb = valueOr(a.maskedLogProbs, token, Real(0));
    in.entropy = valueOr(a.entropies, token, Real(0));
    in.maskedEntropy = valueOr(a.maskedEntropies, token, Real(0));
    in.exactKl = valueOr(a.exactPerceptionKl, token, Real(0));
    in.perceptionWeight = valueAt(a.perceptionWeights, Real(1));
  }
  if (record->counts) {
    in.oldLogProb = valueOr(a.oldLogProbs, token, Real(0));
    in.refLogProb = valueOr(a.refLogProbs, token, Real(0));
    in.advantage = valueAt(a.advantages, Real(0));
    in.tokenWeight = valueAt(a.tokenWeights, Real(1));
  }
}

// Every value that a call may ask for of a token; 0 of one that does not contribute.
template <class Real>
PAPO_HOST_DEVICE void writeOutputs(const papo_loss_args& a, int64_t token,
                                   const TokenRecord<Real>& t) {
  const auto write = [&](const papo_tensor& tensor, Real value) {
    if (tensor.data) static_cast<Real*>(tensor.data)[token] = t.contributes ? value : Real(0);
  };
  write(a.outLogProbs, t.inputs.logProb);
  write(a.outMaskedLogProbs, t.inputs.maskedLogProb);
  write(a.outEntropies, t.inputs.entropy);
  write(a.outMaskedEntropies, t.inputs.maskedEntropy);
  write(a.ratios, t.counts ? t.terms.ratio : Real(0));
  write(a.refKlPerToken, t.terms.refKl.value);
  write(a.perceptionKlPerToken, t.terms.perceptionKl.value);
  write(a.logProbsGrad, t.slopes.logProb);
  write(a.maskedLogProbsGrad, t.slopes.maskedLogProb);
  write(a.entropiesGrad, t.slopes.entropy);
  write(a.maskedEntropiesGrad, t.slopes.maskedEntropy);
  write(a.exactPerceptionKlGrad, t.slopes.exactKl);
}

inline MetricsContext metricsContext(const papo_loss_args& a, const BatchSize& size) {
  MetricsContext context;
  context.size = size;
  context.knowsEntropy = isPresent(a.logits) || isPresent(a.entropies);
  context.knowsMaskedEntropy = isPresent(a.maskedLogits) || isPresent(a.maskedEntropies);
  context.wantsGradNorm = a.gradNorm != 0;
  return context;
}

}  // namespace papo
