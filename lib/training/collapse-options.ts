import type { Metrics } from '../loss/objective-table'
import { describe, invalid } from '../errors'
import { requireInteger, requireKeys, requireNumber } from '../options'

/** What the monitor follows. */
export type WatchedMetric =
  | 'perceptionKl'
  /** The perception KL again, but since the reward was best. */
  | 'unrewardedKl'
  | 'perceptionKlVariance'
  | 'entropy'
  | 'maskedEntropy'
  | 'clipFractionHigh'
  | 'reward'

/** How far from its baseline a smoothed value is a sign; the larger of both counts. */
export interface Threshold {
  /** Share of the baseline. */
  relative: number
  /** In the unit of the metric. */
  absolute: number
}

export interface CollapseMonitorOptions {
  /** Values behind the first baseline, their median; five times as many for the noise. Default 20. */
  window?: number
  /** Weight of the newest value in the moving average, above 0 to 1. Default 0.2. */
  smoothing?: number
  /** Values in a row beyond the threshold that make a sign. Default 3. */
  patience?: number
  /** Standard deviations of noise that a value has to be from its baseline. Default 4. */
  noise?: number
  /** Default: {@link collapseThresholds}; the metrics named here take others. */
  thresholds?: Partial<Record<WatchedMetric, Partial<Threshold>>>
}

export interface CollapseSettings {
  readonly window: number
  readonly smoothing: number
  readonly patience: number
  readonly noise: number
  readonly thresholds: Readonly<Record<WatchedMetric, Readonly<Threshold>>>
}

/**
 * Defaults. Where a figure is not the paper's it is set so that ordinary scatter and drift stay
 * inside: docs/training.md says why for each.
 */
export const collapseThresholds: Readonly<Record<WatchedMetric, Readonly<Threshold>>> =
  Object.freeze({
    perceptionKl: Object.freeze({ relative: 0.5, absolute: 0.01 }),
    unrewardedKl: Object.freeze({ relative: 0.75, absolute: 0.01 }),
    perceptionKlVariance: Object.freeze({ relative: 3, absolute: 0.001 }),
    entropy: Object.freeze({ relative: 0.5, absolute: 0.05 }),
    maskedEntropy: Object.freeze({ relative: 0.5, absolute: 0.05 }),
    clipFractionHigh: Object.freeze({ relative: 1, absolute: 0.005 }),
    reward: Object.freeze({ relative: 0.2, absolute: 0.05 }),
  })

export const watched = Object.keys(collapseThresholds) as readonly WatchedMetric[]

const optionNames = new Set(['window', 'smoothing', 'patience', 'noise', 'thresholds'])
const metricSet = new Set<string>(watched)
const thresholdNames = new Set(['relative', 'absolute'])

export function requireCollapseSettings(options: CollapseMonitorOptions): CollapseSettings {
  requireKeys('options', options, optionNames)
  const smoothing = requireNumber('smoothing', options.smoothing, 0.2, 0, 1)
  if (smoothing === 0)
    throw invalid('ERR_INVALID_OPTION', 'smoothing', 'a number above 0', describe(smoothing))
  return {
    window: requireInteger('window', options.window, 20, 3, 10_000),
    smoothing,
    patience: requireInteger('patience', options.patience, 3, 1),
    noise: requireNumber('noise', options.noise, 4, 0),
    thresholds: requireThresholds(options.thresholds),
  }
}

function requireThresholds(value: CollapseMonitorOptions['thresholds'] = {}) {
  requireKeys('thresholds', value, metricSet)
  const entries = watched.map((name) => {
    const given = value[name] ?? {}
    requireKeys(name, given, thresholdNames)
    const { relative, absolute } = collapseThresholds[name]
    return [
      name,
      {
        relative: requireNumber('relative', given.relative, relative, 0),
        absolute: requireNumber('absolute', given.absolute, absolute, 0),
      },
    ]
  })
  return Object.fromEntries(entries) as Record<WatchedMetric, Threshold>
}

/** The value of a loss call that a series follows; undefined where it is not there. */
export function readMetric(
  name: WatchedMetric,
  metrics: Partial<Metrics>,
  reward: number | undefined,
): number | undefined {
  const known = (value: number | undefined) => (Number.isFinite(value) ? value : undefined)
  switch (name) {
    case 'reward':
      return known(reward)
    case 'unrewardedKl':
    case 'perceptionKl': // before the cap, which would hide a rise, where that is there
      return known(metrics.perceptionKlMean) ?? known(metrics.perceptionKl)
    case 'entropy':
      return known(metrics.entropy) ?? known(metrics.meanEntropy)
    case 'maskedEntropy':
      return known(metrics.maskedEntropy) ?? known(metrics.meanMaskedEntropy)
    default:
      return known(metrics[name])
  }
}
