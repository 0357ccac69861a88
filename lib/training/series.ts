import { invalid } from '../errors'
import { stateArray, stateInteger, stateNumber, stateNumberOrNull, stateObject } from './state'

export interface SeriesOptions {
  /** Values behind the first baseline; five times as many are behind the estimate of noise. */
  readonly window: number
  /** Weight of the newest value in the moving average. */
  readonly smoothing: number
}

export interface SeriesState {
  /** The last values, oldest first, at most five windows of them. */
  recent: number[]
  /** Both null: fewer than window values yet. */
  smoothed: number | null
  baseline: number | null
  /** Values in a row beyond the threshold. */
  streak: number
  /** Step at which the streak began; null: none. */
  since: number | null
}

const seriesKeys = ['recent', 'smoothed', 'baseline', 'streak', 'since'] as const

// From one window of 20 the estimate is now and then less than half of what it should be.
const noiseWindows = 5

/** One metric over the steps at which it was there. */
export class Series {
  #recent: number[] = []
  #smoothed: number | null = null
  #streak = 0
  #since: number | null = null
  #noise = 0
  #baseline: number | null = null

  constructor(private readonly options: SeriesOptions) {}

  get smoothed(): number | null {
    return this.#smoothed
  }

  /** null: fewer than window values yet. */
  get baseline(): number | null {
    return this.#baseline
  }

  get streak(): number {
    return this.#streak
  }

  get since(): number | null {
    return this.#since
  }

  add(value: number): void {
    const { window, smoothing } = this.options
    this.#recent.push(value + 0) // -0 would not survive JSON
    if (this.#recent.length > noiseWindows * window) this.#recent.shift()
    if (this.#recent.length < window) return
    // The average begins with the first baseline and not with the first value, which may be off.
    this.#baseline ??= median(this.#recent)
    const last = this.#smoothed ?? this.#baseline
    // A single outlier is never the median of three, however large it is.
    this.#smoothed = last + smoothing * (median(this.#recent.slice(-3)) - last)
    this.#noise = noiseOf(this.#recent)
  }

  /** Standard deviation of the values around their trend. */
  get noise(): number {
    return this.#noise
  }

  /** Moves the baseline to the smoothed value where told to; says whether it was. */
  moveBaseline(isDue: (smoothed: number, baseline: number) => boolean): boolean {
    const [smoothed, baseline] = [this.#smoothed, this.#baseline]
    if (smoothed === null || baseline === null || !isDue(smoothed, baseline)) return false
    this.#baseline = smoothed
    return true
  }

  /** Whether the newest value took the series beyond its threshold. */
  judge(isBeyond: boolean, step: number): void {
    this.#streak = isBeyond ? this.#streak + 1 : 0
    if (!isBeyond) this.#since = null
    else this.#since ??= step
  }

  toJSON(): SeriesState {
    return {
      recent: [...this.#recent],
      smoothed: this.#smoothed,
      baseline: this.#baseline,
      streak: this.#streak,
      since: this.#since,
    }
  }

  restore(name: string, value: unknown): void {
    const state = stateObject(name, value, seriesKeys)
    this.#recent = stateArray(name, state.recent).map((number) => stateNumber(name, number))
    this.#smoothed = stateNumberOrNull(name, state.smoothed)
    this.#baseline = stateNumberOrNull(name, state.baseline)
    this.#streak = stateInteger(name, state.streak, 0)
    this.#since = state.since === null ? null : stateInteger(name, state.since, 0)
    this.#noise = noiseOf(this.#recent)
    this.#requireWhole(name)
  }

  #requireWhole(name: string): void {
    const { length } = this.#recent
    const { window } = this.options
    const isWhole =
      length <= noiseWindows * window &&
      (this.#smoothed === null) === length < window &&
      (this.#baseline === null) === length < window &&
      (this.#since === null) === (this.#streak === 0)
    if (!isWhole)
      throw invalid('ERR_INVALID_VALUE', 'state', `${name} with its averages`, 'parts of it')
  }
}

/** From successive differences and their median: neither a trend nor an outlier counts for much. */
function noiseOf(values: readonly number[]): number {
  if (values.length < 2) return 0
  const differences = values.slice(1).map((value, i) => Math.abs(value - values[i]!))
  // Median of |x| of a normal distribution: 0.6745 standard deviations; a difference has two.
  return median(differences) / (0.6745 * Math.SQRT2)
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort() // by number, without a callback
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
