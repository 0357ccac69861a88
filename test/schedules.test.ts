import { readFileSync } from 'node:fs'
import path from 'node:path'

import {
  constantSchedule,
  cosineAnnealing,
  linearAnnealing,
  perceptionSchedule,
  resolveObjective,
} from '../lib'
import type { PerceptionScheduleOptions } from '../lib'
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

test.each([
  ['linear', linearAnnealing({ start: 1, end: 0, steps: 10 })],
  ['cosine', cosineAnnealing({ start: 1, end: 0, steps: 10 })],
  ['constant', constantSchedule(1)],
  ['perception', perceptionSchedule({ start: 1, end: 0, steps: 10 })],
])('%s refuses a step below 0 or between two', (_, schedule) => {
  for (const step of [-1, 0.5, NaN])
    expect(refusal(() => schedule(step))).toEqual({ code: 'ERR_INVALID_OPTION', argument: 'step' })
})

test('a constant stays', () => {
  expect([0, 1, 1e9].map(constantSchedule(0.02))).toEqual([0.02, 0.02, 0.02])
  expect(refusal(() => constantSchedule(NaN)).argument).toBe('value')
})

test('half a cosine is flat at both ends and meets the line in the middle', () => {
  const coefficient = cosineAnnealing({ start: 2, end: 1, steps: 100 })
  const plain = (step: number) => 1 + (1 + Math.cos((Math.PI * step) / 100)) / 2
  for (let step = 0; step <= 100; step++)
    expect(Math.abs(coefficient(step) - plain(step)) <= 1e-15).toBe(true)
  expect([coefficient(0), coefficient(100), coefficient(500)]).toEqual([2, 1, 1])
  expect(2 - coefficient(1)).toBeLessThan(0.001)
  expect(Math.abs(coefficient(50) - 1.5) <= 1e-15).toBe(true)
})

describe('perceptionSchedule', () => {
  const options = { start: 0.02, end: 0, steps: 50, entropyCoef: 0.05, maskedEntropyCoef: 0.03 }

  test('scales both entropy coefficients by the share of the start', () => {
    const [coefficients, gamma] = [perceptionSchedule(options), linearAnnealing(annealing(options))]
    for (let step = 0; step <= 60; step++) {
      const perceptionKlCoef = gamma(step)
      expect(coefficients(step)).toEqual({
        perceptionKlCoef,
        entropyCoef: 0.05 * (perceptionKlCoef / 0.02),
        maskedEntropyCoef: 0.03 * (perceptionKlCoef / 0.02),
      })
    }
  })

  test('begins with what was given and ends where told', () => {
    const coefficients = perceptionSchedule({ ...options, end: 0.01, shape: 'cosine' })
    expect(coefficients(0)).toEqual({
      perceptionKlCoef: 0.02,
      entropyCoef: 0.05,
      maskedEntropyCoef: 0.03,
    })
    expect(coefficients(50)).toEqual({
      perceptionKlCoef: 0.01,
      entropyCoef: 0.025,
      maskedEntropyCoef: 0.015,
    })
    expect(coefficients(25).perceptionKlCoef).toBe(
      cosineAnnealing({ start: 0.02, end: 0.01, steps: 50 })(25),
    )
  })

  test('goes into an objective', () => {
    const { perceptionKlCoef, entropyCoef } = resolveObjective({
      profile: 'papoD',
      ...perceptionSchedule({ start: 0.02, end: 0.01, steps: 10 })(10),
    })
    expect([perceptionKlCoef, entropyCoef]).toEqual([0.01, 0])
  })

  test.each([
    ['start', { start: 0 }],
    ['start', { start: -1 }],
    ['end', { end: -0.1 }],
    ['steps', { steps: undefined }],
    ['entropyCoef', { entropyCoef: NaN }],
    ['maskedEntropyCoef', { maskedEntropyCoef: '1' }],
    ['shape', { shape: 'square' }],
    ['gamma', { gamma: 1 }],
  ])('refuses an unfit %s', (argument, changed) => {
    const call = () => perceptionSchedule({ ...options, ...changed } as PerceptionScheduleOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})

function annealing({ start, end, steps }: { start: number; end: number; steps: number }) {
  return { start, end, steps }
}
