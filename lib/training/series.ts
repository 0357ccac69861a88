import { stateArray, stateInteger, stateNumber, stateNumberOrNull, stateObject } from './state'

export interface SeriesOptions {
  /** Values behind the first baseline and behind the estimate of noise. */
  readonly window: number
  /** Weight of the newest value in the moving average. */
  readonly smoothing: number
}

export interface SeriesState {
  /** The last values, oldest first, at most window of them. */
  recent: number[]
  /** null: no value yet. */
  smoothed: number | null
  /** null: fewer than window values yet. */
  baseline: number | null
  /** Values in a row beyond the threshold. */
  streak: number
  /** Step at which the streak began; null: none. */
  since: number | null
}

const seriesKeys = ['recent', 'smoothed', 'baseline', 'streak', 'since'] as const

/** One metric over the steps at which it was there. */
export class Series {
  #recent: number[] = []
  #smoothed: number | null = null
  #streak = 0
  #since: number | null = null
  /** null: fewer than window values yet. */
  baseline: number | null = null

  constructor(private readonly options: SeriesOptions) {}

  get smoothed(): number | null {
    return this.#smoothed
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
    if (this.#recent.length > window) this.#recent.shift()
    // A single outlier is never the median of three, however large it is.
    const middle = median(this.#recent.slice(-3))
    const last = this.#smoothed ?? middle
    this.#smoothed = last + smoothing * (middle - last)
    if (this.baseline === null && this.#recent.length === window)
      this.baseline = median(this.#recent)
  }

  /**
   * Standard deviation of the values around their trend: of successive differences over the window,
   * from their median, so that neither a trend nor an outlier counts for much.
   */
  noise(): number {
    const differences = this.#recent.slice(1).map((value, i) => Math.abs(value - this.#recent[i]!))
    // Median of |x| of a normal distribution: 0.6745 standard deviations; a difference has two.
    return differences.length === 0 ? 0 : median(differences) / (0.6745 * Math.SQRT2)
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
      baseline: this.baseline,
      streak: this.#streak,
      since: this.#since,
    }
  }

  restore(name: string, value: unknown): void {
    const state = stateObject(name, value, seriesKeys)
    this.#recent = stateArray(name, state.recent)
      .slice(-this.options.window)
      .map((number) => stateNumber(name, number))
    this.#smoothed = stateNumberOrNull(name, state.smoothed)
    this.baseline = stateNumberOrNull(name, state.baseline)
    this.#streak = stateInteger(name, state.streak, 0)
    this.#since = stateNumberOrNull(name, state.since)
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
