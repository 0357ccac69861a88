import { lossFromLogits, PapoError } from '../lib'
import { describe as describeValue, fromNative, invalid } from '../lib/errors'
import { asInputs, lossInputs } from './support'

test('a PapoError is an Error with code, argument and cause', () => {
  const cause = new Error('first')
  const error = new PapoError('ERR_INVALID_VALUE', 'text', { argument: 'tokens', cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ name: 'PapoError', code: 'ERR_INVALID_VALUE', argument: 'tokens' })
  expect(error.cause).toBe(cause)
})

test('without an argument there is no such property', () => {
  expect('argument' in new PapoError('ERR_INTERNAL', 'text')).toBe(false)
})

test('a refusal says argument, expected and received', () => {
  expect(invalid('ERR_INVALID_ARGUMENT', 'logits', 'a tensor', 'null').message).toBe(
    'logits: expected a tensor, got null',
  )
})

test.each([
  [null, 'null'],
  [undefined, 'undefined'],
  ['sse9', "'sse9'"],
  [NaN, 'NaN'],
  [5n, '5n'],
  [[1, 2, 3], 'an array of 3'],
  [new Float64Array(12), 'Float64Array of 12'],
  [new Map(), 'an object (Map)'],
  [Object.create(null), 'an object (no class)'],
  [() => 1, 'a function'],
  ['x'.repeat(41), 'a long string'],
])('values are shown by kind and size: %p', (value, text) => {
  expect(describeValue(value)).toBe(text)
})

describe('what the addon throws', () => {
  test('keeps code and message, and gives the argument', () => {
    const cause = Object.assign(new Error('tokens: expected ids'), { code: 'ERR_INVALID_VALUE' })
    const error = fromNative(cause)
    expect(error).toMatchObject({
      code: 'ERR_INVALID_VALUE',
      argument: 'tokens',
      message: 'tokens: expected ids',
    })
    expect(error.cause).toBe(cause)
  })

  test('without a code is ERR_INTERNAL', () => {
    expect(fromNative(new Error('std::bad_alloc')).code).toBe('ERR_INTERNAL')
    expect(fromNative(null).code).toBe('ERR_INTERNAL')
  })

  test('is left alone where it is a PapoError', () => {
    const error = new PapoError('ERR_DISPOSED', 'text')
    expect(fromNative(error)).toBe(error)
  })

  test('has a JavaScript stack that leads to the call', () => {
    const callWithBadToken = () =>
      lossFromLogits(asInputs({ ...lossInputs(), tokens: new Int32Array(6).fill(99) }))
    try {
      callWithBadToken()
    } catch (error) {
      expect(error).toBeInstanceOf(PapoError)
      expect((error as PapoError).stack).toContain('callWithBadToken')
      return
    }
    throw new Error('nothing was thrown')
  })
})
