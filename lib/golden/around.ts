import {
  groupAdvantages,
  linearAnnealing,
  maskPatches,
  randomPatchMask,
  reinforcePlusPlusAdvantages,
  remaxAdvantages,
} from '../index'
import type { Engine } from '../index'
import type { BlackeningCase, GroupAdvantageCase, ReturnCase, ScheduleCase } from './case'
import type { Comparison } from './compare'
import { engineValues, tensorOn, toFloat64 } from './values'

export function compareAdvantages(
  golden: GroupAdvantageCase | ReturnCase,
  engine: Engine,
  comparison: Comparison,
): void {
  if (golden.estimator === 'reinforce_plus_plus') compareReturns(golden, engine, comparison)
  else compareGroupAdvantages(golden, engine, comparison)
}

function compareGroupAdvantages(
  golden: GroupAdvantageCase,
  engine: Engine,
  comparison: Comparison,
): void {
  const { estimator } = golden
  const rewards = tensorOn(engine, engineValues(golden.rewards, engine))
  for (const { field, scale, epsilon, values } of golden.expected) {
    const advantages =
      estimator === 'remax'
        ? remaxAdvantages(rewards, tensorOn(engine, engineValues(golden.against, engine)), {
            engine,
          })
        : groupAdvantages(rewards, tensorOn(engine, Int32Array.from(golden.against)), {
            estimator,
            scale,
            epsilon,
            engine,
          })
    comparison.array(field, 'loss', toFloat64(advantages), values)
  }
}

function compareReturns(golden: ReturnCase, engine: Engine, comparison: Comparison): void {
  const shape = [golden.responses, golden.rewards.length / golden.responses]
  const { advantages, returns } = reinforcePlusPlusAdvantages(
    {
      rewards: tensorOn(engine, engineValues(golden.rewards, engine), shape),
      responseMask: tensorOn(engine, Uint8Array.from(golden.responseMask), shape),
    },
    { discount: golden.discount, engine },
  )
  comparison.array('advantagesPerToken', 'loss', toFloat64(advantages), golden.advantages)
  comparison.array('returnsPerToken', 'loss', toFloat64(returns), golden.returns)
}

/** The discount of the entropy terms is the coefficient relative to its full value. */
export function compareSchedule(golden: ScheduleCase, comparison: Comparison): void {
  const { start, end, annealingSteps: steps, coef } = golden
  const schedule = linearAnnealing({ start, end, steps })
  const values = Array.from(golden.coefPerStep, (_, step) => schedule(step))
  const discounts = values.map((value) => value / coef)
  comparison.array('coefPerStep', 'loss', values, golden.coefPerStep)
  comparison.array('entropyDiscountPerStep', 'loss', discounts, golden.discountPerStep)
}

/**
 * The case gives the uniform numbers of its patches, because every library draws others; the grid
 * is the library's own.
 */
export function compareBlackening(
  golden: BlackeningCase,
  engine: Engine,
  comparison: Comparison,
): void {
  const { height, width, channels, patchSize, ratio } = golden
  const grid = randomPatchMask({ height, width, patchSize, ratio, seed: 0, engine }).shape
  const black = Uint8Array.from(golden.uniforms, (u) => Number(u < ratio))
  const image = maskPatches(tensorOn(engine, Uint8Array.from(golden.image)), {
    height,
    width,
    channels,
    patchSize,
    patchMask: tensorOn(engine, black),
    engine,
  })
  comparison.array('patchGrid', 'exact', grid, golden.patchGrid)
  comparison.array('patchMask', 'exact', black, golden.patchMask)
  comparison.array('image', 'exact', toFloat64(image), golden.maskedImage)
}
