import {
  requireInteger,
  requireKeys,
  requireNumber,
  requireOneOf,
  requirePositive,
} from '../options'

/** A coefficient at a training step: 0, 1, ... */
export type Schedule = (step: number) => number

export interface AnnealingOptions {
  /** Value at step 0. */
  start: number
  /** Value from step `steps` on. */
  end: number
  /** Whole number of at least 0. */
  steps: number
}

export interface PerceptionScheduleOptions extends AnnealingOptions {
  /** Of perceptionKlCoef; above 0, because the other two follow its share of the start. */
  start: number
  /** η1 at step 0; default 0. */
  entropyCoef?: number
  /** η2 at step 0; default 0. */
  maskedEntropyCoef?: number
  /** Default 'linear', as the authors do. */
  shape?: 'linear' | 'cosine'
}

/** Options of a loss call. */
export interface PerceptionCoefficients {
  perceptionKlCoef: number
  entropyCoef: number
  maskedEntropyCoef: number
}

type Shape = (share: number) => number

const annealingNames = ['start', 'end', 'steps']
const optionNames = new Set(annealingNames)
const perceptionNames = new Set([...annealingNames, 'entropyCoef', 'maskedEntropyCoef', 'shape'])
const shapes = {
  linear: (share: number) => share,
  cosine: (share: number) => (1 - Math.cos(Math.PI * share)) / 2,
}

/** The same value at every step. @throws PapoError ERR_INVALID_OPTION */
export function constantSchedule(value: number): Schedule {
  const constant = requireNumber('value', value)
  return (step) => {
    requireStep(step)
    return constant
  }
}

/**
 * A coefficient that moves on a straight line from start at step 0 to end at step `steps`, and
 * stays there: start + (end - start) · min(step / max(1, steps), 1). Step 0 uses the start value.
 *
 * @example
 * const coefficient = linearAnnealing({ start: 0.02, end: 0, steps: 100 })
 * lossFromLogits(inputs, { perceptionKlCoef: coefficient(step) })
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export function linearAnnealing(options: AnnealingOptions): Schedule {
  requireKeys('options', options, optionNames)
  return annealing(options, shapes.linear)
}

/**
 * The same along half a cosine, flat at both ends (docs/math.md Eq. 24): start + (end - start) ·
 * (1 - cos(π · min(step / max(1, steps), 1))) / 2.
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export function cosineAnnealing(options: AnnealingOptions): Schedule {
  requireKeys('options', options, optionNames)
  return annealing(options, shapes.cosine)
}

/**
 * Annealing of γ as in the authors' code (arXiv 2507.06448; docs/math.md Eq. 22): both entropy
 * coefficients keep their ratio to perceptionKlCoef, which moves from start to end.
 *
 * @example
 * const coefficients = perceptionSchedule({ start: 0.02, end: 0, steps: 100, entropyCoef: 0.03 })
 * lossFromLogits(inputs, { profile: 'papoD', ...coefficients(step) })
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export function perceptionSchedule(
  options: PerceptionScheduleOptions,
): (step: number) => PerceptionCoefficients {
  requireKeys('options', options, perceptionNames)
  const start = requirePositive('start', options.start)
  requireNumber('end', options.end, undefined, 0)
  const shape = requireOneOf('shape', options.shape, ['linear', 'cosine'] as const)
  const entropyCoef = requireNumber('entropyCoef', options.entropyCoef, 0)
  const maskedEntropyCoef = requireNumber('maskedEntropyCoef', options.maskedEntropyCoef, 0)
  const coefficient = annealing(options, shapes[shape])
  return (step) => {
    const perceptionKlCoef = coefficient(step)
    const factor = perceptionKlCoef / start
    return {
      perceptionKlCoef,
      entropyCoef: entropyCoef * factor,
      maskedEntropyCoef: maskedEntropyCoef * factor,
    }
  }
}

function annealing(options: AnnealingOptions, shape: Shape): Schedule {
  const start = requireNumber('start', options.start)
  const end = requireNumber('end', options.end)
  const steps = requireInteger('steps', options.steps, undefined, 0)
  return (step) =>
    start + (end - start) * shape(Math.min(requireStep(step) / Math.max(1, steps), 1))
}

function requireStep(step: number): number {
  return requireInteger('step', step, undefined, 0)
}
