import { invalid, describe } from '../errors'
import { requireInteger, requireKeys, requireNumber, requirePositive } from '../options'
import { requireSameOptions, stateNumber, stateObject } from './state'

/** β of the reference KL from step to step. */
export interface KlController {
  /** For refKlCoef of the next loss call. */
  readonly value: number
  /** Takes over the KL of the last calls, in nats, and the steps since the last update. */
  update(currentKl: number, steps?: number): number
}

export interface AdaptiveKlOptions {
  /** β to begin with, above 0. */
  start: number
  /** KL to the reference to be held, in nats, above 0. */
  target: number
  /** Steps over which a KL at its limit of 20 % off the target changes β by 20 %. Above 0. */
  horizon: number
}

/** What JSON.stringify writes of an adaptive controller. */
export interface AdaptiveKlState {
  options: AdaptiveKlOptions
  value: number
}

const optionNames = new Set(['start', 'target', 'horizon'])
const errorLimit = 0.2

/** A β that stays as it is. @throws PapoError ERR_INVALID_OPTION */
export class FixedKlController implements KlController {
  readonly value: number

  constructor(value: number) {
    this.value = requireNumber('value', value, undefined, 0)
  }

  update(currentKl: number, steps = 1): number {
    requireUpdate(currentKl, steps)
    return this.value
  }

  toJSON(): { value: number } {
    return { value: this.value }
  }

  /** @throws PapoError ERR_INVALID_VALUE where the state is damaged or holds another value */
  static fromJSON(state: unknown, value: number): FixedKlController {
    const controller = new FixedKlController(value)
    requireSameOptions(state, controller.toJSON())
    return controller
  }
}

/**
 * A β that follows the KL: up where the policy has drifted further from the reference than target,
 * down where less (Ziegler et al. 2019, arXiv 1909.08593 §2.2; docs/math.md Eq. 27):
 *
 *     β ← β · (1 + clip(KL / target - 1, ± 0.2) · steps / horizon)
 *
 * @example
 * const controller = new AdaptiveKlController({ start: 0.01, target: 0.05, horizon: 100 })
 * const { metrics } = lossFromLogits(inputs, { refKlCoef: controller.value })
 * controller.update(metrics.refKl)
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export class AdaptiveKlController implements KlController {
  readonly #options: AdaptiveKlOptions
  #value: number

  constructor(options: AdaptiveKlOptions) {
    requireKeys('options', options, optionNames)
    this.#options = {
      start: requirePositive('start', options.start),
      target: requirePositive('target', options.target),
      horizon: requirePositive('horizon', options.horizon),
    }
    this.#value = this.#options.start
  }

  get value(): number {
    return this.#value
  }

  /**
   * @param currentKl mean KL to the reference, in nats: metrics.refKl. Sampled estimates may be
   * negative.
   * @param steps since the last update, at most horizon, so that β stays above 0; default 1
   * @returns the new value
   * @throws PapoError ERR_INVALID_VALUE (a KL that is not finite, or steps beyond the horizon)
   */
  update(currentKl: number, steps = 1): number {
    requireUpdate(currentKl, steps)
    const { target, horizon } = this.#options
    if (steps > horizon)
      throw invalid('ERR_INVALID_VALUE', 'steps', `at most horizon, ${horizon}`, describe(steps))
    const error = Math.min(Math.max(currentKl / target - 1, -errorLimit), errorLimit)
    this.#value *= 1 + (error * steps) / horizon
    return this.#value
  }

  toJSON(): AdaptiveKlState {
    return { options: { ...this.#options }, value: this.#value }
  }

  /**
   * A controller that goes on from a saved value, under the same options.
   *
   * @throws PapoError ERR_INVALID_VALUE where the state is damaged or was saved under other options
   */
  static fromJSON(state: unknown, options: AdaptiveKlOptions): AdaptiveKlController {
    const controller = new AdaptiveKlController(options)
    const saved = stateObject('state', state, ['options', 'value'])
    requireSameOptions(saved.options, controller.#options)
    controller.#value = stateNumber('value', saved.value, 0)
    return controller
  }
}

function requireUpdate(currentKl: number, steps: number): void {
  if (!Number.isFinite(currentKl))
    throw invalid('ERR_INVALID_VALUE', 'currentKl', 'a finite number', describe(currentKl))
  requireInteger('steps', steps, undefined, 1)
}
