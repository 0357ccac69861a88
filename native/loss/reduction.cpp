#include "loss/reduction.h"

#include <cmath>

namespace papo {
namespace {

struct Sums {
  double policy = 0, refKl = 0, perceptionKl = 0, entropy = 0, maskedEntropy = 0, sft = 0;
};

// Sums of share * value over every token that contributes (Eq. 15). A share of 0 switches a term
// off for a token, also where its value is not finite.
template <class Real>
Sums sumTerms(const Batch<Real>& batch) {
  Sums sums;
  for (int64_t row = 0; row < batch.responses().rows; ++row) {
    const TokenRecord<Real>& token = batch[row];
    if (!token.contributes) continue;
    const TokenShares<Real>& share = token.shares;
    const auto part = [](Real portion, Real value) {
      return weighted(static_cast<double>(portion), static_cast<double>(value));
    };
    sums.policy += part(share.policy, token.terms.policy.loss);
    sums.refKl += part(share.policy, token.terms.refKl.value);
    sums.perceptionKl += part(share.perception, token.terms.perceptionKl.value);
    sums.entropy += part(share.entropy, token.terms.entropy);
    sums.maskedEntropy += part(share.maskedEntropy, token.terms.maskedEntropy);
    sums.sft += part(share.sft, -token.inputs.logProb);
  }
  return sums;
}

void writeTerms(const papo_objective& o, const Sums& s, double* metrics) {
  metrics[PAPO_METRIC_policy] = s.policy;
  metrics[PAPO_METRIC_refKl] = s.refKl;
  metrics[PAPO_METRIC_perceptionKl] = s.perceptionKl;
  metrics[PAPO_METRIC_entropy] = s.entropy;
  metrics[PAPO_METRIC_maskedEntropy] = s.maskedEntropy;
  metrics[PAPO_METRIC_sft] = s.sft;
  metrics[PAPO_METRIC_weightedRefKl] = weighted(o.refKlCoef, s.refKl);
  metrics[PAPO_METRIC_weightedPerceptionKl] = weighted(-o.perceptionKlCoef, s.perceptionKl);
  metrics[PAPO_METRIC_weightedEntropy] = weighted(o.entropyCoef, s.entropy);
  metrics[PAPO_METRIC_weightedMaskedEntropy] = weighted(o.maskedEntropyCoef, s.maskedEntropy);
  metrics[PAPO_METRIC_weightedSft] = weighted(o.sftCoef, s.sft);
  metrics[PAPO_METRIC_loss] =
      o.lossScale *
      (s.policy + metrics[PAPO_METRIC_weightedRefKl] + metrics[PAPO_METRIC_weightedPerceptionKl] +
       metrics[PAPO_METRIC_weightedEntropy] + metrics[PAPO_METRIC_weightedMaskedEntropy] +
       metrics[PAPO_METRIC_weightedSft]);
}

// Of the token's own values: a NaN that reaches its loss from the response's ratio is another's.
template <class Real>
bool isFiniteToken(const TokenInputs<Real>& in) {
  return std::isfinite(in.logProb) && std::isfinite(in.maskedLogProb) &&
         std::isfinite(in.entropy) && std::isfinite(in.maskedEntropy) &&
         std::isfinite(in.exactKl) && std::isfinite(in.oldLogProb) &&
         std::isfinite(in.refLogProb) && std::isfinite(in.advantage) &&
         std::isfinite(in.tokenWeight) && std::isfinite(in.perceptionWeight);
}

struct TokenStatistics {
  double approxKl = 0, ratio = 0, perceptionKl = 0, entropy = 0, maskedEntropy = 0;
  double ratioMin = INFINITY, ratioMax = -INFINITY, perceptionKlMax = -INFINITY;
  double dualClipped = 0, nonFinite = 0;

  template <class Real>
  void add(const TokenRecord<Real>& token) {
    const double r = token.terms.ratio, k = token.terms.rawPerceptionKl;
    approxKl -= token.terms.logRatio;
    ratio += r;
    perceptionKl += k;
    entropy += token.inputs.entropy;
    maskedEntropy += token.inputs.maskedEntropy;
    ratioMin = r < ratioMin ? r : ratioMin;
    ratioMax = r > ratioMax ? r : ratioMax;
    perceptionKlMax = k > perceptionKlMax ? k : perceptionKlMax;
    dualClipped += token.terms.policy.isDualClipped;
    nonFinite += !isFiniteToken(token.inputs);
  }
};

template <class Real>
double perceptionVariance(const Batch<Real>& batch, double mean) {
  double sum = 0;
  for (int64_t row = 0; row < batch.responses().rows; ++row) {
    if (!batch[row].counts) continue;
    const double difference = batch[row].terms.rawPerceptionKl - mean;
    sum += difference * difference;
  }
  return sum / batch.denominators().tokens;
}

// Shares of clipped tokens; of responses at sequence level, where all tokens of a response share
// one ratio and an empty response counts as not clipped.
template <class Real>
void writeClipFractions(const papo_objective& o, const Batch<Real>& batch, double* metrics) {
  const bool perResponse = o.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE;
  double high = 0, low = 0;
  for (int64_t b = 0; b < batch.responses().count; ++b) {
    double responseHigh = 0, responseLow = 0;
    for (int64_t row = batch.responses().begin(b); row < batch.responses().end(b); ++row) {
      if (!batch[row].counts) continue;
      responseHigh += batch[row].terms.policy.isClippedHigh;
      responseLow += batch[row].terms.policy.isClippedLow;
    }
    const double share =
        perResponse ? denominator(static_cast<double>(batch.countedTokens(b)), 0) : 1;
    high += responseHigh / share;
    low += responseLow / share;
  }
  const double total =
      perResponse ? static_cast<double>(batch.responses().count) : batch.denominators().tokens;
  metrics[PAPO_METRIC_clipFractionHigh] = high / total;
  metrics[PAPO_METRIC_clipFractionLow] = low / total;
}

}  // namespace

template <class Real>
void reduceBatch(const papo_objective& objective, const Batch<Real>& batch,
                 const ReductionContext& context, double* metrics) {
  writeTerms(objective, sumTerms(batch), metrics);
  writeClipFractions(objective, batch, metrics);
  TokenStatistics s;
  for (int64_t row = 0; row < batch.responses().rows; ++row)
    if (batch[row].counts) s.add(batch[row]);
  const double tokens = batch.denominators().tokens;
  const bool isEmpty = batch.denominators().tokenCount == 0;
  metrics[PAPO_METRIC_approxKl] = s.approxKl / tokens;
  metrics[PAPO_METRIC_dualClipFraction] = s.dualClipped / tokens;
  metrics[PAPO_METRIC_ratioMean] = s.ratio / tokens;
  metrics[PAPO_METRIC_ratioMin] = isEmpty ? 0 : s.ratioMin;
  metrics[PAPO_METRIC_ratioMax] = isEmpty ? 0 : s.ratioMax;
  metrics[PAPO_METRIC_perceptionKlMean] = s.perceptionKl / tokens;
  metrics[PAPO_METRIC_perceptionKlVariance] = perceptionVariance(batch, s.perceptionKl / tokens);
  metrics[PAPO_METRIC_perceptionKlMax] = isEmpty ? 0 : s.perceptionKlMax;
  metrics[PAPO_METRIC_meanEntropy] = context.knowsEntropy ? s.entropy / tokens : NAN;
  metrics[PAPO_METRIC_meanMaskedEntropy] =
      context.knowsMaskedEntropy ? s.maskedEntropy / tokens : NAN;
  metrics[PAPO_METRIC_nonFiniteRows] = s.nonFinite;
  metrics[PAPO_METRIC_tokenCount] = static_cast<double>(batch.denominators().tokenCount);
  metrics[PAPO_METRIC_responseCount] = static_cast<double>(batch.responses().count);
  metrics[PAPO_METRIC_gradNorm] = std::sqrt(context.sumOfSquares);
}

template void reduceBatch(const papo_objective&, const Batch<float>&, const ReductionContext&,
                          double*);
template void reduceBatch(const papo_objective&, const Batch<double>&, const ReductionContext&,
                          double*);

}  // namespace papo
