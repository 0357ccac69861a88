import { getEventListeners } from 'node:events'
import {
  Engine,
  groupAdvantages,
  groupAdvantagesAsync,
  lossFromLogits,
  lossFromLogitsAsync,
  lossFromLogProbs,
  lossFromLogProbsAsync,
  maskPatches,
  maskPatchesAsync,
  maskPatchRows,
  maskPatchRowsAsync,
  PapoError,
  randomPatchMask,
  randomPatchMaskAsync,
  reinforcePlusPlusAdvantages,
  reinforcePlusPlusAdvantagesAsync,
  remaxAdvantages,
  remaxAdvantagesAsync,
  saliencyPatchMask,
  saliencyPatchMaskAsync,
  Tensor,
  tokenLogProbs,
  tokenLogProbsAsync,
} from '../lib'
import { asInputs, lossInputs, numbers, refusal, snapshot, values } from './support'

/** What a promise is rejected with; fails where it is not. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection, but the promise was fulfilled')
}

async function refusalOf(promise: Promise<unknown>) {
  const error = await rejection(promise)
  return refusal(() => {
    throw error
  })
}

/** Memory of WebAssembly: its buffer is detached whenever it grows. */
function wasmMemory(pages: number): { buffer: ArrayBuffer; grow(pages: number): number } {
  const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: WasmMemory } }).WebAssembly
  return new Memory({ initial: pages, maximum: 2 * pages })
}

type WasmMemory = new (size: {
  initial: number
  maximum: number
}) => { buffer: ArrayBuffer; grow(pages: number): number }

/** A call that takes long enough to be there when the next lines run. */
function longCall(signal?: AbortSignal) {
  const [rows, columns] = [256, 100_000]
  const logits = Tensor.zeros([1, rows, columns])
  const inputs = { logits, tokens: new Int32Array(rows), advantages: Float32Array.of(1) }
  const options = signal === undefined ? { perToken: false } : { perToken: false, signal }
  return { inputs, result: lossFromLogitsAsync(inputs, 'grpo', options) }
}

describe('the async form gives what the sync form gives:', () => {
  const inputs = lossInputs()
  const { logits, tokens, responseMask, oldLogProbs, refLogProbs, advantages } = inputs
  const given = { logProbs: oldLogProbs, maskedLogProbs: refLogProbs, advantages, responseMask }
  const rewards = Float32Array.of(1, 0, 0.5, 0.25)
  const ids = Int32Array.of(7, 7, -1, -1)
  const perToken = { rewards: Tensor.from(numbers(6, 3), { shape: [2, 3] }), responseMask }

  const image = Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => i % 251)
  const size = { height: 40, width: 30 }
  const patchMask = randomPatchMask({ ...size, seed: 5 })
  const patches = Tensor.from(numbers(16 * 12, 8), { shape: [16, 12] })
  const masks = {
    patchMask: new Uint8Array(16).map((_, i) => i % 2),
    gridThw: [[1, 4, 4]],
  } as const

  test.each([
    [
      'maskPatches',
      () => maskPatches(image, { ...size, patchMask }),
      () => maskPatchesAsync(image, { ...size, patchMask }),
    ],
    [
      'maskPatchRows',
      () => maskPatchRows(patches, { ...masks, fill: 0.5 }),
      () => maskPatchRowsAsync(patches, { ...masks, fill: 0.5 }),
    ],
    [
      'randomPatchMask',
      () => randomPatchMask({ ...size, seed: 7, prompt: 3 }),
      () => randomPatchMaskAsync({ ...size, seed: 7, prompt: 3 }),
    ],
    [
      'saliencyPatchMask',
      () => saliencyPatchMask(Tensor.from(numbers(12, 6), { shape: [3, 4] }), { count: 5 }),
      () => saliencyPatchMaskAsync(Tensor.from(numbers(12, 6), { shape: [3, 4] }), { count: 5 }),
    ],
    [
      'lossFromLogits',
      () => lossFromLogits(inputs, 'papoExact', { gradNorm: true }),
      () => lossFromLogitsAsync(inputs, 'papoExact', { gradNorm: true }),
    ],
    [
      'lossFromLogits of packed responses',
      () => lossFromLogits({ ...inputs, cuSeqlens: [0, 2, 6] }, 'gspo'),
      () => lossFromLogitsAsync({ ...inputs, cuSeqlens: [0, 2, 6] }, 'gspo'),
    ],
    [
      'lossFromLogProbs',
      () => lossFromLogProbs(given, 'papoGNoRef'),
      () => lossFromLogProbsAsync(given, 'papoGNoRef'),
    ],
    [
      'tokenLogProbs',
      () => tokenLogProbs({ logits, tokens, responseMask }, { entropies: true, temperature: 0.7 }),
      () =>
        tokenLogProbsAsync({ logits, tokens, responseMask }, { entropies: true, temperature: 0.7 }),
    ],
    [
      'groupAdvantages',
      () => groupAdvantages(rewards, ids, { scale: 'batch' }),
      () => groupAdvantagesAsync(rewards, ids, { scale: 'batch' }),
    ],
    [
      'remaxAdvantages',
      () => remaxAdvantages(rewards, rewards.slice().reverse()),
      () => remaxAdvantagesAsync(rewards, rewards.slice().reverse()),
    ],
    [
      'reinforcePlusPlusAdvantages',
      () => reinforcePlusPlusAdvantages(perToken, { discount: 0.9 }),
      () => reinforcePlusPlusAdvantagesAsync(perToken, { discount: 0.9 }),
    ],
  ] as [string, () => object, () => Promise<object>][])('%s', async (_, sync, queued) => {
    const expected = plain(sync())
    expect(JSON.stringify(expected)).toMatch(/\d/)
    expect(plain(await queued())).toEqual(expected)
  })

  function plain(value: unknown): unknown {
    if (value instanceof Tensor) return { dtype: value.dtype, shape: value.shape, ...values(value) }
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]))
  }
})

describe('the queue', () => {
  test('runs calls in the order in which they were made, on whatever engine', async () => {
    const engines = [Engine.open({ threads: 1 }), Engine.open({ threads: 2 })]
    const [mine, theirs] = [lossInputs(), lossInputs()]
    for (let i = 0; i < 20; ++i) lossFromLogits(mine, 'grpo', { gradient: 'inPlace' })
    const long = longCall()
    const calls = Array.from({ length: 20 }, (_, i) =>
      lossFromLogitsAsync(theirs, 'grpo', { gradient: 'inPlace', engine: engines[i % 2]! }),
    )
    await Promise.all([long.result, ...calls])
    expect(values(theirs.logits)).toEqual(values(mine.logits))
    for (const engine of engines) engine.dispose()
  })

  test('does not hold up calls on this thread', async () => {
    const order: string[] = []
    const queued = longCall().result.then(() => order.push('queued'))
    for (let i = 0; i < 10; ++i) lossFromLogits(lossInputs(), 'papoG')
    order.push('now')
    await queued
    expect(order).toEqual(['now', 'queued'])
  })

  test('keeps every call apart', async () => {
    const all = Array.from({ length: 100 }, (_, i) => {
      const inputs = { ...lossInputs(), advantages: Float32Array.of(i, -i) }
      return { inputs, queued: lossFromLogitsAsync(inputs, 'papoG') }
    })
    for (const { inputs, queued } of all) {
      const expected = lossFromLogits(inputs, 'papoG')
      const { loss, metrics } = await queued
      expect(loss).toBe(expected.loss)
      expect(metrics).toEqual(expected.metrics)
    }
  })

  test('finishes what an engine was given before it was disposed', async () => {
    const engine = Engine.open({ threads: 2 })
    const queued = [1, 2, 3].map(() => lossFromLogitsAsync(lossInputs(), 'papoG', { engine }))
    engine.dispose()
    const expected = lossFromLogits(lossInputs(), 'papoG').loss
    for (const { loss } of await Promise.all(queued)) expect(loss).toBe(expected)
    expect(await refusalOf(lossFromLogitsAsync(lossInputs(), 'papoG', { engine }))).toEqual({
      code: 'ERR_DISPOSED',
      argument: 'engine',
    })
  })
})

describe('rejects, and never throws,', () => {
  test.each([
    [
      'an unknown option',
      { ...lossInputs() },
      { gradiant: 'new' },
      'ERR_INVALID_OPTION',
      'gradiant',
    ],
    ['a signal that is none', lossInputs(), { signal: 1 }, 'ERR_INVALID_OPTION', 'signal'],
    ['inputs that are none', 3, {}, 'ERR_INVALID_ARGUMENT', 'inputs'],
    [
      'a token outside the vocabulary',
      { ...lossInputs(), tokens: Int32Array.of(0, 1, 2, 3, 5, 0) },
      {},
      'ERR_INVALID_VALUE',
      'tokens',
    ],
    [
      'a mask of 2',
      { ...lossInputs(), responseMask: Uint8Array.of(1, 1, 2, 1, 1, 1) },
      {},
      'ERR_INVALID_VALUE',
      'responseMask',
    ],
  ])('%s', async (_, inputs, options, code, argument) => {
    const before = snapshot(Object(inputs))
    const call = lossFromLogitsAsync(asInputs(inputs as never), 'papoG', {
      gradient: 'inPlace',
      ...options,
    } as never)
    expect(call).toBeInstanceOf(Promise)
    const error = await rejection(call)
    expect(error).toBeInstanceOf(PapoError)
    expect(error).toMatchObject({ code, argument })
    expect(snapshot(Object(inputs))).toEqual(before)
  })

  test('options that are null', async () => {
    const call = lossFromLogitsAsync(lossInputs(), 'papoG', null as never)
    expect(await refusalOf(call)).toEqual({ code: 'ERR_INVALID_ARGUMENT', argument: 'options' })
  })

  test('a group of one', async () => {
    const call = groupAdvantagesAsync(Float32Array.of(1, 2, 3), Int32Array.of(0, 0, 1))
    expect((await refusalOf(call)).code).toBe('ERR_INVALID_VALUE')
  })

  test('with a stack that leads to the call', async () => {
    const tokens = Int32Array.of(0, 1, 2, 3, 5, 0)
    async function whereItWasCalled() {
      await lossFromLogitsAsync({ ...lossInputs(), tokens }, 'papoG')
    }
    const error = (await rejection(whereItWasCalled())) as Error
    expect(error.stack).toContain('whereItWasCalled')
  })
})

describe('an AbortSignal', () => {
  test('that was aborted before: nothing runs', async () => {
    const inputs = lossInputs()
    const before = snapshot(inputs)
    const reason = new Error('no longer needed')
    const call = lossFromLogitsAsync(inputs, 'grpo', {
      gradient: 'inPlace',
      signal: AbortSignal.abort(reason),
    })
    expect(await rejection(call)).toBe(reason)
    expect(snapshot(inputs)).toEqual(before)
  })

  test('takes a waiting call out of the queue', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const inputs = lossInputs()
    const before = snapshot(inputs)
    const long = longCall()
    const longer = [1, 2, 3].map(() =>
      lossFromLogitsAsync(long.inputs, 'grpo', { perToken: false, gradient: 'none' }),
    )
    const call = lossFromLogitsAsync(inputs, 'grpo', { gradient: 'inPlace', signal })
    const next = lossFromLogitsAsync(lossInputs(), 'grpo')
    controller.abort()
    expect(await rejection(call)).toMatchObject({ name: 'AbortError' })
    await Promise.all([long.result, ...longer, next])
    expect(snapshot(inputs)).toEqual(before)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('that comes when the call is done changes nothing', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const { loss } = await lossFromLogitsAsync(lossInputs(), 'papoG', { signal })
    controller.abort()
    expect(loss).toBe(lossFromLogits(lossInputs(), 'papoG').loss)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('that comes while the call runs leaves it its result', async () => {
    const controller = new AbortController()
    const long = longCall(controller.signal)
    await new Promise((resolve) => setTimeout(resolve, 1))
    controller.abort()
    const outcome = await long.result.catch((error: Error) => error.name)
    const { loss } = lossFromLogits(long.inputs, 'grpo', { perToken: false })
    expect([loss, 'AbortError']).toContain(typeof outcome === 'string' ? outcome : outcome.loss)
  })

  test('is no option of the sync form', () => {
    const options = { signal: new AbortController().signal } as never
    expect(refusal(() => lossFromLogits(lossInputs(), 'papoG', options))).toEqual({
      code: 'ERR_INVALID_OPTION',
      argument: 'signal',
    })
  })
})

describe('a buffer in flight', () => {
  test('is not transferred', async () => {
    const { inputs, result } = longCall()
    const data = inputs.logits.data
    const buffer = data.buffer as ArrayBuffer
    try {
      structuredClone(buffer, { transfer: [buffer] })
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' })
    }
    expect(data.length).toBe(256 * 100_000)
    const { loss } = await result
    expect(loss).toBe(lossFromLogits(inputs, 'grpo', { perToken: false }).loss)
  })

  test('is not transferred by its own method', async () => {
    const { inputs, result } = longCall()
    const buffer = inputs.logits.data.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }
    if (buffer.transfer !== undefined) expect(() => buffer.transfer!()).toThrow()
    await result
    expect(inputs.logits.data.length).toBe(256 * 100_000)
    expect(Object.keys(Object.getOwnPropertyDescriptors(buffer))).toEqual([])
  })

  test('that was detached all the same is reported', async () => {
    const memory = wasmMemory(32)
    const data = new Float32Array(memory.buffer, 0, 2 * 3 * 5)
    data.set(numbers(30, 4))
    const long = longCall()
    const logits = Tensor.from(data, { shape: [2, 3, 5] })
    const call = lossFromLogitsAsync({ ...lossInputs(), logits }, 'papoG')
    memory.grow(1)
    expect(await refusalOf(call)).toEqual({ code: 'ERR_DETACHED', argument: 'logits' })
    await long.result
  })

  test('is no resizable one', async () => {
    const Resizable = ArrayBuffer as unknown as new (
      bytes: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer
    const tokens = new Int32Array(new Resizable(24, { maxByteLength: 48 }))
    const call = lossFromLogitsAsync({ ...lossInputs(), tokens }, 'papoG')
    expect((await refusalOf(call)).argument).toBe('tokens')
  })

  test('may be shared memory', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(120))
    shared.set(numbers(30, 1))
    const logits = Tensor.from(shared, { shape: [2, 3, 5] })
    const { loss } = await lossFromLogitsAsync({ ...lossInputs(), logits }, 'papoG')
    expect(loss).toBe(lossFromLogits(lossInputs(), 'papoG').loss)
  })

  test('may be transferred when it is a result', async () => {
    const { logits, tokens } = lossInputs()
    const { logProbs } = await tokenLogProbsAsync({ logits, tokens })
    const { buffer } = logProbs.data
    expect(structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }).byteLength).toBe(24)
    expect(buffer.byteLength).toBe(0)
  })
})
