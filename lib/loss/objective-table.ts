// Generated from native/loss/options.json by scripts/generate-options.mjs; edit that list.

/** Every option of the objective. Symbols and formulas: docs/math.md. */
export interface ObjectiveOptions {
  /** Logits of both branches are divided by this before the softmax. Range: > 0. Default: `1`. */
  temperature: number
  /** ε_low: the ratio is clipped below at 1 - ε_low (arXiv 2503.14476). Range: ≥ 0, ≤ 1. Default: `0.2`. */
  clipRatioLow: number
  /** ε_high: the ratio is clipped above at 1 + ε_high; for the cispo surrogate the cap itself is 1 + ε_high. Range: ≥ 0. Default: `0.2`. */
  clipRatioHigh: number
  /** c: with a negative advantage the token loss is at most -A·c (arXiv 1912.09729). Range: > 1, or `off`. Default: `off`. */
  dualClip: number | 'off'
  /** The unclipped ratio is limited to this value, without gradient beyond it (delta in TRL). Range: > 0, or `off`. Default: `off`. */
  ratioCap: number | 'off'
  /** The log-ratio logProbs - oldLogProbs is clamped to ± this value; off means ±80, where e^x still fits float32. Range: > 0, or `off`. Default: `off`. */
  logRatioClamp: number | 'off'
  /** Importance ratio of each token, or exp of the mean log-ratio of the response (GSPO, arXiv 2507.18071). Range: `token`, `sequence`. Default: `token`. */
  ratioLevel: 'token' | 'sequence'
  /** Clipped surrogate, or the clipped ratio as a constant weight on the log-prob (CISPO, arXiv 2506.13585). Range: `clip`, `cispo`. Default: `clip`. */
  surrogate: 'clip' | 'cispo'
  /** The policy term counts only the tokens whose exact entropy is in this top fraction of the call's counted tokens; 1 counts all. Range: > 0, ≤ 1. Default: `1`. */
  topEntropyFraction: number
  /** Whether topEntropyFraction also selects the tokens over which the entropy term is averaged. Range: `policy`, `policyAndEntropy`. Default: `policy`. */
  topEntropyScope: 'policy' | 'policyAndEntropy'
  /** β: weight of the reference KL; added. Range: ≥ 0. Default: `0`. */
  refKlCoef: number
  /** Point estimate of KL(policy, reference) at the sampled token. Range: `k1`, `abs`, `k2`, `k3`. Default: `k3`. */
  refKlEstimator: 'k1' | 'abs' | 'k2' | 'k3'
  /** The reference KL of a token is multiplied by its importance ratio, with gradient through the ratio. Range: `true`, `false`. Default: `false`. */
  refKlRatioCorrection: boolean
  /** γ: weight of the implicit perception KL; subtracted, that is, maximised. Range: ≥ 0. Default: `0`. */
  perceptionKlCoef: number
  /** Point estimate at the sampled token, or the exact KL over the vocabulary. Range: `k1`, `abs`, `k2`, `k3`, `exact`. Default: `k3`. */
  perceptionKlEstimator: 'k1' | 'abs' | 'k2' | 'k3' | 'exact'
  /** Ratio inside k3: π_masked/π as in the released code, or π/π_masked as in the paper. The other estimators do not depend on it. Range: `released`, `paper`. Default: `released`. */
  perceptionRatio: 'released' | 'paper'
  /** Masked branch as a constant, or gradient through both branches. Range: `policy`, `both`. Default: `policy`. */
  perceptionGradient: 'policy' | 'both'
  /** The perception KL of a token is clamped to [0, cap], after weights and selection. Range: > 0, or `off`. Default: `off`. */
  perceptionKlCap: number | 'off'
  /** Per response, only tokens at or above the (1 - fraction) quantile of the perception KL keep it; 1 keeps all. Range: > 0, ≤ 1. Default: `1`. */
  perceptionTopFraction: number
  /** The log-ratio inside k3 is clamped to ± this value; off means ±80. Range: > 0, or `off`. Default: `20`. */
  klLogRatioClamp: number | 'off'
  /** The value of k3 is clamped to ± this value. Range: > 0, or `off`. Default: `10`. */
  klValueClamp: number | 'off'
  /** η1: weight of the entropy of the image branch; added, so a positive value pushes the entropy down and a negative one is a bonus. Range: finite. Default: `0`. */
  entropyCoef: number
  /** η2: weight of the entropy of the masked-image branch; added. Range: finite. Default: `0`. */
  maskedEntropyCoef: number
  /** -logProbs of the sampled tokens, or the entropy over the vocabulary. Range: `sampled`, `exact`. Default: `sampled`. */
  entropyEstimator: 'sampled' | 'exact'
  /** false: the entropy terms enter the value of the loss and no gradient (TRL's released behaviour). Range: `true`, `false`. Default: `true`. */
  entropyGradient: boolean
  /** Weight of the supervised term, the mean of -logProbs over the tokens of the responses in sftMask. Range: ≥ 0. Default: `0`. */
  sftCoef: number
  /** Token mean; mean of response means; or sum over responses·maxLength (Dr. GRPO, arXiv 2503.20783). Range: `token`, `sequence`, `constant`. Default: `token`. */
  reduction: 'token' | 'sequence' | 'constant'
  /** true: perception and entropy terms average over all rows, those with responseMask 0 included (TRL's released behaviour). Range: `true`, `false`. Default: `false`. */
  paddingInAuxiliaryTerms: boolean
  /** Response length in the denominator of the constant reduction. Range: > 0, or `unset`. Default: `unset`. */
  maxLength: number | 'unset'
  /** Global denominator of the terms averaged by reduction: tokens, responses or responses·maxLength of the whole batch. Unset: counted from this call. Range: > 0, or `unset`. Default: `unset`. */
  normalizer: number | 'unset'
  /** Global denominator of the entropy terms, which are always token means. Unset: normalizer where reduction is token, else counted from this call. Range: > 0, or `unset`. Default: `unset`. */
  tokenNormalizer: number | 'unset'
  /** Global denominator of the supervised term. Unset: counted from this call. Range: > 0, or `unset`. Default: `unset`. */
  sftNormalizer: number | 'unset'
  /** Added to every counted denominator (1e-8 in the authors' code, 0 in TRL); a count of zero always gives a mean of zero. Range: ≥ 0. Default: `1e-8`. */
  countEpsilon: number
  /** Multiplies the loss and every gradient, not the terms: 1/steps of accumulation, a loss scale, an upstream gradient. Range: finite. Default: `1`. */
  lossScale: number
}

/** Named option sets, each tied to reference cases of the code it stands for (docs/options.md). */
export type ProfileName =
  | 'grpo'
  | 'dapo'
  | 'papoG'
  | 'papoG3b'
  | 'papoGNoRef'
  | 'papoD'
  | 'papoPaper'
  | 'papoExact'
  | 'trlPapo'
  | 'drGrpo'
  | 'gspo'
  | 'cispo'

/** Scalars of one loss call; all in nats where they are log-probs, KLs or entropies. */
export interface Metrics {
  /** lossScale times the sum of the weighted terms. */
  loss: number
  /** Policy term, unweighted. */
  policy: number
  /** Reference KL term, unweighted. */
  refKl: number
  /** Perception KL term after weights, selection and cap, unweighted; bigger means more use of the image. */
  perceptionKl: number
  /** Entropy term of the image branch by entropyEstimator, unweighted. */
  entropy: number
  /** Entropy term of the masked-image branch by entropyEstimator, unweighted. */
  maskedEntropy: number
  /** Supervised term, unweighted. */
  sft: number
  /** refKlCoef · refKl. */
  weightedRefKl: number
  /** -perceptionKlCoef · perceptionKl. */
  weightedPerceptionKl: number
  /** entropyCoef · entropy. */
  weightedEntropy: number
  /** maskedEntropyCoef · maskedEntropy. */
  weightedMaskedEntropy: number
  /** sftCoef · sft. */
  weightedSft: number
  /** Token mean of oldLogProbs - logProbs, after logRatioClamp. */
  approxKl: number
  /** Share of tokens with ratio above 1 + ε_high and a positive advantage (of responses where ratioLevel is sequence). */
  clipFractionHigh: number
  /** Share of tokens with ratio below 1 - ε_low and a negative advantage (of responses where ratioLevel is sequence). */
  clipFractionLow: number
  /** Share of tokens cut by dualClip. */
  dualClipFraction: number
  /** Token mean of the importance ratio. */
  ratioMean: number
  /** Smallest importance ratio. */
  ratioMin: number
  /** Largest importance ratio. */
  ratioMax: number
  /** Token mean of the perception KL before weights, selection and cap. */
  perceptionKlMean: number
  /** Variance of the same over counted tokens, divided by their number. */
  perceptionKlVariance: number
  /** Largest value of the same. */
  perceptionKlMax: number
  /** Token mean of the exact entropies of the image branch; NaN where they are not known. */
  meanEntropy: number
  /** Token mean of the exact entropies of the masked-image branch; NaN where they are not known. */
  meanMaskedEntropy: number
  /** Counted rows with a NaN or infinite log-prob, entropy, KL, advantage or weight. */
  nonFiniteRows: number
  /** Rows with responseMask 1. */
  tokenCount: number
  /** Responses, empty ones included. */
  responseCount: number
  /** L2 norm of both logits gradients together; NaN where it was not asked for. */
  gradNorm: number
}

export interface OptionRow {
  readonly name: keyof ObjectiveOptions
  readonly type: 'number' | 'enum' | 'boolean'
  readonly initial: number | string | boolean
  readonly values?: readonly string[]
  readonly min?: number
  readonly above?: number
  readonly max?: number
  /** A word that is accepted in place of a number. */
  readonly word?: 'off' | 'unset'
}

/** In the order of the C struct. */
export const optionRows: readonly OptionRow[] = [
  { name: 'temperature', type: 'number', initial: 1, above: 0 },
  { name: 'clipRatioLow', type: 'number', initial: 0.2, min: 0, max: 1 },
  { name: 'clipRatioHigh', type: 'number', initial: 0.2, min: 0 },
  { name: 'dualClip', type: 'number', initial: 'off', above: 1, word: 'off' },
  { name: 'ratioCap', type: 'number', initial: 'off', above: 0, word: 'off' },
  { name: 'logRatioClamp', type: 'number', initial: 'off', above: 0, word: 'off' },
  { name: 'ratioLevel', type: 'enum', initial: 'token', values: ['token', 'sequence'] },
  { name: 'surrogate', type: 'enum', initial: 'clip', values: ['clip', 'cispo'] },
  { name: 'topEntropyFraction', type: 'number', initial: 1, above: 0, max: 1 },
  { name: 'topEntropyScope', type: 'enum', initial: 'policy', values: ['policy', 'policyAndEntropy'] },
  { name: 'refKlCoef', type: 'number', initial: 0, min: 0 },
  { name: 'refKlEstimator', type: 'enum', initial: 'k3', values: ['k1', 'abs', 'k2', 'k3'] },
  { name: 'refKlRatioCorrection', type: 'boolean', initial: false },
  { name: 'perceptionKlCoef', type: 'number', initial: 0, min: 0 },
  { name: 'perceptionKlEstimator', type: 'enum', initial: 'k3', values: ['k1', 'abs', 'k2', 'k3', 'exact'] },
  { name: 'perceptionRatio', type: 'enum', initial: 'released', values: ['released', 'paper'] },
  { name: 'perceptionGradient', type: 'enum', initial: 'policy', values: ['policy', 'both'] },
  { name: 'perceptionKlCap', type: 'number', initial: 'off', above: 0, word: 'off' },
  { name: 'perceptionTopFraction', type: 'number', initial: 1, above: 0, max: 1 },
  { name: 'klLogRatioClamp', type: 'number', initial: 20, above: 0, word: 'off' },
  { name: 'klValueClamp', type: 'number', initial: 10, above: 0, word: 'off' },
  { name: 'entropyCoef', type: 'number', initial: 0 },
  { name: 'maskedEntropyCoef', type: 'number', initial: 0 },
  { name: 'entropyEstimator', type: 'enum', initial: 'sampled', values: ['sampled', 'exact'] },
  { name: 'entropyGradient', type: 'boolean', initial: true },
  { name: 'sftCoef', type: 'number', initial: 0, min: 0 },
  { name: 'reduction', type: 'enum', initial: 'token', values: ['token', 'sequence', 'constant'] },
  { name: 'paddingInAuxiliaryTerms', type: 'boolean', initial: false },
  { name: 'maxLength', type: 'number', initial: 'unset', above: 0, word: 'unset' },
  { name: 'normalizer', type: 'number', initial: 'unset', above: 0, word: 'unset' },
  { name: 'tokenNormalizer', type: 'number', initial: 'unset', above: 0, word: 'unset' },
  { name: 'sftNormalizer', type: 'number', initial: 'unset', above: 0, word: 'unset' },
  { name: 'countEpsilon', type: 'number', initial: 1e-8, min: 0 },
  { name: 'lossScale', type: 'number', initial: 1 },
]

export const profileSettings: Readonly<Record<ProfileName, Partial<ObjectiveOptions>>> = {
  /** GRPO as in the authors' trainer: dual clip, reference KL, no perception term. */
  grpo: { clipRatioHigh: 0.3, dualClip: 3, logRatioClamp: 20, refKlCoef: 0.01 },
  /** DAPO as in the authors' trainer: clip higher, no reference KL. */
  dapo: { clipRatioHigh: 0.28, dualClip: 3, logRatioClamp: 20 },
  /** PAPO-G, released code, 7B settings with double entropy. */
  papoG: { clipRatioHigh: 0.3, dualClip: 3, logRatioClamp: 20, refKlCoef: 0.01, perceptionKlCoef: 0.02, entropyCoef: 0.05, maskedEntropyCoef: 0.05 },
  /** PAPO-G, released code, 3B settings: no entropy terms. */
  papoG3b: { clipRatioHigh: 0.3, dualClip: 3, logRatioClamp: 20, refKlCoef: 0.01, perceptionKlCoef: 0.02 },
  /** PAPO-G without reference KL. */
  papoGNoRef: { clipRatioHigh: 0.3, dualClip: 3, logRatioClamp: 20, perceptionKlCoef: 0.01, entropyCoef: 0.03, maskedEntropyCoef: 0.03 },
  /** PAPO-D: clip higher, no reference KL, double entropy. */
  papoD: { clipRatioHigh: 0.28, dualClip: 3, logRatioClamp: 20, perceptionKlCoef: 0.01, entropyCoef: 0.03, maskedEntropyCoef: 0.03 },
  /** PAPO-G by the paper's formulas to the letter: ratio π/π_masked, response means, gradient through both branches, no clamps and no dual clip. */
  papoPaper: { clipRatioHigh: 0.3, refKlCoef: 0.01, perceptionKlCoef: 0.02, perceptionRatio: 'paper', perceptionGradient: 'both', klLogRatioClamp: 'off', klValueClamp: 'off', entropyCoef: 0.05, maskedEntropyCoef: 0.05, reduction: 'sequence' },
  /** PAPO-G with the exact perception KL and exact entropies, gradient through both branches. */
  papoExact: { clipRatioHigh: 0.3, dualClip: 3, logRatioClamp: 20, refKlCoef: 0.01, perceptionKlCoef: 0.02, perceptionKlEstimator: 'exact', perceptionGradient: 'both', entropyCoef: 0.05, maskedEntropyCoef: 0.05, entropyEstimator: 'exact' },
  /** The PAPO trainer of Hugging Face TRL v0.25.0 to v1.7.1 as released. */
  trlPapo: { klLogRatioClamp: 'off', klValueClamp: 'off', perceptionKlCoef: 0.1, perceptionKlCap: 0.2, perceptionGradient: 'both', entropyCoef: 0.03, maskedEntropyCoef: 0.03, entropyEstimator: 'exact', entropyGradient: false, paddingInAuxiliaryTerms: true, reduction: 'sequence', countEpsilon: 0 },
  /** Dr. GRPO: sum over tokens divided by responses·maxLength; use advantages without the standard deviation. */
  drGrpo: { klLogRatioClamp: 'off', klValueClamp: 'off', reduction: 'constant', countEpsilon: 0 },
  /** GSPO: sequence-level ratio with its narrow clip range. */
  gspo: { ratioLevel: 'sequence', clipRatioLow: 0.0003, clipRatioHigh: 0.0004, klLogRatioClamp: 'off', klValueClamp: 'off', reduction: 'sequence', countEpsilon: 0 },
  /** CISPO: the capped ratio as a constant weight. */
  cispo: { surrogate: 'cispo', clipRatioLow: 1, clipRatioHigh: 4, klLogRatioClamp: 'off', klValueClamp: 'off', countEpsilon: 0 },
}

/** In the order of papo_metric. */
export const metricNames: readonly (keyof Metrics)[] = [
  'loss',
  'policy',
  'refKl',
  'perceptionKl',
  'entropy',
  'maskedEntropy',
  'sft',
  'weightedRefKl',
  'weightedPerceptionKl',
  'weightedEntropy',
  'weightedMaskedEntropy',
  'weightedSft',
  'approxKl',
  'clipFractionHigh',
  'clipFractionLow',
  'dualClipFraction',
  'ratioMean',
  'ratioMin',
  'ratioMax',
  'perceptionKlMean',
  'perceptionKlVariance',
  'perceptionKlMax',
  'meanEntropy',
  'meanMaskedEntropy',
  'nonFiniteRows',
  'tokenCount',
  'responseCount',
  'gradNorm',
]

/** From the array of a call. A literal: a loop over metricNames takes ten times as long. */
export function readMetrics(values: Float64Array): Metrics {
  return {
    loss: values[0]!,
    policy: values[1]!,
    refKl: values[2]!,
    perceptionKl: values[3]!,
    entropy: values[4]!,
    maskedEntropy: values[5]!,
    sft: values[6]!,
    weightedRefKl: values[7]!,
    weightedPerceptionKl: values[8]!,
    weightedEntropy: values[9]!,
    weightedMaskedEntropy: values[10]!,
    weightedSft: values[11]!,
    approxKl: values[12]!,
    clipFractionHigh: values[13]!,
    clipFractionLow: values[14]!,
    dualClipFraction: values[15]!,
    ratioMean: values[16]!,
    ratioMin: values[17]!,
    ratioMax: values[18]!,
    perceptionKlMean: values[19]!,
    perceptionKlVariance: values[20]!,
    perceptionKlMax: values[21]!,
    meanEntropy: values[22]!,
    meanMaskedEntropy: values[23]!,
    nonFiniteRows: values[24]!,
    tokenCount: values[25]!,
    responseCount: values[26]!,
    gradNorm: values[27]!,
  }
}
