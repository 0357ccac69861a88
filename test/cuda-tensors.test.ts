// Tensors of a device: memory, copies, disposal. See cuda-support.ts for where these run.
import { Engine, Tensor } from '../lib'
import type { DType, TypedArray } from '../lib'
import { describeOnDevice, hostValues, onDevice } from './cuda-support'
import { refusal } from './support'

const arrays: readonly (readonly [DType, TypedArray])[] = [
  ['float32', Float32Array.of(1.5, -2, NaN, Infinity)],
  ['float64', Float64Array.of(0.1, -2, NaN, -Infinity)],
  ['float16', Uint16Array.of(0x3c00, 0xc000, 0x7e00, 1)],
  ['bfloat16', Uint16Array.of(0x3f80, 0xc000, 0x7fc0, 1)],
  ['int32', Int32Array.of(-1, 0, 7, 2 ** 31 - 1)],
  ['uint8', Uint8Array.of(0, 1, 2, 255)],
]

describeOnDevice('copies', () => {
  test.each(arrays)('%s to the device and back, bit for bit', async (dtype, data) => {
    const tensor = Tensor.from(data, { dtype, shape: [2, 2] })
    const there = tensor.to('cuda:0')
    expect(there).toMatchObject({ dtype, shape: [2, 2], rowStride: 2, device: 'cuda:0' })
    const back = there.to('cpu')
    expect(back).toMatchObject({ dtype, shape: [2, 2], device: 'cpu' })
    const bytes = (array: TypedArray) =>
      Buffer.from(array.buffer, array.byteOffset, array.byteLength)
    expect(bytes(back.data).equals(bytes(data))).toBe(true)
    expect(
      bytes((await (await tensor.toAsync('cuda:0')).toAsync('cpu')).data).equals(bytes(data)),
    ).toBe(true)
    expect(bytes(there.to('cuda:0').to('cpu').data).equals(bytes(data))).toBe(true)
    expect(there.toFloat32Array()).toEqual(tensor.toFloat32Array())
  })

  test('from padded rows, without what lies between them', () => {
    const padded = Tensor.from(Float32Array.of(1, 2, 99, 3, 4, 99), { shape: [2, 2], rowStride: 3 })
    const there = padded.to('cuda:0')
    expect(there.rowStride).toBe(2)
    expect(hostValues(there)).toEqual([1, 2, 3, 4])
  })

  test('into padded rows, and nothing between them', async () => {
    const data = new Float32Array(6).fill(9)
    const rows = Tensor.from(data, { shape: [2, 2], rowStride: 3 })
    onDevice(Float32Array.of(1, 2, 3, 4), [2, 2]).copyTo(rows)
    expect(Array.from(data)).toEqual([1, 2, 9, 3, 4, 9])
    await onDevice(Float32Array.of(5, 6, 7, 8)).copyToAsync(rows)
    expect(Array.from(data)).toEqual([5, 6, 9, 7, 8, 9])
  })

  test('into a bare array, and from one part of the device to another', () => {
    const there = onDevice(Int32Array.of(4, 5, 6))
    const array = new Int32Array(3)
    there.copyTo(array)
    expect(Array.from(array)).toEqual([4, 5, 6])
    const other = Tensor.zeros([3], 'int32', { device: 'cuda:0' })
    there.copyTo(other)
    expect(hostValues(other)).toEqual([4, 5, 6])
  })

  test('into pinned memory, which is an array like any other', async () => {
    const pinned = Tensor.pinned([2, 2])
    expect(pinned).toMatchObject({ device: 'cpu', dtype: 'float32', shape: [2, 2] })
    expect(Array.from(pinned.data)).toEqual([0, 0, 0, 0])
    await onDevice(Float32Array.of(1, 2, 3, 4), [2, 2]).copyToAsync(pinned)
    expect(Array.from(pinned.data)).toEqual([1, 2, 3, 4])
    pinned.data[3] = 7
    expect(hostValues(pinned.to('cuda:0'))).toEqual([1, 2, 3, 7])
  })

  test('on the host need no device', async () => {
    const [from, to] = [Tensor.from(Float32Array.of(1, 2)), Tensor.zeros([2])]
    from.copyTo(to)
    expect(hostValues(to)).toEqual([1, 2])
    expect(hostValues(await to.toAsync('cpu'))).toEqual([1, 2])
    expect(to.to('cpu').data).not.toBe(to.data)
  })

  test.each([
    ['another dtype', () => new Int32Array(4), 'ERR_INVALID_DTYPE'],
    ['another length', () => new Float32Array(5), 'ERR_INVALID_SHAPE'],
    ['another shape', () => Tensor.zeros([4, 1]), 'ERR_INVALID_SHAPE'],
    ['no tensor', () => [1, 2, 3, 4], 'ERR_INVALID_ARGUMENT'],
  ] as const)('refuse %s as the destination', (_, make, code) => {
    const there = onDevice(new Float32Array(4), [2, 2])
    const destination = make() as unknown as Tensor
    expect(refusal(() => there.copyTo(destination))).toEqual({ code, argument: 'destination' })
  })

  test('refuse a tensor over itself', () => {
    const there = onDevice(new Float32Array(4))
    const { pointer } = there
    const later = Tensor.fromUnsafePointer({
      pointer: pointer + 4n,
      dtype: 'float32',
      shape: [3],
      device: 'cuda:0',
    })
    const first = Tensor.fromUnsafePointer({
      pointer,
      dtype: 'float32',
      shape: [3],
      device: 'cuda:0',
    })
    expect(refusal(() => first.copyTo(later)).code).toBe('ERR_OVERLAP')
  })

  test('refuse an engine that takes no part', () => {
    const engine = Engine.open({ threads: 1 })
    const there = onDevice(new Float32Array(4))
    const expected = { code: 'ERR_DEVICE_MISMATCH', argument: 'engine' }
    expect(refusal(() => there.to('cpu', { engine }))).toEqual(expected)
    expect(refusal(() => Tensor.zeros([1]).to('cuda:0', { engine }))).toEqual(expected)
    expect(refusal(() => Tensor.zeros([1], 'int32', { device: 'cuda:0', engine }))).toEqual(
      expected,
    )
  })

  test('give up a queued copy whose signal aborted', async () => {
    const there = onDevice(new Float32Array(4))
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(there.toAsync('cpu', { signal })).rejects.toThrow('enough')
  })
})

describeOnDevice('new memory', () => {
  test('zeros() is zero, on the device or engine asked for', () => {
    using engine = Engine.open({ device: 'cuda:0' })
    expect(hostValues(Tensor.zeros([3], 'bfloat16', { engine }))).toEqual([0, 0, 0])
    expect(hostValues(Tensor.zeros([2, 1], 'int32', { device: 'cuda:0' }))).toEqual([0, 0])
  })

  test('empty() has shape, dtype and an address', () => {
    const tensor = Tensor.empty([2, 3], 'float16', { device: 'cuda:0' })
    expect(tensor).toMatchObject({ shape: [2, 3], dtype: 'float16', device: 'cuda:0' })
    expect(tensor.pointer % 256n).toBe(0n)
  })

  test('more than there is, naming what for', () => {
    const body = () => Tensor.empty([2 ** 25, 2 ** 20], 'float32', { device: 'cuda:0' })
    expect(refusal(body)).toEqual({ code: 'ERR_OUT_OF_MEMORY', argument: 'shape' })
    expect(body).toThrow(String(2 ** 47))
  })

  test.each([
    ['an unknown option', { where: 'cuda:0' }, 'ERR_INVALID_OPTION', 'where'],
    ['an unknown device', { device: 'cuda' }, 'ERR_INVALID_OPTION', 'device'],
    ['a device beyond the last', { device: 'cuda:99' }, 'ERR_UNAVAILABLE', 'device'],
    ['an engine that is none', { engine: {} }, 'ERR_INVALID_ARGUMENT', 'engine'],
  ])('refuses %s', (_, options, code, argument) => {
    expect(refusal(() => Tensor.zeros([1], 'float32', options as object))).toEqual({
      code,
      argument,
    })
  })

  test('pinned and shareable memory are of a CUDA device', () => {
    const expected = { code: 'ERR_INVALID_OPTION', argument: 'device' }
    expect(refusal(() => Tensor.pinned([1], 'float32', { device: 'cpu' }))).toEqual(expected)
    expect(refusal(() => Tensor.shareable([1], 'float32', { device: 'cpu' }))).toEqual(expected)
  })
})

describeOnDevice('a tensor of a device', () => {
  test('has no data, and says how to copy it', () => {
    const there = onDevice(new Float32Array(2))
    expect(refusal(() => there.data).code).toBe('ERR_DEVICE_MISMATCH')
    expect(() => there.data).toThrow("tensor.to('cpu')")
  })

  test('on the host has no address', () => {
    const expected = { code: 'ERR_DEVICE_MISMATCH', argument: 'tensor' }
    expect(refusal(() => Tensor.zeros([1]).pointer)).toEqual(expected)
    expect(refusal(() => Tensor.zeros([1]).shareHandle())).toEqual(expected)
  })

  test('is gone after dispose(), which may be called again', () => {
    const there = onDevice(new Float32Array(2))
    there.dispose()
    there.dispose()
    expect(there.disposed).toBe(true)
    for (const body of [() => there.data, () => there.pointer, () => there.to('cpu')])
      expect(refusal(body).code).toBe('ERR_DISPOSED')
  })

  test('frees its memory at dispose(), also after its engine', () => {
    const engine = Engine.open({ device: 'cuda:0' })
    const tensor = Tensor.empty([1 << 20], 'float32', { engine })
    engine.dispose()
    expect(hostValues(Tensor.zeros([1], 'float32', { device: 'cuda:0' }))).toEqual([0])
    tensor.dispose()
  })

  test('keeps queued copies supplied after dispose()', async () => {
    const there = onDevice(Float32Array.of(1, 2, 3))
    const copy = there.toAsync('cpu')
    there.dispose()
    expect(hostValues(await copy)).toEqual([1, 2, 3])
  })
})
