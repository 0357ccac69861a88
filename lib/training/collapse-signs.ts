import type { WatchedMetric } from './collapse-options'

export type CollapseStatus = 'healthy' | 'warning' | 'collapse'

/**
 * 'risingTogether': perception KL and both entropies are up at once. 'unrewardedKl': the perception
 * KL is up since the reward was best. The others are up (the reward: down) by themselves.
 */
export type CollapseSignName = (typeof signNames)[number]

export interface CollapseSign {
  name: CollapseSignName
  /** Smoothed; of the perception KL for 'risingTogether' and 'unrewardedKl'. */
  value: number
  baseline: number
  threshold: number
  /** Step at which it began. */
  since: number
  sentence: string
}

export interface CollapseReport {
  status: CollapseStatus
  signs: CollapseSign[]
  step: number
  /** First step at which each sign and each status was there. */
  firstSteps: FirstSteps
  /** With 'risingTogether' and 'unrewardedKl': what the paper found to help. */
  remedies?: readonly string[]
}

export type FirstSteps = Partial<Record<CollapseSignName | 'warning' | 'collapse', number>>

export const signNames = [
  'risingTogether',
  'unrewardedKl',
  'clipFractionHigh',
  'perceptionKlVariance',
  'reward',
  'nonFiniteRows',
] as const
export const statusNames = ['warning', 'collapse'] as const

/** Where a metric stands; since is null where it is not a sign. */
export interface Level {
  readonly value: number
  readonly baseline: number
  readonly threshold: number
  readonly since: number | null
}

const perceptionSigns: readonly CollapseSignName[] = ['risingTogether', 'unrewardedKl']
const singleSigns = ['unrewardedKl', 'clipFractionHigh', 'perceptionKlVariance', 'reward'] as const

type Levels = Readonly<Partial<Record<WatchedMetric, Level | undefined>>>

/** The signs that are there, in the order of their names. */
export function nameSigns(
  levels: Levels,
  step: number,
  nonFiniteRows: number | undefined,
): CollapseSign[] {
  const signs: CollapseSign[] = []
  const together = risingTogether(levels)
  if (together !== undefined) signs.push(together)
  for (const name of singleSigns) {
    const level = levels[name]
    if (level === undefined || level.since === null) continue
    signs.push({ name, ...level, since: level.since, sentence: sentences[name](level) })
  }
  if (nonFiniteRows !== undefined && !(nonFiniteRows <= 0))
    signs.push(nonFinite(nonFiniteRows, step))
  return signs
}

/** docs/training.md has the same as a table. */
export function statusOf(signs: readonly CollapseSign[]): CollapseStatus {
  const has = (name: CollapseSignName) => signs.some((sign) => sign.name === name)
  const isSupported = has('clipFractionHigh') || has('perceptionKlVariance') || has('reward')
  if (has('risingTogether') && isSupported) return 'collapse'
  if (has('unrewardedKl') && has('reward')) return 'collapse'
  const warnings = [...perceptionSigns, 'reward', 'nonFiniteRows'] as const
  return warnings.some(has) ? 'warning' : 'healthy'
}

export function remediesOf(signs: readonly CollapseSign[]): readonly string[] | undefined {
  const isOfPerception = signs.some(({ name }) => perceptionSigns.includes(name))
  return isOfPerception ? collapseRemedies : undefined
}

/** Perception KL and those of the entropies that are there, one at least. */
function risingTogether(levels: Levels): CollapseSign | undefined {
  const { perceptionKl, entropy, maskedEntropy } = levels
  const uncertainties = [entropy, maskedEntropy].filter((level) => level !== undefined)
  if (perceptionKl === undefined || uncertainties.length === 0) return undefined
  let since = 0
  for (const level of [perceptionKl, ...uncertainties]) {
    if (level.since === null) return undefined
    since = Math.max(since, level.since)
  }
  const parts = [moved('perception KL', perceptionKl)]
  if (entropy !== undefined) parts.push(moved('entropy', entropy))
  if (maskedEntropy !== undefined) parts.push(moved('masked entropy', maskedEntropy))
  const sentence = `Rising together: ${parts.join(', ')} nats.`
  return { name: 'risingTogether', ...perceptionKl, since, sentence }
}

const sentences = {
  unrewardedKl: (level: Level) =>
    `Perception KL is up since the reward was best: ${moved('from', level)} nats.`,
  clipFractionHigh: (level: Level) =>
    `More tokens are clipped above: ${moved('clipFractionHigh', level)}.`,
  perceptionKlVariance: (level: Level) =>
    `The perception KL scatters: ${moved('variance', level)}, ` +
    `${shown(level.value / level.baseline)} times as much (8.4 times in the paper's collapse).`,
  reward: (level: Level) => `The reward has fallen: ${moved('smoothed mean', level)}.`,
}

function nonFinite(value: number, step: number): CollapseSign {
  const sentence = `${value} counted rows are NaN or infinite; find them before the next update.`
  return { name: 'nonFiniteRows', value, baseline: 0, threshold: 0, since: step, sentence }
}

function moved(what: string, { baseline, value }: Level): string {
  return `${what} ${shown(baseline)} to ${shown(value)}`
}

function shown(value: number): string {
  return String(Number(value.toPrecision(3)))
}

/** What the paper (arXiv 2507.06448) found to hold perception collapse off. */
export const collapseRemedies: readonly string[] = Object.freeze([
  'Lower perceptionKlCoef: at most 0.02, and at most 0.01 without a reference KL.',
  'Mask a share of 0.6 to 0.8 of the patches, not all of them.',
  'Raise entropyCoef and maskedEntropyCoef together to 0.03 or more.',
  'Keep a reference KL: refKlCoef 0.01.',
])
