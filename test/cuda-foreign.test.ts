// Memory of others: pointers, and what another process shares. See cuda-support.ts.
import { Engine, Tensor } from '../lib'
import type { ShareHandle, UnsafePointer } from '../lib'
import { addon } from '../lib/native'
import { describeOnDevice, hostValues, onDevice } from './cuda-support'
import { refusal } from './support'

describeOnDevice('fromUnsafePointer()', () => {
  const memory = () => onDevice(Float32Array.of(1, 2, 3, 4, 5, 6))
  const layout = { dtype: 'float32', shape: [2, 2], rowStride: 3, device: 'cuda:0' } as const

  test('shows padded rows of memory that is not its own', () => {
    const owner = memory()
    const tensor = Tensor.fromUnsafePointer({ ...layout, pointer: owner.pointer })
    expect(tensor).toMatchObject({
      shape: [2, 2],
      rowStride: 3,
      dtype: 'float32',
      device: 'cuda:0',
    })
    expect(tensor.pointer).toBe(owner.pointer)
    expect(hostValues(tensor)).toEqual([1, 2, 4, 5])
    tensor.dispose()
    expect(hostValues(owner)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test.each<[string, object, string, string]>([
    ['no address', { pointer: 5 }, 'ERR_INVALID_ARGUMENT', 'pointer'],
    ['null', { pointer: 0n }, 'ERR_INVALID_ARGUMENT', 'pointer'],
    ['more than 64 bits', { pointer: 1n << 64n }, 'ERR_INVALID_ARGUMENT', 'pointer'],
    ['a dtype that is none', { dtype: 'float8' }, 'ERR_INVALID_DTYPE', 'dtype'],
    ['no shape', { shape: undefined }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a stride below the columns', { rowStride: 1 }, 'ERR_INVALID_SHAPE', 'rowStride'],
    ['the host as the device', { device: 'cpu' }, 'ERR_INVALID_OPTION', 'device'],
    ['an unknown device', { device: 'cuda' }, 'ERR_INVALID_OPTION', 'device'],
    ['an unknown option', { length: 1 }, 'ERR_INVALID_OPTION', 'length'],
  ])('refuses %s', (_, change, code, argument) => {
    const options = { ...layout, pointer: memory().pointer, ...change } as UnsafePointer
    expect(refusal(() => Tensor.fromUnsafePointer(options))).toEqual({ code, argument })
  })

  test('refuses an address that is not aligned to the dtype', () => {
    const owner = memory()
    const body = () => Tensor.fromUnsafePointer({ ...layout, pointer: owner.pointer + 2n })
    expect(refusal(body)).toEqual({ code: 'ERR_INVALID_ARGUMENT', argument: 'pointer' })
    expect(body).toThrow('a multiple of 4')
  })

  test('refuses more than the allocation holds', () => {
    const owner = memory()
    const options = { ...layout, shape: [2 ** 20], rowStride: 2 ** 20, pointer: owner.pointer }
    expect(refusal(() => Tensor.fromUnsafePointer(options)).code).toBe('ERR_INVALID_ARGUMENT')
  })

  test('refuses memory of the host, and memory that was freed', () => {
    // An address inside the stack or a library: never one of the device.
    const host = { ...layout, pointer: 4096n }
    expect(refusal(() => Tensor.fromUnsafePointer(host)).code).toBe('ERR_INVALID_ARGUMENT')
  })

  test('refuses an engine of the CPU', () => {
    using engine = Engine.open({ threads: 1 })
    const options = { ...layout, pointer: memory().pointer, engine }
    expect(refusal(() => Tensor.fromUnsafePointer(options))).toEqual({
      code: 'ERR_DEVICE_MISMATCH',
      argument: 'engine',
    })
  })
})

describeOnDevice('shared memory', () => {
  test('has a handle of plain values', () => {
    const tensor = Tensor.shareable([2, 3], 'bfloat16')
    const handle = tensor.shareHandle()
    expect(JSON.parse(JSON.stringify(handle))).toEqual(handle)
    expect(handle).toMatchObject({
      dtype: 'bfloat16',
      shape: [2, 3],
      rowStride: 3,
      offset: 0,
      device: 'cuda:0',
    })
    expect(handle.handle).toMatch(/^[0-9a-f]{128}$/)
  })

  test('is refused for memory of the pool', () => {
    const code = refusal(() => onDevice(new Float32Array(4)).shareHandle()).code
    expect(code).toBe('ERR_INVALID_ARGUMENT')
  })

  const valid = () => Tensor.shareable([4]).shareHandle()
  test.each<[string, object, string, string]>([
    ['no handle', { handle: 'ab' }, 'ERR_INVALID_ARGUMENT', 'handle'],
    ['an offset below 0', { offset: -1 }, 'ERR_INVALID_OPTION', 'offset'],
    ['a dtype that is none', { dtype: 'x' }, 'ERR_INVALID_DTYPE', 'dtype'],
    ['an empty shape', { shape: [] }, 'ERR_INVALID_SHAPE', 'shape'],
    ['a short stride', { rowStride: 1 }, 'ERR_INVALID_SHAPE', 'rowStride'],
    ['an unknown key', { secret: 1 }, 'ERR_INVALID_ARGUMENT', 'secret'],
  ])('is not opened with %s', (_, change, code, argument) => {
    const handle = { ...valid(), ...change } as ShareHandle
    expect(refusal(() => Tensor.fromShareHandle(handle))).toEqual({ code, argument })
  })
})

describeOnDevice('the addon itself believes no claim about memory', () => {
  const engine = () => new addon.Engine(1, undefined, 0)
  const make = (...args: unknown[]) =>
    Reflect.construct(addon.DeviceMemory, args) as InstanceType<typeof addon.DeviceMemory>
  const code = (body: () => unknown): unknown => {
    try {
      body()
    } catch (error) {
      return (error as { code?: unknown }).code
    }
    return undefined
  }

  test.each<[string, () => unknown, string]>([
    ['nothing at all', () => make(), 'ERR_INTERNAL'],
    ['an unknown kind', () => make('heap', engine(), 8), 'ERR_INTERNAL'],
    ['a negative length', () => make('pool', engine(), -1), 'ERR_INTERNAL'],
    ['a length that is NaN', () => make('pool', engine(), NaN), 'ERR_INTERNAL'],
    ['no length', () => make('pool', engine(), 0), 'ERR_INVALID_ARGUMENT'],
    ['no engine', () => make('pool', {}, 8), 'ERR_INVALID_ARGUMENT'],
    [
      'an engine of the CPU',
      () => make('pool', new addon.Engine(0, undefined, 1), 8),
      'ERR_INVALID_ARGUMENT',
    ],
    ['a pointer of no bigint', () => make('pointer', engine(), 8, 4096), 'ERR_INVALID_ARGUMENT'],
    ['a short handle', () => make('imported', engine(), 8, new Uint8Array(3), 0), 'ERR_INTERNAL'],
    ['a view of no memory', () => make('view', engine(), 8, 0), 'ERR_INVALID_ARGUMENT'],
    [
      'a view beyond the end',
      () => make('view', make('pool', engine(), 8), 8, 1),
      'ERR_INVALID_SHAPE',
    ],
    [
      'a view longer than all',
      () => make('view', make('pool', engine(), 8), 2 ** 53, 0),
      'ERR_INVALID_SHAPE',
    ],
    ['an event of no engine', () => Reflect.construct(addon.Event, [{}]), 'ERR_INVALID_ARGUMENT'],
    ['pinned memory of no length', () => addon.pinnedBuffer(engine(), NaN), 'ERR_INTERNAL'],
  ])('%s', (_, body, expected) => {
    expect(code(body)).toBe(expected)
  })

  test('a tensor longer than its memory, or on some that was disposed', () => {
    const opened = engine()
    const memory = make('pool', opened, 16)
    const shapes = Float64Array.of(5, 1, 1, 0, 5, 1, 1, 0)
    const run = () => addon.copy(opened, [memory, new Float32Array(5)], shapes)
    expect(code(run)).toBe('ERR_INVALID_SHAPE')
    shapes.set([2, 1, 1, 9])
    expect(code(run)).toBe('ERR_INVALID_DTYPE')
    memory.dispose()
    expect(code(run)).toBe('ERR_DISPOSED')
    expect(code(() => memory.pointer())).toBe('ERR_DISPOSED')
  })
})
