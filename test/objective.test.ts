import { lossFromLogits, profiles, resolveObjective } from '../lib'
import type { ObjectiveInput } from '../lib'
import { addon } from '../lib/native'
import { encodedObjective } from '../lib/loss/objective'
import { metricNames, optionRows, profileSettings } from '../lib/loss/objective-table'
import { lossInputs, refusal } from './support'

const loosely = (input: unknown) => resolveObjective(input as ObjectiveInput)

describe('refuses', () => {
  test.each([
    ['an unknown profile', 'ppo', 'profile'],
    ['a name of Object.prototype', 'toString', 'profile'],
    ['an unknown profile in options', { profile: 'ppo' }, 'profile'],
    ['an unknown option', { perceptionKLCoef: 1 }, 'perceptionKLCoef'],
    ['NaN', { perceptionKlCoef: NaN }, 'perceptionKlCoef'],
    ['infinity', { lossScale: Infinity }, 'lossScale'],
    ['infinity for off', { dualClip: Infinity }, 'dualClip'],
    ['a number as text', { temperature: '1' }, 'temperature'],
    ['null', { temperature: null }, 'temperature'],
    ['an excluded bound', { temperature: 0 }, 'temperature'],
    ['a value below the range', { clipRatioLow: -0.1 }, 'clipRatioLow'],
    ['a value above the range', { clipRatioLow: 1.1 }, 'clipRatioLow'],
    ['the word of another option', { dualClip: 'unset' }, 'dualClip'],
    ['a word where there is none', { temperature: 'off' }, 'temperature'],
    ['an unknown choice', { reduction: 'mean' }, 'reduction'],
    ['the number of a choice', { reduction: 0 }, 'reduction'],
    ['a number as a boolean', { entropyGradient: 1 }, 'entropyGradient'],
  ])('%s', (_, input, argument) => {
    expect(refusal(() => loosely(input))).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })

  test.each([[null], [3], [[]]])('%p as an objective', (input) => {
    expect(refusal(() => loosely(input))).toEqual({
      code: 'ERR_INVALID_ARGUMENT',
      argument: 'objective',
    })
  })

  test('the constant reduction without a length, at the call', () => {
    expect(refusal(() => lossFromLogits(lossInputs(), 'drGrpo'))).toEqual({
      code: 'ERR_INVALID_OPTION',
      argument: 'maxLength',
    })
  })
})

test('papoG is the default', () => {
  expect(resolveObjective()).toBe(profiles.papoG)
  expect(resolveObjective({})).toEqual(profiles.papoG)
})

test('a name gives the profile itself, and an objective itself', () => {
  expect(resolveObjective('dapo')).toBe(profiles.dapo)
  const objective = resolveObjective({ profile: 'dapo', refKlCoef: 0.5 })
  expect(resolveObjective(objective)).toBe(objective)
})

test('options go on top of the profile; undefined counts as absent', () => {
  const input = { profile: 'papoD', perceptionKlCoef: 0.5, temperature: undefined }
  expect(loosely(input)).toEqual({ ...profiles.papoD, perceptionKlCoef: 0.5 })
})

test('a copy of an objective may be changed', () => {
  const objective = resolveObjective({ ...profiles.papoExact, dualClip: 'off' })
  expect(objective).toEqual({ ...profiles.papoExact, dualClip: 'off' })
})

test('profiles and objectives are frozen', () => {
  expect(Object.isFrozen(profiles)).toBe(true)
  for (const profile of Object.values(profiles)) expect(Object.isFrozen(profile)).toBe(true)
  expect(Object.isFrozen(resolveObjective({ refKlCoef: 0 }))).toBe(true)
})

test.each(Object.entries(profiles))('%s has its settings and the defaults', (name, profile) => {
  const defaults = Object.fromEntries(optionRows.map((row) => [row.name, row.initial]))
  const settings = profileSettings[name as keyof typeof profileSettings]
  expect(profile).toEqual({ profile: name, ...defaults, ...settings })
})

test('words, choices and booleans travel as numbers', () => {
  const numbers = encodedObjective(
    resolveObjective({ dualClip: 'off', reduction: 'constant', entropyGradient: false }),
  )
  const at = (name: string) => numbers[optionRows.findIndex((row) => row.name === name)]
  expect(['dualClip', 'reduction', 'entropyGradient', 'maxLength'].map(at)).toEqual([
    Infinity,
    2,
    0,
    0,
  ])
})

test('every profile is accepted by the engine', () => {
  for (const name of Object.keys(profiles)) {
    const objective = resolveObjective({ profile: name as keyof typeof profiles, maxLength: 8 })
    expect(lossFromLogits(lossInputs(), objective).loss).not.toBeNaN()
  }
})

test('the binary has the same options and metrics', () => {
  expect(addon.layout['objective']).toEqual(optionRows.map((row) => row.name))
  expect(addon.metricCount).toBe(metricNames.length)
})
