import { readdirSync } from 'node:fs'
import path from 'node:path'

import { dialects } from './case'
import type {
  BlackeningCase,
  Body,
  GoldenCase,
  GroupAdvantageCase,
  ReturnCase,
  ScheduleCase,
} from './case'
import { Fields, GoldenError } from './fields'
import { readLossCase } from './read-loss'

/** The cases that come with the package. */
export const ownCases = path.resolve(__dirname, '../../test/golden')

/** Every case file of a folder, in the order of their names. */
export function readCases(folder: string): GoldenCase[] {
  const files = caseFiles(folder)
  if (files.length === 0) throw new GoldenError(`${folder}: no case files (*.json) in this folder`)
  return files.map((file) => readCase(path.join(folder, file)))
}

function caseFiles(folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    throw new GoldenError(`${folder}: ${code === 'ENOENT' ? 'no such folder' : 'not a folder'}`)
  }
  return names.filter((name) => name.endsWith('.json') && name !== 'MANIFEST.json').sort()
}

/** One case in the schema of test/golden/FORMAT.md. */
export function readCase(file: string): GoldenCase {
  const fields = Fields.read(file)
  const dialect = fields.choice('dialect', dialects)
  const header = { file: path.basename(file), name: fields.string('name'), dialect }
  const kind = fields.choice('kind', ['loss', 'advantage', 'schedule', 'blackening'])
  switch (kind) {
    case 'loss':
      return { ...header, kind, ...readLossCase(fields, dialect) }
    case 'advantage':
      return { ...header, kind, ...readAdvantages(fields, dialect === 'papo') }
    case 'schedule':
      return { ...header, kind, ...readSchedule(fields) }
    case 'blackening':
      return { ...header, kind, ...readBlackening(fields) }
  }
}

function readAdvantages(fields: Fields, papo: boolean): Body<GroupAdvantageCase | ReturnCase> {
  const inputs = fields.object('inputs')
  const config = fields.object('config')
  const expected = fields.object('expected')
  if (!papo) return readScaledAdvantages(inputs, config.number('eps'), expected)
  const names = ['grpo', 'dapo', 'rloo', 'remax', 'reinforce_plus_plus'] as const
  const estimator = config.choice('advEstimator', names)
  if (estimator === 'reinforce_plus_plus') return readReturns(inputs, config, expected)
  const rewards = inputs.numbers('rewards', [-1])
  const shape = [rewards.length]
  const values = expected.numbers('advantages', shape)
  return {
    estimator: estimator === 'dapo' ? 'grpo' : estimator,
    rewards,
    against: inputs.numbers(estimator === 'remax' ? 'rewardBaselines' : 'groupIds', shape),
    expected: [{ field: 'advantages', scale: 'group', epsilon: 1e-6, values }],
  }
}

function readScaledAdvantages(
  inputs: Fields,
  epsilon: number,
  expected: Fields,
): Body<GroupAdvantageCase> {
  const rewards = inputs.numbers('rewards', [-1])
  const shape = [rewards.length]
  const scales = (['group', 'batch', 'none'] as const).map((scale) => {
    const field = `advantages_${scale}`
    return { field, scale, epsilon, values: expected.numbers(field, shape) }
  })
  const against = inputs.numbers('groupIds', shape)
  return { estimator: 'grpo', rewards, against, expected: scales }
}

function readReturns(inputs: Fields, config: Fields, expected: Fields): Body<ReturnCase> {
  const shape = inputs.matrixShape('rewards')
  return {
    estimator: 'reinforce_plus_plus',
    responses: shape[0],
    discount: config.number('gamma'),
    rewards: inputs.numbers('rewards', shape),
    responseMask: inputs.numbers('responseMask', shape),
    advantages: expected.numbers('advantagesPerToken', shape),
    returns: expected.numbers('returnsPerToken', shape),
  }
}

function readSchedule(fields: Fields): Body<ScheduleCase> {
  const config = fields.object('config')
  const expected = fields.object('expected')
  const steps = fields.object('inputs').count('steps')
  return {
    start: config.number('startValue'),
    end: config.number('endValue'),
    annealingSteps: Math.max(1, config.number('annealingSteps')),
    coef: config.number('klPrcpCoef'),
    coefPerStep: expected.numbers('coefPerStep', [steps]),
    discountPerStep: expected.numbers('entropyDiscountPerStep', [steps]),
  }
}

function readBlackening(fields: Fields): Body<BlackeningCase> {
  const config = fields.object('config')
  const inputs = fields.object('inputs')
  const expected = fields.object('expected')
  const [height, width, channels] = [
    inputs.count('height'),
    inputs.count('width'),
    inputs.count('channels'),
  ]
  const patchSize = config.count('patchSize')
  const grid = [Math.ceil(height / patchSize), Math.ceil(width / patchSize)] as const
  const pixels = [height * width * channels]
  return {
    height,
    width,
    channels,
    patchSize,
    ratio: config.number('blackProb'),
    image: inputs.numbers('image', pixels),
    uniforms: inputs.numbers('uniforms', [grid[0] * grid[1]]),
    patchGrid: expected.numbers('patchGrid', [2]),
    patchMask: expected.numbers('patchMask', grid),
    maskedImage: expected.numbers('image', pixels),
  }
}
