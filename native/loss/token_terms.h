// The loss of one response token: every per-token formula and its slope, each once.
//
// Compiles for host and device. Real is float in the engines and double in the reference. Equation
// numbers are those of docs/math.md. NaN passes through every function: comparisons are written so
// that a NaN takes neither branch of a clamp.
#pragma once

#include <cmath>

#include "engine/host_device.h"
#include "papo_objective.h"

namespace papo {

// e^80 = 5.5e34 fits float32 with room for weights and sums; a clamp that is "off" ends here, so that
// exp never overflows.
constexpr double kExpLimit = 80;

// The objective as the token terms need it: bounds in log space, computed once per call.
template <class Real>
struct TokenObjective {
  Real logClipLow, logClipHigh;  // log(1 - clipRatioLow), log(1 + clipRatioHigh)
  Real logRatioCap, dualClip;    // INFINITY: off
  Real logRatioClamp, klLogRatioClamp, klValueClamp, perceptionKlCap;
  Real refKlCoef, perceptionKlCoef, entropyCoef, maskedEntropyCoef, sftCoef, lossScale;
  int surrogate, refKlEstimator, perceptionKlEstimator;
  bool refKlRatioCorrection, paperRatio, maskedGradient, exactEntropy, entropyGradient;
};

template <class Real>
TokenObjective<Real> tokenObjective(const papo_objective& o) {
  const auto clamp = [](double limit) { return Real(limit < kExpLimit ? limit : kExpLimit); };
  TokenObjective<Real> t;
  t.logClipLow = Real(std::log(1 - o.clipRatioLow));
  t.logClipHigh = Real(std::log(1 + o.clipRatioHigh));
  t.logRatioCap = Real(std::log(o.ratioCap));
  t.dualClip = Real(o.dualClip);
  t.logRatioClamp = clamp(o.logRatioClamp);
  t.klLogRatioClamp = clamp(o.klLogRatioClamp);
  t.klValueClamp = Real(o.klValueClamp);
  t.perceptionKlCap = Real(o.perceptionKlCap);
  t.refKlCoef = Real(o.refKlCoef);
  t.perceptionKlCoef = Real(o.perceptionKlCoef);
  t.entropyCoef = Real(o.entropyCoef);
  t.maskedEntropyCoef = Real(o.maskedEntropyCoef);
  t.sftCoef = Real(o.sftCoef);
  t.lossScale = Real(o.lossScale);
  t.surrogate = o.surrogate;
  t.refKlEstimator = o.refKlEstimator;
  t.perceptionKlEstimator = o.perceptionKlEstimator;
  t.refKlRatioCorrection = o.refKlRatioCorrection != 0;
  t.paperRatio = o.perceptionRatio == PAPO_PERCEPTION_RATIO_PAPER;
  t.maskedGradient = o.perceptionGradient == PAPO_PERCEPTION_GRADIENT_BOTH;
  t.exactEntropy = o.entropyEstimator == PAPO_ENTROPY_ESTIMATOR_EXACT;
  t.entropyGradient = o.entropyGradient != 0;
  return t;
}

// --- clamp and KL estimators ------------------------------------------------------------------------

template <class Real>
struct Clamped {
  Real value;
  Real slope;  // 1 on the closed interval, 0 outside, as in torch.clamp
};

template <class Real>
PAPO_HOST_DEVICE Clamped<Real> clamped(Real x, Real low, Real high) {
  if (x < low) return {low, 0};
  if (x > high) return {high, 0};
  return {x, 1};
}

template <class Real>
struct KlTerm {
  Real value;
  Real slope;       // d value / d logProb
  Real otherSlope;  // d value / d otherLogProb
};

// Point estimate of KL(policy || other) at the sampled token (Eq. 12), x = logProb - otherLogProb:
//   k1 = x    abs = |x|    k2 = x^2 / 2    k3 = e^u - u - 1, u = -x (inverse: u = x)
// For k3, u is clamped to +- logRatioClamp and the value to +- valueClamp; slopes vanish outside.
// expm1(u) - u instead of e^u - u - 1: near 0 the latter loses every digit of a small KL.
// Source: http://joschu.net/blog/kl-approx.html; clamps as in the authors' core_algos.py.
template <class Real>
PAPO_HOST_DEVICE KlTerm<Real> klEstimate(int estimator, Real logProb, Real otherLogProb,
                                         Real logRatioClamp, Real valueClamp, bool inverse) {
  const Real x = logProb - otherLogProb;
  if (estimator == PAPO_REF_KL_ESTIMATOR_K1) return {x, 1, -1};
  if (estimator == PAPO_REF_KL_ESTIMATOR_ABS) {
    const Real sign = x > 0 ? Real(1) : x < 0 ? Real(-1) : x * 0;
    return {std::fabs(x), sign, -sign};
  }
  if (estimator == PAPO_REF_KL_ESTIMATOR_K2) return {x * x / 2, x, -x};
  const Clamped<Real> u = clamped(inverse ? x : -x, -logRatioClamp, logRatioClamp);
  const Real growth = std::expm1(u.value);  // e^u - 1, also the slope in u
  const Clamped<Real> k = clamped(growth - u.value, -valueClamp, valueClamp);
  const Real slope = growth * u.slope * k.slope;
  return inverse ? KlTerm<Real>{k.value, slope, -slope} : KlTerm<Real>{k.value, -slope, slope};
}

// --- policy term ------------------------------------------------------------------------------------

template <class Real>
struct PolicyTerm {
  Real loss;
  Real logRatioSlope;  // d loss / d logRatio
  Real logProbSlope;   // d loss / d logProb at a constant ratio (cispo)
  bool isClippedHigh, isClippedLow, isDualClipped;
};

// Clipped surrogate with dual clip (Eq. 10), r = ratio = exp(logRatio):
//   L = max(-A min(r, ratioCap), -A clamp(r, 1 - low, 1 + high));  A < 0: L = min(L, -A dualClip)
// Bounds are compared in log space, as the authors do, so that a log-ratio exactly on a bound keeps
// its gradient. Where the two branches of a max or min are equal each gets half, as in torch.
// Sources: arXiv 1707.06347 Eq. 7; low != high 2503.14476; dual clip 1912.09729 Eq. 5.
template <class Real>
PAPO_HOST_DEVICE PolicyTerm<Real> clippedSurrogate(const TokenObjective<Real>& o, Real logRatio,
                                                   Real ratio, Real advantage) {
  const Clamped<Real> capped = clamped(logRatio, Real(-INFINITY), o.logRatioCap);
  const Clamped<Real> bounded = clamped(logRatio, o.logClipLow, o.logClipHigh);
  const Real unclipped = -advantage * (capped.slope == 1 ? ratio : std::exp(capped.value));
  const Real clipped = -advantage * (bounded.slope == 1 ? ratio : std::exp(bounded.value));
  const Real unclippedSlope = unclipped * capped.slope;
  const Real clippedSlope = clipped * bounded.slope;

  PolicyTerm<Real> term{unclipped, unclippedSlope, 0, false, false, false};
  if (clipped > unclipped) {
    term = {clipped, clippedSlope, 0, advantage > 0, logRatio < o.logClipLow, false};
  } else if (clipped == unclipped) {
    term.logRatioSlope = (unclippedSlope + clippedSlope) / 2;
  }
  const Real ceiling = -advantage * o.dualClip;
  if (advantage < 0 && term.loss >= ceiling) {
    term.isDualClipped = term.loss > ceiling;
    term.logRatioSlope = term.isDualClipped ? 0 : term.logRatioSlope / 2;
    term.loss = ceiling;
  }
  return term;
}

// CISPO (Eq. 11, arXiv 2506.13585 Eq. 4-5): L = -stopgrad(clamp(r, 1 - low, 1 + high)) A logProb.
template <class Real>
PAPO_HOST_DEVICE PolicyTerm<Real> cispo(const TokenObjective<Real>& o, Real logProb, Real logRatio,
                                        Real advantage) {
  const Real weight = std::exp(clamped(logRatio, o.logClipLow, o.logClipHigh).value);
  const Real slope = -weight * advantage;
  return {slope * logProb,
          0,
          slope,
          logRatio > o.logClipHigh && advantage > 0,
          logRatio < o.logClipLow && advantage < 0,
          false};
}

// --- one token --------------------------------------------------------------------------------------

// What is known of a token. Log-probs, entropies and KLs in nats.
template <class Real>
struct TokenInputs {
  Real logProb = 0, maskedLogProb = 0;  // l, l'
  Real entropy = 0, maskedEntropy = 0;  // H, H'
  Real exactKl = 0;                     // D
  Real oldLogProb = 0, refLogProb = 0;
  Real advantage = 0;
  Real tokenWeight = 1;       // factor of the policy term
  Real perceptionWeight = 1;  // factor of the perception KL
  bool hasMasked = false, hasRef = false;
  bool keepsPolicy = true;      // false: below the quantile of topEntropyFraction
  bool keepsPerception = true;  // false: below the quantile of perceptionTopFraction
};

// Share of this token in each mean: 1 / (number of tokens), and so on; 0 where it does not count.
template <class Real>
struct TokenShares {
  Real policy = 0;      // policy term and reference KL
  Real perception = 0;  // perception KL
  Real entropy = 0;     // image-branch entropy term
  Real maskedEntropy = 0;
  Real sft = 0;
};

// Values before shares and coefficients, with their slopes.
template <class Real>
struct TokenTerms {
  PolicyTerm<Real> policy;
  KlTerm<Real> refKl;  // value times ratio where refKlRatioCorrection
  Real refKlLogRatioSlope;
  KlTerm<Real> perceptionKl;  // in logProb and maskedLogProb
  Real perceptionExactSlope;  // d perceptionKl / dD
  Real rawPerceptionKl;       // before weight, selection and cap
  Real entropy, maskedEntropy;
  Real ratio, logRatio;
};

// Perception KL before weight, selection and cap (Eq. 13).
template <class Real>
PAPO_HOST_DEVICE KlTerm<Real> perceptionEstimate(const TokenObjective<Real>& o,
                                                 const TokenInputs<Real>& t) {
  if (o.perceptionKlEstimator == PAPO_PERCEPTION_KL_ESTIMATOR_EXACT) return {t.exactKl, 0, 0};
  return klEstimate(o.perceptionKlEstimator, t.logProb, t.maskedLogProb, o.klLogRatioClamp,
                    o.klValueClamp, o.paperRatio);
}

// Weight, then selection, then cap (Eq. 14), in the order of the authors' code.
template <class Real>
PAPO_HOST_DEVICE void addPerception(const TokenObjective<Real>& o, const TokenInputs<Real>& t,
                                    TokenTerms<Real>* terms) {
  const KlTerm<Real> raw = perceptionEstimate(o, t);
  terms->rawPerceptionKl = raw.value;
  if (!t.keepsPerception) return;
  Clamped<Real> k = {raw.value * t.perceptionWeight, 1};
  if (o.perceptionKlCap < Real(INFINITY)) k = clamped(k.value, Real(0), o.perceptionKlCap);
  const Real slope = k.slope * t.perceptionWeight;
  terms->perceptionKl = {k.value, raw.slope * slope, raw.otherSlope * slope};
  if (o.perceptionKlEstimator == PAPO_PERCEPTION_KL_ESTIMATOR_EXACT)
    terms->perceptionExactSlope = slope;
}

// All terms of one token. logRatio: Eq. 9, already clamped; of the token, or of its response.
template <class Real>
PAPO_HOST_DEVICE TokenTerms<Real> tokenTerms(const TokenObjective<Real>& o,
                                             const TokenInputs<Real>& t, Real logRatio) {
  TokenTerms<Real> terms{};
  terms.logRatio = logRatio;
  terms.ratio = std::exp(logRatio);
  terms.policy = o.surrogate == PAPO_SURROGATE_CISPO
                     ? cispo(o, t.logProb, logRatio, t.advantage)
                     : clippedSurrogate(o, logRatio, terms.ratio, t.advantage);
  const Real weight = t.keepsPolicy ? t.tokenWeight : Real(0);
  terms.policy.loss *= weight;
  terms.policy.logRatioSlope *= weight;
  terms.policy.logProbSlope *= weight;
  if (t.hasRef) {
    terms.refKl = klEstimate(o.refKlEstimator, t.logProb, t.refLogProb, o.klLogRatioClamp,
                             o.klValueClamp, false);
    if (o.refKlRatioCorrection) {
      terms.refKl.value *= terms.ratio;
      terms.refKl.slope *= terms.ratio;
      terms.refKlLogRatioSlope = terms.refKl.value;
    }
  }
  if (t.hasMasked) addPerception(o, t, &terms);
  terms.entropy = o.exactEntropy ? t.entropy : -t.logProb;
  if (t.hasMasked) terms.maskedEntropy = o.exactEntropy ? t.maskedEntropy : -t.maskedLogProb;
  return terms;
}

// A coefficient of 0 switches its term off, also where the term is not finite.
template <class Real>
PAPO_HOST_DEVICE Real weighted(Real coef, Real value) {
  return coef == 0 ? Real(0) : coef * value;
}

// d loss / d of what the row statistics give (docs/math.md Eq. 8), lossScale included.
template <class Real>
struct TokenSlopes {
  Real logProb = 0;        // g, without the part that comes through logRatio
  Real maskedLogProb = 0;  // g'
  Real entropy = 0;        // h
  Real maskedEntropy = 0;  // h'
  Real exactKl = 0;        // d
  Real logRatio = 0;       // joins g: directly at token level, as a response mean at sequence level
};

template <class Real>
PAPO_HOST_DEVICE TokenSlopes<Real> tokenSlopes(const TokenObjective<Real>& o,
                                               const TokenTerms<Real>& t,
                                               const TokenShares<Real>& share) {
  TokenSlopes<Real> s;
  const Real policy = o.lossScale * share.policy;
  const Real perception = -o.lossScale * o.perceptionKlCoef * share.perception;
  const Real entropy = o.entropyGradient ? o.lossScale * o.entropyCoef * share.entropy : Real(0);
  const Real maskedEntropy = o.entropyGradient && o.maskedGradient
                                 ? o.lossScale * o.maskedEntropyCoef * share.maskedEntropy
                                 : Real(0);
  s.logRatio = weighted(policy, t.policy.logRatioSlope) +
               weighted(policy * o.refKlCoef, t.refKlLogRatioSlope);
  s.logProb = weighted(policy, t.policy.logProbSlope) +
              weighted(policy * o.refKlCoef, t.refKl.slope) +
              weighted(perception, t.perceptionKl.slope) - o.lossScale * o.sftCoef * share.sft -
              (o.exactEntropy ? Real(0) : entropy);
  s.entropy = o.exactEntropy ? entropy : Real(0);
  s.exactKl = weighted(perception, t.perceptionExactSlope);
  if (o.maskedGradient) {
    s.maskedLogProb =
        weighted(perception, t.perceptionKl.otherSlope) - (o.exactEntropy ? 0 : maskedEntropy);
    s.maskedEntropy = o.exactEntropy ? maskedEntropy : Real(0);
  }
  return s;
}

}  // namespace papo
