import { AdaptiveKlController, FixedKlController } from '../lib'
import type { AdaptiveKlOptions, KlController } from '../lib'
import { refusal } from './support'

const options: AdaptiveKlOptions = { start: 0.01, target: 0.05, horizon: 100 }

describe('AdaptiveKlController', () => {
  test('follows Ziegler et al. step by step', () => {
    const controller = new AdaptiveKlController(options)
    let beta = options.start
    for (let i = 0; i < 200; i++) {
      const [kl, steps] = [0.05 + 0.02 * Math.sin(i), 1 + (i % 7)]
      const error = (kl - options.target) / options.target
      const clipped = error > 0.2 ? 0.2 : error < -0.2 ? -0.2 : error
      beta += (beta * clipped * steps) / options.horizon
      expect(Math.abs(controller.update(kl, steps) / beta - 1) <= 1e-12).toBe(true)
      expect(controller.update(options.target)).toBe(controller.value)
    }
  })

  test.each([
    ['up where the policy drifts', 10, 1.2],
    ['down where it does not', 0, 0.8],
    ['down where the estimate is negative', -3, 0.8],
    ['not at all on target', 0.05, 1],
  ])('moves %s, by a fifth at most', (_, kl, factor) => {
    expect(new AdaptiveKlController(options).update(kl, 100)).toBe(0.01 * factor)
  })

  test('goes on from JSON, bit for bit', () => {
    const whole = new AdaptiveKlController(options)
    for (let i = 0; i < 50; i++) whole.update(0.04 + 0.001 * i, 3)
    const resumed = AdaptiveKlController.fromJSON(JSON.parse(JSON.stringify(whole)), options)
    expect(resumed.value).toBe(whole.value)
    expect(resumed.update(0.07)).toBe(whole.update(0.07))
  })

  test.each([
    ['another target', { options: { ...options, target: 0.06 }, value: 1 }],
    ['no horizon', { options: { start: 0.01, target: 0.05 }, value: 1 }],
    ['another option', { options: { ...options, gain: 1 }, value: 1 }],
    ['no value', { options }],
    ['a value of null', { options, value: null }],
    ['a negative value', { options, value: -1 }],
    ['another key', { options, value: 1, step: 3 }],
  ])('refuses a state with %s', (_, state) => {
    const { code } = refusal(() => AdaptiveKlController.fromJSON(state, options))
    expect(code).toBe('ERR_INVALID_VALUE')
  })

  test.each([
    ['start', { start: 0 }],
    ['target', { target: -1 }],
    ['horizon', { horizon: NaN }],
    ['horizon', { horizon: undefined }],
    ['gain', { gain: 1 }],
  ])('refuses an unfit %s', (argument, changed) => {
    const call = () => new AdaptiveKlController({ ...options, ...changed } as AdaptiveKlOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })

  test('refuses more steps than the horizon, which could turn the sign', () => {
    const controller = new AdaptiveKlController(options)
    expect(refusal(() => controller.update(1, 101)).code).toBe('ERR_INVALID_VALUE')
    expect(controller.value).toBe(0.01)
  })
})

test('FixedKlController stays', () => {
  const controller = new FixedKlController(0.01)
  expect([controller.update(100), controller.update(-1, 5), controller.value]).toEqual([
    0.01, 0.01, 0.01,
  ])
  const state: unknown = JSON.parse(JSON.stringify(controller))
  expect(FixedKlController.fromJSON(state, 0.01).value).toBe(0.01)
  expect(refusal(() => FixedKlController.fromJSON(state, 0.02)).code).toBe('ERR_INVALID_VALUE')
  expect(refusal(() => new FixedKlController(-1)).argument).toBe('value')
})

test.each([
  ['fixed', new FixedKlController(0.01)],
  ['adaptive', new AdaptiveKlController(options)],
] as [string, KlController][])(
  '%s refuses what is no KL and what are no steps',
  (_, controller) => {
    for (const kl of [NaN, Infinity, '1' as unknown as number])
      expect(refusal(() => controller.update(kl))).toEqual({
        code: 'ERR_INVALID_VALUE',
        argument: 'currentKl',
      })
    for (const steps of [0, -1, 0.5])
      expect(refusal(() => controller.update(1, steps)).argument).toBe('steps')
    expect(controller.value).toBe(0.01)
  },
)
