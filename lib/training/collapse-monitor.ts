import { describe, invalid } from '../errors'
import { metricNames } from '../loss/objective-table'
import type { Metrics } from '../loss/objective-table'
import { requireInteger, requireKeys } from '../options'
import { readMetric, requireCollapseSettings, watched } from './collapse-options'
import type { CollapseMonitorOptions, CollapseSettings, WatchedMetric } from './collapse-options'
import { nameSigns, remediesOf, statusNames, statusOf, signNames } from './collapse-signs'
import type { CollapseReport, FirstSteps, Level } from './collapse-signs'
import { Series } from './series'
import type { SeriesState } from './series'
import { requireSameOptions, stateInteger, stateObject } from './state'

export interface CollapseObservation {
  /** Greater than that of the observation before; steps in between may be missing. */
  step: number
  /** Of the loss call. Metrics that are missing or not finite are skipped. */
  metrics: Partial<Metrics>
  /** Mean reward of the step, if it is to be followed. */
  reward?: number
}

/** What JSON.stringify writes of a monitor. */
export interface CollapseMonitorState {
  options: CollapseSettings
  /** null: no observation yet. */
  step: number | null
  firstSteps: FirstSteps
  series: Record<WatchedMetric, SeriesState>
}

const observationNames = new Set(['step', 'metrics', 'reward'])
const knownMetrics = new Set<string>(metricNames)
const firstStepNames = new Set<string>([...signNames, ...statusNames])

/**
 * Watches the metrics of loss calls for perception collapse (arXiv 2507.06448): the policy
 * drives the perception KL up by noise instead of by looking, both entropies and the share of
 * tokens clipped above rise with it, and at last the reward falls.
 *
 * Our perceptionKl is positive and bigger where the image is used more, so it rises in a collapse;
 * the paper plots the loss, its negative, which falls. docs/training.md has the rules.
 *
 * @example
 * const monitor = new CollapseMonitor()
 * const { status, signs } = monitor.observe({ step, metrics, reward })
 * if (status !== 'healthy') console.warn(step, status, signs.map(({ sentence }) => sentence))
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export class CollapseMonitor {
  readonly #settings: CollapseSettings
  readonly #series: Readonly<Record<WatchedMetric, Series>>
  #step: number | null = null
  #firstSteps: FirstSteps = {}

  constructor(options: CollapseMonitorOptions = {}) {
    this.#settings = requireCollapseSettings(options)
    const entries = watched.map((name) => [name, new Series(this.#settings)])
    this.#series = Object.fromEntries(entries) as Record<WatchedMetric, Series>
  }

  /**
   * A monitor that goes on where the saved one was, under the same options.
   *
   * @throws PapoError ERR_INVALID_VALUE where the state is damaged or was saved under other options
   */
  static fromJSON(state: unknown, options: CollapseMonitorOptions = {}): CollapseMonitor {
    const monitor = new CollapseMonitor(options)
    monitor.#restore(state)
    return monitor
  }

  /**
   * Takes over the metrics of one step and says what they show.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT (an unknown key), ERR_INVALID_OPTION (not a step),
   * ERR_INVALID_VALUE (a step that does not follow, a metric that is not a number)
   */
  observe(observation: CollapseObservation): CollapseReport {
    requireKeys('observation', observation, observationNames, 'ERR_INVALID_ARGUMENT')
    const { metrics, reward } = observation
    const step = this.#requireNext(observation.step)
    requireMetrics(metrics, reward)
    this.#step = step
    for (const name of watched) {
      const value = readMetric(name, metrics, reward)
      if (value !== undefined) this.#series[name].add(value)
    }
    this.#moveBaselines()
    for (const name of watched) {
      if (readMetric(name, metrics, reward) !== undefined)
        this.#series[name].judge(this.#isBeyond(name), step)
    }
    return this.#report(step, metrics.nonFiniteRows)
  }

  /** Everything needed to go on: {@link CollapseMonitor.fromJSON}. */
  toJSON(): CollapseMonitorState {
    const series = watched.map((name) => [name, this.#series[name].toJSON()])
    return {
      options: structuredClone(this.#settings),
      step: this.#step,
      firstSteps: { ...this.#firstSteps },
      series: Object.fromEntries(series) as Record<WatchedMetric, SeriesState>,
    }
  }

  #requireNext(value: number): number {
    const step = requireInteger('step', value, undefined, 0)
    if (this.#step !== null && step <= this.#step)
      throw invalid('ERR_INVALID_VALUE', 'step', `a step after ${this.#step}`, describe(step))
    return step
  }

  // Together means since the same time. A policy that sharpens lowers what counts as a rise of its
  // entropy, and what the others did up to then says nothing: a perception KL that grew while the
  // entropy fell is the objective at work. So at each new low of the entropy all begin anew; and
  // each follows its own lows, the reward its highs. In the same way a perception KL that grew while
  // the reward did is worth its price; without a reward nobody can tell.
  #moveBaselines(): void {
    const { entropy, reward, unrewardedKl, ...rising } = this.#series
    const isLow = entropy.moveBaseline((smoothed, baseline) => smoothed < baseline)
    for (const series of Object.values(rising))
      series.moveBaseline((smoothed, baseline) => isLow || smoothed < baseline)
    const isBest = reward.moveBaseline((smoothed, baseline) => smoothed >= baseline)
    unrewardedKl.moveBaseline(
      (smoothed, baseline) => isBest || reward.baseline === null || smoothed < baseline,
    )
  }

  #threshold(name: WatchedMetric, baseline: number): number {
    const { relative, absolute } = this.#settings.thresholds[name]
    const noise = this.#settings.noise * this.#series[name].noise
    const distance = Math.max(relative * Math.abs(baseline), absolute, noise)
    return name === 'reward' ? baseline - distance : baseline + distance
  }

  #isBeyond(name: WatchedMetric): boolean {
    const { baseline, smoothed } = this.#series[name]
    if (baseline === null || smoothed === null) return false
    const threshold = this.#threshold(name, baseline)
    return name === 'reward' ? smoothed < threshold : smoothed > threshold
  }

  #level(name: WatchedMetric): Level | undefined {
    const { baseline, smoothed, streak, since } = this.#series[name]
    if (baseline === null || smoothed === null) return undefined
    const isOn = since !== null && streak >= this.#settings.patience
    const threshold = this.#threshold(name, baseline)
    return { value: smoothed, baseline, threshold, since: isOn ? since : null }
  }

  #report(step: number, nonFiniteRows: number | undefined): CollapseReport {
    const levels = Object.fromEntries(watched.map((name) => [name, this.#level(name)]))
    const signs = nameSigns(levels, step, nonFiniteRows)
    const status = statusOf(signs)
    const reached = status === 'collapse' ? statusNames : status === 'warning' ? ['warning'] : []
    for (const name of [...signs.map((sign) => sign.name), ...reached])
      this.#firstSteps[name as keyof FirstSteps] ??= step
    const remedies = remediesOf(signs)
    const report = { status, signs, step, firstSteps: { ...this.#firstSteps } }
    return remedies === undefined ? report : { ...report, remedies }
  }

  #restore(value: unknown): void {
    const state = stateObject('state', value, ['options', 'step', 'firstSteps', 'series'])
    requireSameOptions(state.options, this.#settings)
    this.#step = state.step === null ? null : stateInteger('step', state.step, 0)
    requireKeys('state', state.firstSteps, firstStepNames, 'ERR_INVALID_VALUE')
    for (const [name, step] of Object.entries(state.firstSteps as object))
      this.#firstSteps[name as keyof FirstSteps] = stateInteger(name, step, 0)
    const series = stateObject('series', state.series, watched)
    for (const name of watched) this.#series[name].restore(name, series[name])
  }
}

function requireMetrics(metrics: Partial<Metrics>, reward: number | undefined): void {
  requireKeys('metrics', metrics, knownMetrics, 'ERR_INVALID_ARGUMENT')
  for (const [name, value] of [...Object.entries(metrics), ['reward', reward] as const])
    if (value !== undefined && typeof value !== 'number')
      throw invalid('ERR_INVALID_VALUE', name, 'a number', describe(value))
}
