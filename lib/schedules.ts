import { requireInteger, requireKeys, requireNumber } from './options'

const optionNames = new Set(['start', 'end', 'steps'])

/**
 * A coefficient that moves on a straight line from start at step 0 to end at step `steps`, and
 * stays there: start + (end - start) · min(step / max(1, steps), 1). Step 0 uses the start value.
 *
 * The authors' code (arXiv 2507.06448) anneals perceptionKlCoef this way and multiplies both
 * entropy coefficients by the same discount, coefficient / start.
 *
 * @example
 * const coefficient = linearAnnealing({ start: 0.02, end: 0, steps: 100 })
 * lossFromLogits(inputs, { perceptionKlCoef: coefficient(step) })
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export function linearAnnealing(options: {
  start: number
  end: number
  steps: number
}): (step: number) => number {
  requireKeys('options', options, optionNames)
  const start = requireNumber('start', options.start)
  const end = requireNumber('end', options.end)
  const steps = requireInteger('steps', options.steps, undefined, 0)
  return (step) => {
    const at = requireInteger('step', step, undefined, 0)
    return start + (end - start) * Math.min(at / Math.max(1, steps), 1)
  }
}
