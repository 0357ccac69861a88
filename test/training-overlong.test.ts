import { overlongMask, overlongPenalties } from '../lib'
import type { OverlongMaskOptions, OverlongPenaltyOptions, TensorLike } from '../lib'
import { refusal, values } from './support'

const loosely = (value: unknown) => value as TensorLike

/** DAPO Eq. 13 as it stands in the paper. */
function plainPenalty(length: number, maxLength: number, cacheLength: number): number {
  if (length <= maxLength - cacheLength) return 0
  if (length > maxLength) return -1
  return (maxLength - cacheLength - length) / cacheLength
}

describe('overlongPenalties', () => {
  test('are 0, a line and -1', () => {
    const lengths = Int32Array.of(0, 12, 13, 14, 15, 16, 17, 1000)
    const penalties = overlongPenalties(lengths, { maxLength: 16, cacheLength: 4 })
    expect(penalties.dtype).toBe('float32')
    expect(penalties.shape).toEqual([8])
    expect(values(penalties)).toEqual([0, 0, -0.25, -0.5, -0.75, -1, -1, -1])
  })

  test.each([
    [7, 1],
    [7, 7],
    [100, 33],
    [20480, 4096],
  ])('are the formula for every length with maxLength %i and cacheLength %i', (max, cache) => {
    const lengths = Int32Array.from({ length: Math.min(2 * max, 30_000) }, (_, i) => i)
    const options = { maxLength: max, cacheLength: cache }
    const exact = values(overlongPenalties(lengths, { ...options, dtype: 'float64' }))
    const expected = Array.from(lengths, (length) => plainPenalty(length, max, cache))
    expect(exact).toEqual(expected)
    expect(values(overlongPenalties(lengths, options))).toEqual(expected.map(Math.fround))
  })

  test('are a step where there is no cache', () => {
    const penalties = overlongPenalties(Int32Array.of(9, 10, 11), { maxLength: 10, cacheLength: 0 })
    expect(values(penalties)).toEqual([0, 0, -1])
  })

  test.each([
    ['no lengths', undefined, 'ERR_INVALID_ARGUMENT'],
    ['plain lengths', [1], 'ERR_INVALID_ARGUMENT'],
    ['empty lengths', new Int32Array(0), 'ERR_INVALID_SHAPE'],
    ['float lengths', new Float32Array(1), 'ERR_INVALID_DTYPE'],
    ['a negative length', Int32Array.of(3, -1), 'ERR_INVALID_VALUE'],
  ])('refuse %s', (_, lengths, code) => {
    const options = { maxLength: 16, cacheLength: 4 }
    const argument = 'lengths'
    expect(refusal(() => overlongPenalties(loosely(lengths), options))).toEqual({ code, argument })
    expect(refusal(() => overlongMask(loosely(lengths), { maxLength: 16 }))).toEqual({
      code,
      argument,
    })
  })

  test.each([
    ['maxLength', { cacheLength: 1 }],
    ['maxLength', { maxLength: 0, cacheLength: 0 }],
    ['cacheLength', { maxLength: 4 }],
    ['cacheLength', { maxLength: 4, cacheLength: 5 }],
    ['cacheLength', { maxLength: 4, cacheLength: -1 }],
    ['cacheLength', { maxLength: 4, cacheLength: 1.5 }],
    ['dtype', { maxLength: 4, cacheLength: 1, dtype: 'float16' }],
    ['cache', { maxLength: 4, cacheLength: 1, cache: 1 }],
  ])('refuse an unfit %s: %p', (argument, options) => {
    const call = () => overlongPenalties(Int32Array.of(1), options as OverlongPenaltyOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})

describe('overlongMask', () => {
  const lengths = Int32Array.of(0, 15, 16, 16, 17)

  test('is 0 for responses that were cut off', () => {
    const mask = overlongMask(lengths, { maxLength: 16 })
    expect(mask.dtype).toBe('uint8')
    expect(values(mask)).toEqual([1, 1, 0, 0, 0])
  })

  test('spares those that ended with the last token', () => {
    const finished = Uint8Array.of(1, 0, 1, 0, 0)
    expect(values(overlongMask(lengths, { maxLength: 16, finished }))).toEqual([1, 1, 1, 0, 0])
  })

  test.each([
    ['ERR_INVALID_OPTION', 'maxLength', {}],
    ['ERR_INVALID_OPTION', 'cacheLength', { maxLength: 16, cacheLength: 4 }],
    ['ERR_INVALID_SHAPE', 'finished', { maxLength: 16, finished: new Uint8Array(4) }],
    ['ERR_INVALID_DTYPE', 'finished', { maxLength: 16, finished: new Int32Array(5) }],
    ['ERR_INVALID_VALUE', 'finished', { maxLength: 16, finished: new Uint8Array(5).fill(2) }],
  ])('refuses with %s an unfit %s', (code, argument, options) => {
    const call = () => overlongMask(lengths, options as OverlongMaskOptions)
    expect(refusal(call)).toEqual({ code, argument })
  })
})
