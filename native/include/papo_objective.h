/* Generated from native/loss/options.json by scripts/generate-options.mjs; edit that list. */
#ifndef PAPO_OBJECTIVE_H
#define PAPO_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

typedef enum papo_ratio_level {
  PAPO_RATIO_LEVEL_TOKEN = 0,
  PAPO_RATIO_LEVEL_SEQUENCE = 1
} papo_ratio_level;

typedef enum papo_surrogate {
  PAPO_SURROGATE_CLIP = 0,
  PAPO_SURROGATE_CISPO = 1
} papo_surrogate;

typedef enum papo_top_entropy_scope {
  PAPO_TOP_ENTROPY_SCOPE_POLICY = 0,
  PAPO_TOP_ENTROPY_SCOPE_POLICY_AND_ENTROPY = 1
} papo_top_entropy_scope;

typedef enum papo_ref_kl_estimator {
  PAPO_REF_KL_ESTIMATOR_K1 = 0,
  PAPO_REF_KL_ESTIMATOR_ABS = 1,
  PAPO_REF_KL_ESTIMATOR_K2 = 2,
  PAPO_REF_KL_ESTIMATOR_K3 = 3
} papo_ref_kl_estimator;

typedef enum papo_perception_kl_estimator {
  PAPO_PERCEPTION_KL_ESTIMATOR_K1 = 0,
  PAPO_PERCEPTION_KL_ESTIMATOR_ABS = 1,
  PAPO_PERCEPTION_KL_ESTIMATOR_K2 = 2,
  PAPO_PERCEPTION_KL_ESTIMATOR_K3 = 3,
  PAPO_PERCEPTION_KL_ESTIMATOR_EXACT = 4
} papo_perception_kl_estimator;

typedef enum papo_perception_ratio {
  PAPO_PERCEPTION_RATIO_RELEASED = 0,
  PAPO_PERCEPTION_RATIO_PAPER = 1
} papo_perception_ratio;

typedef enum papo_perception_gradient {
  PAPO_PERCEPTION_GRADIENT_POLICY = 0,
  PAPO_PERCEPTION_GRADIENT_BOTH = 1
} papo_perception_gradient;

typedef enum papo_entropy_estimator {
  PAPO_ENTROPY_ESTIMATOR_SAMPLED = 0,
  PAPO_ENTROPY_ESTIMATOR_EXACT = 1
} papo_entropy_estimator;

typedef enum papo_reduction {
  PAPO_REDUCTION_TOKEN = 0,
  PAPO_REDUCTION_SEQUENCE = 1,
  PAPO_REDUCTION_CONSTANT = 2
} papo_reduction;

/* Every option of the loss (docs/options.md). Fill with papo_objective_init, then change fields. */
typedef struct papo_objective {
  size_t size; /* sizeof(papo_objective) */
  /* Logits of both branches are divided by this before the softmax. */
  double temperature;
  /* ε_low: the ratio is clipped below at 1 - ε_low (arXiv 2503.14476). */
  double clipRatioLow;
  /* ε_high: the ratio is clipped above at 1 + ε_high; for the cispo surrogate the cap itself is 1 + ε_high. */
  double clipRatioHigh;
  /* c: with a negative advantage the token loss is at most -A·c (arXiv 1912.09729). INFINITY: off. */
  double dualClip;
  /* The unclipped ratio is limited to this value, without gradient beyond it (delta in TRL). INFINITY: off. */
  double ratioCap;
  /* The log-ratio logProbs - oldLogProbs is clamped to ± this value; off means ±80, where e^x still fits float32. INFINITY: off. */
  double logRatioClamp;
  /* Importance ratio of each token, or exp of the mean log-ratio of the response (GSPO, arXiv 2507.18071). (papo_ratio_level) */
  int32_t ratioLevel;
  /* Clipped surrogate, or the clipped ratio as a constant weight on the log-prob (CISPO, arXiv 2506.13585). (papo_surrogate) */
  int32_t surrogate;
  /* The policy term counts only the tokens whose exact entropy is in this top fraction of the call's counted tokens; 1 counts all. */
  double topEntropyFraction;
  /* Whether topEntropyFraction also selects the tokens over which the entropy term is averaged. (papo_top_entropy_scope) */
  int32_t topEntropyScope;
  /* β: weight of the reference KL; added. */
  double refKlCoef;
  /* Point estimate of KL(policy, reference) at the sampled token. (papo_ref_kl_estimator) */
  int32_t refKlEstimator;
  /* The reference KL of a token is multiplied by its importance ratio, with gradient through the ratio. */
  int32_t refKlRatioCorrection;
  /* γ: weight of the implicit perception KL; subtracted, that is, maximised. */
  double perceptionKlCoef;
  /* Point estimate at the sampled token, or the exact KL over the vocabulary. (papo_perception_kl_estimator) */
  int32_t perceptionKlEstimator;
  /* Ratio inside k3: π_masked/π as in the released code, or π/π_masked as in the paper. The other estimators do not depend on it. (papo_perception_ratio) */
  int32_t perceptionRatio;
  /* Masked branch as a constant, or gradient through both branches. (papo_perception_gradient) */
  int32_t perceptionGradient;
  /* The perception KL of a token is clamped to [0, cap], after weights and selection. INFINITY: off. */
  double perceptionKlCap;
  /* Per response, only tokens at or above the (1 - fraction) quantile of the perception KL keep it; 1 keeps all. */
  double perceptionTopFraction;
  /* The log-ratio inside k3 is clamped to ± this value; off means ±80. INFINITY: off. */
  double klLogRatioClamp;
  /* The value of k3 is clamped to ± this value. INFINITY: off. */
  double klValueClamp;
  /* η1: weight of the entropy of the image branch; added, so a positive value pushes the entropy down and a negative one is a bonus. */
  double entropyCoef;
  /* η2: weight of the entropy of the masked-image branch; added. */
  double maskedEntropyCoef;
  /* -logProbs of the sampled tokens, or the entropy over the vocabulary. (papo_entropy_estimator) */
  int32_t entropyEstimator;
  /* false: the entropy terms enter the value of the loss and no gradient (TRL's released behaviour). */
  int32_t entropyGradient;
  /* Weight of the supervised term, the mean of -logProbs over the tokens of the responses in sftMask. */
  double sftCoef;
  /* Token mean; mean of response means; or sum over responses·maxLength (Dr. GRPO, arXiv 2503.20783). (papo_reduction) */
  int32_t reduction;
  /* true: perception and entropy terms average over all rows, those with responseMask 0 included (TRL's released behaviour). */
  int32_t paddingInAuxiliaryTerms;
  /* Response length in the denominator of the constant reduction. 0: unset. */
  double maxLength;
  /* Global denominator of the terms averaged by reduction: tokens, responses or responses·maxLength of the whole batch. Unset: counted from this call. 0: unset. */
  double normalizer;
  /* Global denominator of the entropy terms, which are always token means. Unset: normalizer where reduction is token, else counted from this call. 0: unset. */
  double tokenNormalizer;
  /* Global denominator of the supervised term. Unset: counted from this call. 0: unset. */
  double sftNormalizer;
  /* Added to every counted denominator (1e-8 in the authors' code, 0 in TRL); a count of zero always gives a mean of zero. */
  double countEpsilon;
  /* Multiplies the loss and every gradient, not the terms: 1/steps of accumulation, a loss scale, an upstream gradient. */
  double lossScale;
} papo_objective;

/* The fields in order, for code that moves them one by one. */
#define PAPO_OBJECTIVE_FIELDS(NUMBER, INTEGER) \
  NUMBER(temperature) \
  NUMBER(clipRatioLow) \
  NUMBER(clipRatioHigh) \
  NUMBER(dualClip) \
  NUMBER(ratioCap) \
  NUMBER(logRatioClamp) \
  INTEGER(ratioLevel) \
  INTEGER(surrogate) \
  NUMBER(topEntropyFraction) \
  INTEGER(topEntropyScope) \
  NUMBER(refKlCoef) \
  INTEGER(refKlEstimator) \
  INTEGER(refKlRatioCorrection) \
  NUMBER(perceptionKlCoef) \
  INTEGER(perceptionKlEstimator) \
  INTEGER(perceptionRatio) \
  INTEGER(perceptionGradient) \
  NUMBER(perceptionKlCap) \
  NUMBER(perceptionTopFraction) \
  NUMBER(klLogRatioClamp) \
  NUMBER(klValueClamp) \
  NUMBER(entropyCoef) \
  NUMBER(maskedEntropyCoef) \
  INTEGER(entropyEstimator) \
  INTEGER(entropyGradient) \
  NUMBER(sftCoef) \
  INTEGER(reduction) \
  INTEGER(paddingInAuxiliaryTerms) \
  NUMBER(maxLength) \
  NUMBER(normalizer) \
  NUMBER(tokenNormalizer) \
  NUMBER(sftNormalizer) \
  NUMBER(countEpsilon) \
  NUMBER(lossScale)

#define PAPO_OBJECTIVE_FIELD_COUNT 34

/* Indices into papo_loss_args.metrics. */
typedef enum papo_metric {
  PAPO_METRIC_loss = 0, /* lossScale times the sum of the weighted terms. */
  PAPO_METRIC_policy = 1, /* Policy term, unweighted. */
  PAPO_METRIC_refKl = 2, /* Reference KL term, unweighted. */
  PAPO_METRIC_perceptionKl = 3, /* Perception KL term after weights, selection and cap, unweighted; bigger means more use of the image. */
  PAPO_METRIC_entropy = 4, /* Entropy term of the image branch by entropyEstimator, unweighted. */
  PAPO_METRIC_maskedEntropy = 5, /* Entropy term of the masked-image branch by entropyEstimator, unweighted. */
  PAPO_METRIC_sft = 6, /* Supervised term, unweighted. */
  PAPO_METRIC_weightedRefKl = 7, /* refKlCoef · refKl. */
  PAPO_METRIC_weightedPerceptionKl = 8, /* -perceptionKlCoef · perceptionKl. */
  PAPO_METRIC_weightedEntropy = 9, /* entropyCoef · entropy. */
  PAPO_METRIC_weightedMaskedEntropy = 10, /* maskedEntropyCoef · maskedEntropy. */
  PAPO_METRIC_weightedSft = 11, /* sftCoef · sft. */
  PAPO_METRIC_approxKl = 12, /* Token mean of oldLogProbs - logProbs, after logRatioClamp. */
  PAPO_METRIC_clipFractionHigh = 13, /* Share of tokens with ratio above 1 + ε_high and a positive advantage (of responses where ratioLevel is sequence). */
  PAPO_METRIC_clipFractionLow = 14, /* Share of tokens with ratio below 1 - ε_low and a negative advantage (of responses where ratioLevel is sequence). */
  PAPO_METRIC_dualClipFraction = 15, /* Share of tokens cut by dualClip. */
  PAPO_METRIC_ratioMean = 16, /* Token mean of the importance ratio. */
  PAPO_METRIC_ratioMin = 17, /* Smallest importance ratio. */
  PAPO_METRIC_ratioMax = 18, /* Largest importance ratio. */
  PAPO_METRIC_perceptionKlMean = 19, /* Token mean of the perception KL before weights, selection and cap. */
  PAPO_METRIC_perceptionKlVariance = 20, /* Variance of the same over counted tokens, divided by their number. */
  PAPO_METRIC_perceptionKlMax = 21, /* Largest value of the same. */
  PAPO_METRIC_meanEntropy = 22, /* Token mean of the exact entropies of the image branch; NaN where they are not known. */
  PAPO_METRIC_meanMaskedEntropy = 23, /* Token mean of the exact entropies of the masked-image branch; NaN where they are not known. */
  PAPO_METRIC_nonFiniteRows = 24, /* Counted rows with a NaN or infinite log-prob, entropy, KL, advantage or weight. */
  PAPO_METRIC_tokenCount = 25, /* Rows with responseMask 1. */
  PAPO_METRIC_responseCount = 26, /* Responses, empty ones included. */
  PAPO_METRIC_gradNorm = 27, /* L2 norm of both logits gradients together; NaN where it was not asked for. */
  PAPO_METRIC_COUNT = 28
} papo_metric;

#endif
