import type { ProfileName } from '../loss/objective-table'
import type { CaseObjective, Dialect } from './case'
import type { Fields } from './fields'

const estimators = { kl: 'k1', abs: 'abs', mse: 'k2', low_var_kl: 'k3' } as const
const estimatorNames = ['kl', 'abs', 'mse', 'low_var_kl'] as const

/** What a case's denominators are counted from. */
export interface Counts {
  readonly responses: number
  readonly validTokens: number
}

/** `config` of a loss case in the names of this library (test/golden/FORMAT.md, 3 to 5). */
export function objectiveOf(
  dialect: Dialect,
  config: Fields,
  temperature: number,
  counts: Counts,
): CaseObjective {
  if (dialect === 'papo') return { ...papo(config), temperature }
  const common = { ...trlPolicy(config, counts), temperature }
  if (dialect === 'trl_papo') return { ...common, ...trlPerception(config) }
  return { ...common, ...trlEntropyBonus(config, counts) }
}

function papo(config: Fields): CaseObjective {
  return {
    profile: papoProfile(config),
    clipRatioLow: config.number('clipRatioLow'),
    clipRatioHigh: config.number('clipRatioHigh'),
    dualClip: config.number('clipRatioDual'),
    logRatioClamp: 20,
    refKlCoef: config.boolean('useKlLoss') ? config.number('klCoef') : 0,
    refKlEstimator: estimators[config.choice('klPenalty', estimatorNames)],
    ...papoPerception(config),
    sftCoef: config.boolean('useSftLoss') ? config.number('sftLossCoef') : 0,
    reduction: config.choice('lossAvgMode', ['token', 'seq']) === 'seq' ? 'sequence' : 'token',
    countEpsilon: 1e-8,
  }
}

/** The authors' grpo and dapo advantages are the same; the name tells the scripts apart. */
function papoProfile(config: Fields): ProfileName {
  const dapo = config.choice('advEstimator', ['grpo', 'dapo']) === 'dapo'
  if (config.boolean('useKlPrcp')) return dapo ? 'papoD' : 'papoG'
  return dapo ? 'dapo' : 'grpo'
}

/** An annealed coefficient also discounts both entropy terms; without perception term by 1. */
function papoPerception(config: Fields): Partial<CaseObjective> {
  const on = config.boolean('useKlPrcp')
  const coef = config.number('klPrcpCoef')
  const current = config.optionalNumber('klPrcpCoefCurrent') ?? coef
  const discount = on ? current / coef : 1
  const entropy = (flag: string, name: string) =>
    config.boolean(flag) ? config.number(name) * discount : 0
  return {
    perceptionKlCoef: on ? current : 0,
    perceptionKlEstimator: estimators[config.choice('klPrcpPenalty', estimatorNames)],
    perceptionRatio: 'released',
    perceptionGradient: config.boolean('recomputeAugLogProbs') ? 'both' : 'policy',
    perceptionTopFraction: config.boolean('useKlPrcpTokenLevelMask')
      ? config.number('klPrcpTokenLevelMaskTopP')
      : 1,
    perceptionKlCap: config.boolean('useKlPrcpClipping') ? config.number('klPrcpClipping') : 'off',
    entropyCoef: entropy('useOriEntropyLoss', 'oriEntropyLossCoef'),
    maskedEntropyCoef: on ? entropy('useAugEntropyLoss', 'augEntropyLossCoef') : 0,
  }
}

function trlPolicy(config: Fields, counts: Counts): CaseObjective {
  const level = config.choice('importanceSamplingLevel', ['token', 'sequence'])
  return {
    profile: 'drGrpo',
    ...trlClip(config),
    ratioCap: config.optionalNumber('delta') ?? 'off',
    ratioLevel: level,
    topEntropyFraction: config.number('topEntropyQuantile'),
    refKlCoef: config.number('beta'),
    klLogRatioClamp: 'off',
    klValueClamp: 'off',
    countEpsilon: 0,
    ...trlReduction(config, counts),
  }
}

/** cispo gives its cap as it is; here the cap is 1 + clipRatioHigh. */
function trlClip(config: Fields): Partial<CaseObjective> {
  const high = config.number('epsilonHigh')
  if (lossType(config) === 'cispo') {
    return { surrogate: 'cispo', clipRatioLow: 1, clipRatioHigh: high - 1 }
  }
  return { clipRatioLow: config.number('epsilonLow'), clipRatioHigh: high }
}

/** Accumulation steps multiply the denominator; without them the library counts it. */
function trlReduction(config: Fields, counts: Counts): Partial<CaseObjective> {
  const steps = config.count('gradientAccumulationSteps')
  const over = (count: number) => (steps === 1 ? {} : { normalizer: Math.max(count, 1) * steps })
  switch (lossType(config)) {
    case 'grpo':
      return { reduction: 'sequence', ...over(counts.responses) }
    case 'bnpo':
      return { reduction: 'token', ...over(counts.validTokens) }
    case 'dr_grpo': {
      const maxLength = config.count('maxCompletionLength')
      return { reduction: 'constant', maxLength, ...over(counts.responses * maxLength) }
    }
    default: {
      const items = Math.max(config.number('numItemsInBatch'), 1)
      return { reduction: 'token', normalizer: items / config.count('numProcesses') }
    }
  }
}

function lossType(config: Fields): string {
  return config.choice('lossType', ['grpo', 'bnpo', 'dr_grpo', 'dapo', 'cispo'])
}

/** Perception and entropy terms are means over all B·T positions, padding included. */
function trlPerception(config: Fields): Partial<CaseObjective> {
  return {
    perceptionKlCoef: config.number('perceptionLossWeight'),
    perceptionRatio: 'released',
    perceptionGradient: 'both',
    perceptionKlCap: config.optionalNumber('perceptionKlClampMax') ?? 'off',
    entropyCoef: config.number('derLossWeight1'),
    maskedEntropyCoef: config.number('derLossWeight2'),
    entropyEstimator: 'exact',
    entropyGradient: config.boolean('entropyGradient'),
    paddingInAuxiliaryTerms: true,
  }
}

/**
 * A bonus, so a negative coefficient; divided by the accumulation steps like the policy term. Its
 * mean is over the valid tokens that topEntropyQuantile keeps, whatever the policy term's count.
 */
function trlEntropyBonus(config: Fields, counts: Counts): Partial<CaseObjective> {
  const coef = config.number('entropyCoef')
  const ownCount = coef !== 0 && config.number('topEntropyQuantile') === 1
  return {
    entropyCoef: coef === 0 ? 0 : -coef / config.count('gradientAccumulationSteps'),
    entropyEstimator: 'exact',
    topEntropyScope: 'policyAndEntropy',
    ...(ownCount ? { tokenNormalizer: Math.max(counts.validTokens, 1) } : {}),
    refKlRatioCorrection: config.boolean('useBiasCorrectionKl'),
  }
}
