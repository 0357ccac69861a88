import { groupAdvantages, reinforcePlusPlusAdvantages, remaxAdvantages, Tensor } from '../lib'
import type { GroupAdvantagesOptions, ReinforcePlusPlusInputs, TensorLike } from '../lib'
import { refusal, values } from './support'

const loosely = (value: unknown) => value as TensorLike
const rewards = () => Float64Array.of(1, 0, 0.5, 0)
const groupIds = () => Int32Array.of(7, -2, 7, -2)

describe('groupAdvantages refuses', () => {
  test.each([
    ['no rewards', undefined, groupIds(), 'ERR_INVALID_ARGUMENT', 'rewards'],
    ['plain rewards', [1, 2], groupIds(), 'ERR_INVALID_ARGUMENT', 'rewards'],
    ['no rewards at all', new Float32Array(0), new Int32Array(0), 'ERR_INVALID_SHAPE', 'rewards'],
    ['whole rewards', new Int32Array(4), groupIds(), 'ERR_INVALID_DTYPE', 'rewards'],
    ['NaN among them', Float64Array.of(1, NaN, 0, 0), groupIds(), 'ERR_INVALID_VALUE', 'rewards'],
    ['no group ids', rewards(), undefined, 'ERR_INVALID_ARGUMENT', 'groupIds'],
    ['float group ids', rewards(), new Float32Array(4), 'ERR_INVALID_DTYPE', 'groupIds'],
    ['too few group ids', rewards(), new Int32Array(3), 'ERR_INVALID_SHAPE', 'groupIds'],
    ['a group of one', rewards(), Int32Array.of(1, 1, 1, -42), 'ERR_INVALID_VALUE', 'groupIds'],
  ])('%s', (_, first, second, code, argument) => {
    expect(refusal(() => groupAdvantages(loosely(first), loosely(second)))).toEqual({
      code,
      argument,
    })
  })

  test('a group of one by its id', () => {
    expect(() => groupAdvantages(rewards(), Int32Array.of(1, 1, 1, -42))).toThrow('group -42')
  })

  test.each([
    ['estimator', { estimator: 'ppo' }],
    ['scale', { scale: 'sum' }],
    ['epsilon', { epsilon: -1 }],
    ['epsilon', { epsilon: NaN }],
    ['epsilon', { epsilon: null }],
    ['eps', { eps: 1e-4 }],
  ])('an unfit %s', (argument, options) => {
    const call = () => groupAdvantages(rewards(), groupIds(), options as GroupAdvantagesOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})

describe('groupAdvantages', () => {
  // Group 7 has rewards 1 and .5: mean .75, unbiased deviation sqrt(.125). Group -2 has equal ones.
  const deviation = Math.sqrt(0.125)

  function expectClose(tensor: Tensor, expected: number[], tolerance: number): void {
    expect(tensor.shape).toEqual([expected.length])
    values(tensor).forEach((value, i) => {
      expect(Math.abs(value - expected[i]!) <= tolerance).toBe(true)
    })
  }

  test('divides by the deviation of the group and 1e-6', () => {
    const scaled = 0.25 / (deviation + 1e-6)
    const advantages = groupAdvantages(rewards(), groupIds())
    expect(advantages.dtype).toBe('float64')
    expectClose(advantages, [scaled, 0, -scaled, 0], 1e-15)
  })

  test('gives exactly 0 where all rewards are equal', () => {
    const equal = new Float32Array(8).fill(0.1)
    expect(values(groupAdvantages(equal, new Int32Array(8)))).toEqual(new Array(8).fill(0))
  })

  test('has the dtype of the rewards', () => {
    const advantages = groupAdvantages(Float32Array.from(rewards()), groupIds())
    expect(advantages.dtype).toBe('float32')
    const scaled = 0.25 / (deviation + 1e-6)
    expectClose(advantages, [scaled, 0, -scaled, 0], 1e-7)
  })

  test.each([
    ['drGrpo', {}, 0.25],
    ['rloo', {}, 0.5],
    ['grpo', { scale: 'none' }, 0.25],
    ['grpo', { epsilon: 1e-4 }, 0.25 / (deviation + 1e-4)],
  ] as const)('%s with %p', (estimator, options, expected) => {
    const advantages = groupAdvantages(rewards(), groupIds(), { estimator, ...options })
    expectClose(advantages, [expected, 0, -expected, 0], 1e-15)
  })

  test('leaves its inputs alone', () => {
    const [first, second] = [rewards(), groupIds()]
    groupAdvantages(first, second)
    expect([first, second]).toEqual([rewards(), groupIds()])
  })
})

describe('remaxAdvantages', () => {
  test('are rewards less baselines', () => {
    const baselines = Float64Array.of(0.5, 0.25, 0.5, 1)
    expect(values(remaxAdvantages(rewards(), baselines))).toEqual([0.5, -0.25, 0, -1])
  })

  test.each([
    ['of another length', new Float64Array(3), 'ERR_INVALID_SHAPE'],
    ['of another dtype', new Float32Array(4), 'ERR_INVALID_DTYPE'],
    ['that are none', undefined, 'ERR_INVALID_ARGUMENT'],
    ['of infinity', Float64Array.of(0, 0, Infinity, 0), 'ERR_INVALID_VALUE'],
  ])('refuse baselines %s', (_, baselines, code) => {
    expect(refusal(() => remaxAdvantages(rewards(), loosely(baselines)))).toEqual({
      code,
      argument: 'baselines',
    })
  })
})

describe('reinforcePlusPlusAdvantages', () => {
  const inputs = () => ({
    rewards: Tensor.from(Float64Array.of(0, 0, 1, 0, 2, 9), { shape: [2, 3] }),
    responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
  })

  test('return from the end of each response, whitened over counted tokens', () => {
    const { advantages, returns } = reinforcePlusPlusAdvantages(inputs(), { discount: 0.5 })
    expect(returns.shape).toEqual([2, 3])
    expect(values(returns)).toEqual([0.25, 0.5, 1, 1, 2, 9])
    const counted = values(advantages).slice(0, 5)
    const mean = counted.reduce((sum, x) => sum + x, 0) / 5
    const variance = counted.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 4
    expect(Math.abs(mean) <= 1e-7).toBe(true)
    expect(Math.abs(variance - 1) <= 1e-7).toBe(true)
  })

  test('are the same for packed responses', () => {
    const { rewards: padded, responseMask } = inputs()
    const packed = { rewards: padded.data, responseMask, cuSeqlens: [0, 3, 6] }
    const expected = reinforcePlusPlusAdvantages(inputs())
    const result = reinforcePlusPlusAdvantages(packed)
    expect(values(result.advantages)).toEqual(values(expected.advantages))
    expect(result.advantages.shape).toEqual([6])
  })

  test.each([
    ['open responses', { rewards: new Float64Array(6) }, 'ERR_INVALID_SHAPE', 'cuSeqlens'],
    ['no mask', { responseMask: undefined }, 'ERR_INVALID_ARGUMENT', 'responseMask'],
    [
      'a mask of 2',
      { responseMask: new Uint8Array(6).fill(2) },
      'ERR_INVALID_VALUE',
      'responseMask',
    ],
    [
      'one counted token',
      { responseMask: Uint8Array.of(1, 0, 0, 0, 0, 0) },
      'ERR_INVALID_VALUE',
      'responseMask',
    ],
    ['an unknown input', { mask: 1 }, 'ERR_INVALID_ARGUMENT', 'mask'],
    ['cuSeqlens that end early', { cuSeqlens: [0, 3, 5] }, 'ERR_INVALID_VALUE', 'cuSeqlens'],
  ])('refuse %s', (_, changed, code, argument) => {
    const changedInputs = { ...inputs(), ...changed } as ReinforcePlusPlusInputs
    expect(refusal(() => reinforcePlusPlusAdvantages(changedInputs))).toEqual({ code, argument })
  })

  test.each([
    [{ discount: 1.5 }, 'discount'],
    [{ epsilon: -1 }, 'epsilon'],
    [{ gamma: 1 }, 'gamma'],
  ])('refuse the option %p', (options, argument) => {
    const call = () => reinforcePlusPlusAdvantages(inputs(), options as object)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})
