import { Tensor } from '../lib'
import type { TypedArray } from '../lib'
import { detach, refusal } from './support'

const loosely = (data: unknown, options?: object) => Tensor.from(data as TypedArray, options)

describe('refuses', () => {
  test.each([
    ['a plain array', [1, 2], 'ERR_INVALID_ARGUMENT'],
    ['null', null, 'ERR_INVALID_ARGUMENT'],
    ['a string', 'abc', 'ERR_INVALID_ARGUMENT'],
    ['an ArrayBuffer', new ArrayBuffer(8), 'ERR_INVALID_ARGUMENT'],
    ['a DataView', new DataView(new ArrayBuffer(8)), 'ERR_INVALID_DTYPE'],
    ['a BigInt64Array', new BigInt64Array(1), 'ERR_INVALID_DTYPE'],
    ['a Uint16Array without dtype', new Uint16Array(1), 'ERR_INVALID_DTYPE'],
  ])('%s as data', (_, data, code) => {
    expect(refusal(() => loosely(data))).toEqual({ code, argument: 'data' })
  })

  test.each([
    ['a dtype that is none', { dtype: 'float8' }, 'ERR_INVALID_DTYPE', 'dtype'],
    ['a dtype that the array does not have', { dtype: 'int32' }, 'ERR_INVALID_DTYPE', 'data'],
    ['float16 in a Float32Array', { dtype: 'float16' }, 'ERR_INVALID_DTYPE', 'data'],
    ['a shape of another size', { shape: [2, 4] }, 'ERR_INVALID_SHAPE', 'data'],
    ['an empty shape', { shape: [] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a dimension of 0', { shape: [0, 6] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a broken dimension', { shape: [1.5, 4] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a NaN dimension', { shape: [NaN] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a shape that is a number', { shape: 6 }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a product beyond 2^53', { shape: [2 ** 30, 2 ** 30] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a short rowStride', { shape: [2, 3], rowStride: 2 }, 'ERR_INVALID_SHAPE', 'rowStride'],
    ['a long rowStride', { shape: [2, 3], rowStride: 4 }, 'ERR_INVALID_SHAPE', 'data'],
  ])('%s', (_, options, code, argument) => {
    expect(refusal(() => loosely(new Float32Array(6), options))).toEqual({ code, argument })
  })

  test('a resizable buffer', () => {
    const Resizable = ArrayBuffer as unknown as new (n: number, options: object) => ArrayBuffer
    const data = new Float32Array(new Resizable(16, { maxByteLength: 32 }))
    expect(refusal(() => Tensor.from(data))).toEqual({
      code: 'ERR_INVALID_ARGUMENT',
      argument: 'data',
    })
  })

  test('a buffer that was transferred', () => {
    const data = new Float32Array(4)
    detach(data)
    expect(refusal(() => Tensor.from(data))).toEqual({ code: 'ERR_DETACHED', argument: 'data' })
  })

  test('new Tensor()', () => {
    const Public = Tensor as unknown as new () => Tensor
    expect(refusal(() => new Public()).code).toBe('ERR_INVALID_ARGUMENT')
  })

  test('more memory than there is, naming the bytes', () => {
    expect(refusal(() => Tensor.zeros([2 ** 25, 2 ** 25])).code).toBe('ERR_OUT_OF_MEMORY')
    expect(() => Tensor.zeros([2 ** 25, 2 ** 25])).toThrow(String(2 ** 52))
  })
})

test('is a handle on the memory of its array', () => {
  const data = new Float32Array(6)
  const tensor = Tensor.from(data, { shape: [2, 3] })
  expect(tensor.data).toBe(data)
  expect(tensor).toMatchObject({ dtype: 'float32', shape: [2, 3], rowStride: 3, device: 'cpu' })
  expect(Object.isFrozen(tensor.shape)).toBe(true)
})

test('has the dtype of its array', () => {
  const kinds = [new Float32Array(1), new Float64Array(1), new Int32Array(1), new Uint8Array(1)]
  expect(kinds.map((data) => Tensor.from(data).dtype)).toEqual([
    'float32',
    'float64',
    'int32',
    'uint8',
  ])
  expect(Tensor.from(Buffer.alloc(3)).dtype).toBe('uint8')
})

test('shows shared memory', () => {
  const data = new Float32Array(new SharedArrayBuffer(16))
  expect(Tensor.from(data).data).toBe(data)
})

test.each([
  ['ends at its last row', 7],
  ['ends at a whole stride', 8],
])('takes padded rows: data that %s', (_, length) => {
  const data = Float32Array.from({ length }, (_value, i) => i)
  const tensor = Tensor.from(data, { shape: [2, 3], rowStride: 4 })
  expect(tensor.rowStride).toBe(4)
  expect(Array.from(tensor.toFloat32Array())).toEqual([0, 1, 2, 4, 5, 6])
})

test('zeros() has the shape and dtype asked for', () => {
  const tensor = Tensor.zeros([2, 2], 'bfloat16')
  expect(tensor).toMatchObject({ dtype: 'bfloat16', shape: [2, 2] })
  expect(tensor.data).toEqual(new Uint16Array(4))
})

describe('toFloat32Array()', () => {
  test('of bfloat16', () => {
    const bits = Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001, 0x8000)
    const decoded = Tensor.from(bits, { dtype: 'bfloat16' }).toFloat32Array()
    expect(Array.from(decoded)).toEqual([1, -2, Infinity, 2 ** -133, -0])
  })

  test('of float16', () => {
    const bits = Uint16Array.of(0x3c00, 0xc000, 0xfc00, 0x0001, 0x0400, 0x7bff, 0x8000)
    const decoded = Tensor.from(bits, { dtype: 'float16' }).toFloat32Array()
    expect(Array.from(decoded)).toEqual([1, -2, -Infinity, 2 ** -24, 2 ** -14, 65504, -0])
  })

  test('NaN stays NaN', () => {
    const half = Tensor.from(Uint16Array.of(0x7e00), { dtype: 'float16' })
    const brain = Tensor.from(Uint16Array.of(0x7fc0), { dtype: 'bfloat16' })
    expect([half, brain].map((tensor) => tensor.toFloat32Array()[0])).toEqual([NaN, NaN])
  })

  test('of float64 rounds', () => {
    expect(Array.from(Tensor.from(Float64Array.of(0.1)).toFloat32Array())).toEqual([
      Math.fround(0.1),
    ])
  })
})

describe('dispose()', () => {
  test('lets go, and may be called again', () => {
    const tensor = Tensor.zeros([1])
    expect(tensor.disposed).toBe(false)
    tensor.dispose()
    tensor.dispose()
    expect(tensor.disposed).toBe(true)
    expect(refusal(() => tensor.data)).toEqual({ code: 'ERR_DISPOSED', argument: 'tensor' })
    expect(refusal(() => tensor.toFloat32Array()).code).toBe('ERR_DISPOSED')
  })

  test('is what Symbol.dispose does', () => {
    const tensor = Tensor.zeros([1])
    tensor[Symbol.dispose]()
    expect(tensor.disposed).toBe(true)
  })
})

test('data of a buffer that went elsewhere is ERR_DETACHED', () => {
  const data = new Float32Array(2)
  const tensor = Tensor.from(data)
  detach(data)
  expect(refusal(() => tensor.data)).toEqual({ code: 'ERR_DETACHED', argument: 'tensor' })
})
