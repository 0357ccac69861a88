// Engines of a device: options, streams, events. See cuda-support.ts.
import { DeviceEvent, defaultEngine, Engine, Tensor } from '../lib'
import type { EngineOptions } from '../lib'
import { describeOnDevice, hostValues, onDevice } from './cuda-support'
import { refusal } from './support'

describeOnDevice('an engine of a device', () => {
  test('has a stream, and neither threads nor a choice of instructions', () => {
    using engine = Engine.open({ device: 'cuda:0' })
    expect(engine).toMatchObject({ device: 'cuda:0', instructionSet: 'cuda', threads: 0 })
    expect(engine.stream).toBeGreaterThan(0n)
    engine.synchronize()
  })

  test('shares the stream it is given', () => {
    using owner = Engine.open({ device: 'cuda:0' })
    using engine = Engine.open({ device: 'cuda:0', stream: owner.stream })
    expect(engine.stream).toBe(owner.stream)
    expect(hostValues(Tensor.zeros([2], 'int32', { engine }))).toEqual([0, 0])
  })

  test.each<[string, object, string, string]>([
    ['threads', { threads: 2 }, 'ERR_INVALID_OPTION', 'threads'],
    [
      'instructions of the CPU',
      { instructionSet: 'portable' },
      'ERR_UNAVAILABLE',
      'instructionSet',
    ],
    ['a stream that is no bigint', { stream: 1 }, 'ERR_INVALID_OPTION', 'stream'],
    ['a stream of 0', { stream: 0n }, 'ERR_INVALID_OPTION', 'stream'],
  ])('refuses %s', (_, change, code, argument) => {
    const options = { device: 'cuda:0', ...change } as EngineOptions
    expect(refusal(() => Engine.open(options))).toEqual({ code, argument })
  })

  test('takes "cuda" for its instruction set', () => {
    using engine = Engine.open({ device: 'cuda:0', instructionSet: 'cuda' })
    expect(engine.instructionSet).toBe('cuda')
  })

  test('is refused beyond the last device', () => {
    expect(refusal(() => Engine.open({ device: 'cuda:99' }))).toEqual({
      code: 'ERR_UNAVAILABLE',
      argument: 'device',
    })
  })

  test('is the default of its device, apart from that of the CPU', () => {
    const first = defaultEngine('cuda:0')
    expect(defaultEngine('cuda:0')).toBe(first)
    expect(defaultEngine().device).toBe('cpu')
    first.dispose()
    expect(defaultEngine('cuda:0')).not.toBe(first)
  })

  test('tells its memory', () => {
    const { free, total } = defaultEngine('cuda:0').memoryInfo()
    expect(total).toBeGreaterThan(0)
    expect(free).toBeLessThanOrEqual(total)
    expect(free).toBeGreaterThan(0)
  })

  test('is not used after dispose()', () => {
    const engine = Engine.open({ device: 'cuda:0' })
    engine.dispose()
    engine.dispose()
    const uses = [
      () => engine.stream,
      () => engine.synchronize(),
      () => engine.memoryInfo(),
      () => engine.recordEvent(),
      () => Tensor.zeros([1], 'float32', { engine }),
      () => onDevice(new Float32Array(1)).to('cpu', { engine }),
    ]
    for (const use of uses) expect(refusal(use).code).toBe('ERR_DISPOSED')
  })
})

describeOnDevice('events', () => {
  test('pass, are waited for, and tell the time between them', () => {
    using engine = Engine.open({ device: 'cuda:0' })
    using other = Engine.open({ device: 'cuda:0' })
    const begin = engine.recordEvent()
    const tensor = Tensor.zeros([1024], 'float32', { engine })
    const end = engine.recordEvent()
    other.waitFor(end)
    other.synchronize()
    end.synchronize()
    expect(end.elapsedSince(begin)).toBeGreaterThanOrEqual(0)
    tensor.dispose()
  })

  test('are refused where they are none, or disposed', () => {
    using engine = Engine.open({ device: 'cuda:0' })
    const event = engine.recordEvent()
    const none = {} as unknown as DeviceEvent
    const refused = (argument: string) => ({ code: 'ERR_INVALID_ARGUMENT', argument })
    expect(refusal(() => engine.waitFor(none))).toEqual(refused('event'))
    expect(refusal(() => event.elapsedSince(none))).toEqual(refused('earlier'))
    const Public = DeviceEvent as unknown as new () => DeviceEvent
    expect(refusal(() => new Public()).code).toBe('ERR_INVALID_ARGUMENT')
    event.dispose()
    event.dispose()
    expect(refusal(() => event.synchronize()).code).toBe('ERR_DISPOSED')
    expect(refusal(() => engine.waitFor(event)).code).toBe('ERR_DISPOSED')
  })

  test('outlive their engine', () => {
    const engine = Engine.open({ device: 'cuda:0' })
    const event = engine.recordEvent()
    engine.dispose()
    event.synchronize()
    event.dispose()
  })
})
