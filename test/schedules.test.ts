import { readFileSync } from 'node:fs'
import path from 'node:path'

import { linearAnnealing } from '../lib'
import { refusal } from './support'

interface ScheduleCase {
  config: { startValue: number; endValue: number; annealingSteps: number }
  expected: { coefPerStep: number[] }
}

test('anneals as the authors do', () => {
  const file = path.join(__dirname, 'golden', 'schedule_annealing.json')
  const { config, expected }: ScheduleCase = JSON.parse(readFileSync(file, 'utf8'))
  const { startValue: start, endValue: end, annealingSteps: steps } = config
  const coefficient = linearAnnealing({ start, end, steps })
  expect(expected.coefPerStep.length).toBeGreaterThan(steps)
  expect(expected.coefPerStep.map((_, step) => coefficient(step))).toEqual(expected.coefPerStep)
})

test('starts with the start value even where it ends at once', () => {
  const coefficient = linearAnnealing({ start: 1, end: 0, steps: 0 })
  expect([coefficient(0), coefficient(1), coefficient(2)]).toEqual([1, 0, 0])
})

test.each([
  ['start', { start: NaN }],
  ['start', { start: undefined }],
  ['end', { end: '0' }],
  ['steps', { steps: -1 }],
  ['steps', { steps: 1.5 }],
  ['step', { step: 1 }],
])('refuses an unfit %s', (argument, changed) => {
  const options = { start: 1, end: 0, steps: 10, ...changed } as {
    start: number
    end: number
    steps: number
  }
  expect(refusal(() => linearAnnealing(options))).toEqual({ code: 'ERR_INVALID_OPTION', argument })
})

test('refuses a step below 0', () => {
  const coefficient = linearAnnealing({ start: 1, end: 0, steps: 10 })
  expect(refusal(() => coefficient(-1))).toEqual({ code: 'ERR_INVALID_OPTION', argument: 'step' })
})
