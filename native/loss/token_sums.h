// From tokens to scalars: what the tokens of a call add up to, and the metrics that follow from it; of
// both engines. Sums are in double, in an order that depends on nothing but the number of tokens.
#pragma once

#include <cmath>

#include "loss/shares.h"

namespace papo {

// Of the token's own values: a NaN that reaches its loss from the response's ratio is another's.
template <class Real>
PAPO_HOST_DEVICE bool isFiniteToken(const TokenInputs<Real>& in) {
  return std::isfinite(in.logProb) && std::isfinite(in.maskedLogProb) &&
         std::isfinite(in.entropy) && std::isfinite(in.maskedEntropy) &&
         std::isfinite(in.exactKl) && std::isfinite(in.oldLogProb) &&
         std::isfinite(in.refLogProb) && std::isfinite(in.advantage) &&
         std::isfinite(in.tokenWeight) && std::isfinite(in.perceptionWeight);
}

struct TokenSums {
  // Sums of share * value over every token that contributes (Eq. 15).
  double policy = 0, refKl = 0, perceptionKl = 0, entropy = 0, maskedEntropy = 0, sft = 0;
  // Over the tokens that count; perceptionSquares about the mean of rawPerceptionKl.
  double count = 0, approxKl = 0, ratio = 0, rawPerceptionKl = 0, perceptionSquares = 0;
  double ownEntropy = 0, ownMaskedEntropy = 0;
  double ratioMin = INFINITY, ratioMax = -INFINITY, perceptionKlMax = -INFINITY;
  double clippedHigh = 0, clippedLow = 0, dualClipped = 0, nonFinite = 0;
  double gradSquares = 0;

  template <class Real>
  PAPO_HOST_DEVICE static TokenSums of(const TokenRecord<Real>& token) {
    TokenSums s;
    s.gradSquares = token.sumOfSquares;
    if (token.contributes) s.setTerms(token);
    if (token.counts) s.setStatistics(token);
    return s;
  }

  PAPO_HOST_DEVICE void merge(const TokenSums& next) {
    perceptionSquares += next.perceptionSquares + squaresBetween(next);
    policy += next.policy;
    refKl += next.refKl;
    perceptionKl += next.perceptionKl;
    entropy += next.entropy;
    maskedEntropy += next.maskedEntropy;
    sft += next.sft;
    count += next.count;
    approxKl += next.approxKl;
    ratio += next.ratio;
    rawPerceptionKl += next.rawPerceptionKl;
    ownEntropy += next.ownEntropy;
    ownMaskedEntropy += next.ownMaskedEntropy;
    ratioMin = next.ratioMin < ratioMin ? next.ratioMin : ratioMin;
    ratioMax = next.ratioMax > ratioMax ? next.ratioMax : ratioMax;
    perceptionKlMax =
        next.perceptionKlMax > perceptionKlMax ? next.perceptionKlMax : perceptionKlMax;
    clippedHigh += next.clippedHigh;
    clippedLow += next.clippedLow;
    dualClipped += next.dualClipped;
    nonFinite += next.nonFinite;
    gradSquares += next.gradSquares;
  }

 private:
  // A share of 0 switches a term off for a token, also where its value is not finite.
  template <class Real>
  PAPO_HOST_DEVICE void setTerms(const TokenRecord<Real>& token) {
    const TokenShares<Real>& share = token.shares;
    const auto part = [](Real portion, Real value) {
      return weighted(static_cast<double>(portion), static_cast<double>(value));
    };
    policy = part(share.policy, token.terms.policy.loss);
    refKl = part(share.policy, token.terms.refKl.value);
    perceptionKl = part(share.perception, token.terms.perceptionKl.value);
    entropy = part(share.entropy, token.terms.entropy);
    maskedEntropy = part(share.maskedEntropy, token.terms.maskedEntropy);
    sft = part(share.sft, -token.inputs.logProb);
  }

  template <class Real>
  PAPO_HOST_DEVICE void setStatistics(const TokenRecord<Real>& token) {
    count = 1;
    approxKl = 0 - static_cast<double>(token.terms.logRatio);
    ratio = token.terms.ratio;
    rawPerceptionKl = token.terms.rawPerceptionKl;
    ownEntropy = token.inputs.entropy;
    ownMaskedEntropy = token.inputs.maskedEntropy;
    if (!std::isnan(ratio)) ratioMin = ratioMax = ratio;
    if (!std::isnan(rawPerceptionKl)) perceptionKlMax = rawPerceptionKl;
    clippedHigh = token.terms.policy.isClippedHigh;
    clippedLow = token.terms.policy.isClippedLow;
    dualClipped = token.terms.policy.isDualClipped;
    nonFinite = !isFiniteToken(token.inputs);
  }

  // What the squares about the common mean have above those about each part's own (Chan, Golub, LeVeque
  // 1983, "Algorithms for computing the sample variance", Eq. 2.1b).
  PAPO_HOST_DEVICE double squaresBetween(const TokenSums& next) const {
    const double product = count * next.count;
    if (!(product > 0)) return 0;
    const double difference = next.rawPerceptionKl * count - rawPerceptionKl * next.count;
    return difference * difference / (product * (count + next.count));
  }
};

// What the metrics need beyond the tokens.
struct MetricsContext {
  BatchSize size;
  bool knowsEntropy = false, knowsMaskedEntropy = false;
  bool wantsGradNorm = false;
};

PAPO_HOST_DEVICE void writeTerms(const papo_objective& o, const TokenSums& s, double* metrics) {
  metrics[PAPO_METRIC_policy] = s.policy;
  metrics[PAPO_METRIC_refKl] = s.refKl;
  metrics[PAPO_METRIC_perceptionKl] = s.perceptionKl;
  metrics[PAPO_METRIC_entropy] = s.entropy;
  metrics[PAPO_METRIC_maskedEntropy] = s.maskedEntropy;
  metrics[PAPO_METRIC_sft] = s.sft;
  const double refKl = weighted(o.refKlCoef, s.refKl);
  const double perceptionKl = weighted(-o.perceptionKlCoef, s.perceptionKl);
  const double entropy = weighted(o.entropyCoef, s.entropy);
  const double maskedEntropy = weighted(o.maskedEntropyCoef, s.maskedEntropy);
  const double sft = weighted(o.sftCoef, s.sft);
  metrics[PAPO_METRIC_weightedRefKl] = refKl;
  metrics[PAPO_METRIC_weightedPerceptionKl] = perceptionKl;
  metrics[PAPO_METRIC_weightedEntropy] = entropy;
  metrics[PAPO_METRIC_weightedMaskedEntropy] = maskedEntropy;
  metrics[PAPO_METRIC_weightedSft] = sft;
  metrics[PAPO_METRIC_loss] =
      o.lossScale * (s.policy + refKl + perceptionKl + entropy + maskedEntropy + sft);
}

// Fills metrics[PAPO_METRIC_COUNT]. Clipped tokens are a share of the tokens; at sequence level, where
// all tokens of a response share one ratio, clippedHigh and clippedLow are sums of the responses' own
// shares, and an empty response counts as not clipped.
PAPO_HOST_DEVICE void writeMetrics(const papo_objective& o, const MetricsContext& context,
                                   const TokenSums& s, double* metrics) {
  writeTerms(o, s, metrics);
  const double tokens = denominators(o, context.size).tokens;
  const auto responses = static_cast<double>(context.size.responses);
  const double ratios = o.ratioLevel == PAPO_RATIO_LEVEL_SEQUENCE ? responses : tokens;
  const bool isEmpty = context.size.tokens == 0;
  metrics[PAPO_METRIC_clipFractionHigh] = s.clippedHigh / ratios;
  metrics[PAPO_METRIC_clipFractionLow] = s.clippedLow / ratios;
  metrics[PAPO_METRIC_approxKl] = s.approxKl / tokens;
  metrics[PAPO_METRIC_dualClipFraction] = s.dualClipped / tokens;
  metrics[PAPO_METRIC_ratioMean] = s.ratio / tokens;
  metrics[PAPO_METRIC_ratioMin] = isEmpty ? 0 : s.ratioMin;
  metrics[PAPO_METRIC_ratioMax] = isEmpty ? 0 : s.ratioMax;
  metrics[PAPO_METRIC_perceptionKlMean] = s.rawPerceptionKl / tokens;
  metrics[PAPO_METRIC_perceptionKlVariance] = s.perceptionSquares / tokens;
  metrics[PAPO_METRIC_perceptionKlMax] = isEmpty ? 0 : s.perceptionKlMax;
  metrics[PAPO_METRIC_meanEntropy] = context.knowsEntropy ? s.ownEntropy / tokens : NAN;
  metrics[PAPO_METRIC_meanMaskedEntropy] =
      context.knowsMaskedEntropy ? s.ownMaskedEntropy / tokens : NAN;
  metrics[PAPO_METRIC_nonFiniteRows] = s.nonFinite;
  metrics[PAPO_METRIC_tokenCount] = static_cast<double>(context.size.tokens);
  metrics[PAPO_METRIC_responseCount] = responses;
  metrics[PAPO_METRIC_gradNorm] = context.wantsGradNorm ? std::sqrt(s.gradSquares) : NAN;
}

}  // namespace papo
