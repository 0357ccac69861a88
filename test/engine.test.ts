import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { defaultEngine, Engine, instructionSets, lossFromLogits, tokenLogProbs } from '../lib'
import type { DeviceEvent, EngineOptions } from '../lib'
import { addon } from '../lib/native'
import type { NativeEngine } from '../lib/native'
import { lossInputs, refusal, values } from './support'

const openLoosely = (options: unknown) => Engine.open(options as EngineOptions)

describe('refuses', () => {
  test.each([
    ['an unknown instruction set', { instructionSet: 'sse9' }, 'ERR_UNAVAILABLE', 'instructionSet'],
    [
      'an instruction set of no text',
      { instructionSet: 3 },
      'ERR_INVALID_OPTION',
      'instructionSet',
    ],
    ['a CUDA device that is not here', { device: 'cuda:99' }, 'ERR_UNAVAILABLE', 'device'],
    ['an unknown device', { device: 'tpu' }, 'ERR_INVALID_OPTION', 'device'],
    ['a CUDA device without index', { device: 'cuda' }, 'ERR_INVALID_OPTION', 'device'],
    ['threads below 0', { threads: -1 }, 'ERR_INVALID_OPTION', 'threads'],
    ['too many threads', { threads: 1025 }, 'ERR_INVALID_OPTION', 'threads'],
    ['a stream on the CPU', { stream: 1n }, 'ERR_INVALID_OPTION', 'stream'],
    ['half a thread', { threads: 1.5 }, 'ERR_INVALID_OPTION', 'threads'],
    ['NaN threads', { threads: NaN }, 'ERR_INVALID_OPTION', 'threads'],
    ['an unknown option', { cores: 2 }, 'ERR_INVALID_OPTION', 'cores'],
    ['options that are none', 'avx2', 'ERR_INVALID_ARGUMENT', 'options'],
  ])('%s', (_, options, code, argument) => {
    expect(refusal(() => openLoosely(options))).toEqual({ code, argument })
  })

  test('new Engine()', () => {
    const Public = Engine as unknown as new () => Engine
    expect(refusal(() => new Public()).code).toBe('ERR_INVALID_ARGUMENT')
  })

  test.each([[{}], ['cpu'], [3]])('%p where an engine belongs', (engine) => {
    const options = { engine: engine as unknown as Engine }
    expect(refusal(() => lossFromLogits(lossInputs(), 'papoG', options))).toEqual({
      code: 'ERR_INVALID_ARGUMENT',
      argument: 'engine',
    })
  })

  test('an engine that was disposed', () => {
    const engine = Engine.open({ threads: 1 })
    engine.dispose()
    engine.dispose()
    expect(engine.disposed).toBe(true)
    const expected = { code: 'ERR_DISPOSED', argument: 'engine' }
    expect(refusal(() => lossFromLogits(lossInputs(), 'papoG', { engine }))).toEqual(expected)
    const { logits, tokens } = lossInputs()
    expect(refusal(() => tokenLogProbs({ logits, tokens }, { engine }))).toEqual(expected)
  })
})

test('the CPU has neither a stream nor events nor memory of its own', () => {
  using engine = Engine.open({ threads: 1 })
  expect(engine.stream).toBe(0n)
  engine.synchronize()
  const expected = { code: 'ERR_UNAVAILABLE', argument: 'engine' }
  const event = {} as unknown as DeviceEvent
  const uses = [() => engine.recordEvent(), () => engine.waitFor(event), () => engine.memoryInfo()]
  for (const use of uses) expect(refusal(use)).toEqual(expected)
})

test('instruction sets end with the reference, and each opens', () => {
  const names = instructionSets()
  expect(names.length).toBeGreaterThanOrEqual(2)
  expect(names[names.length - 1]).toBe('reference')
  for (const instructionSet of names) {
    using engine = Engine.open({ instructionSet, threads: 2 })
    expect(engine).toMatchObject({ instructionSet, threads: 2, device: 'cpu', disposed: false })
  }
})

test('the default is the fastest instruction set, and at least one thread', () => {
  using engine = Engine.open()
  expect(engine.instructionSet).toBe(instructionSets()[0])
  expect(engine.threads).toBeGreaterThanOrEqual(1)
})

test('results are the same bits for any number of threads', () => {
  const results = [1, 2, 5].map((threads) => {
    using engine = Engine.open({ threads })
    const { loss, logitsGrad } = lossFromLogits(lossInputs(), 'papoExact', { engine })
    return [loss, ...values(logitsGrad)]
  })
  expect(results[1]).toEqual(results[0])
  expect(results[2]).toEqual(results[0])
})

describe('the default engine', () => {
  test('is one, until it is disposed', () => {
    const first = defaultEngine()
    expect(defaultEngine()).toBe(first)
    first.dispose()
    expect(defaultEngine()).not.toBe(first)
    expect(defaultEngine().disposed).toBe(false)
  })

  test('heeds the environment', () => {
    defaultEngine().dispose()
    process.env['PAPO_KERNELS_INSTRUCTION_SET'] = 'portable'
    process.env['PAPO_KERNELS_THREADS'] = '3'
    try {
      expect(defaultEngine()).toMatchObject({ instructionSet: 'portable', threads: 3 })
      defaultEngine().dispose()
      process.env['PAPO_KERNELS_THREADS'] = 'many'
      expect(refusal(() => defaultEngine())).toEqual({
        code: 'ERR_INVALID_OPTION',
        argument: 'PAPO_KERNELS_THREADS',
      })
    } finally {
      delete process.env['PAPO_KERNELS_INSTRUCTION_SET']
      delete process.env['PAPO_KERNELS_THREADS']
    }
  })
})

describe('the addon itself', () => {
  const objective = new Float64Array(optionCount())
  const call = (engine: unknown, slots: unknown, shapes: unknown) =>
    addon.loss(
      engine as NativeEngine,
      objective,
      slots as [],
      shapes as Float64Array,
      undefined,
      1,
      false,
    )
  const thrown = (body: () => unknown): unknown => {
    try {
      body()
    } catch (error) {
      return (error as { code?: unknown }).code
    }
    return undefined
  }
  const slots = () => new Array(addon.layout['loss']!.length).fill(undefined)
  const shapes = () => new Float64Array(4 * slots().length)

  function optionCount(): number {
    return addon.layout['objective']!.length
  }

  test('takes no other object for an engine', () => {
    expect(thrown(() => call({}, slots(), shapes()))).toBe('ERR_INVALID_ARGUMENT')
    expect(thrown(() => call(undefined, slots(), shapes()))).toBe('ERR_INVALID_ARGUMENT')
  })

  test('takes no list or table of another length', () => {
    const engine = new addon.Engine(0, undefined, 1)
    expect(thrown(() => call(engine, [], shapes()))).toBe('ERR_INTERNAL')
    expect(thrown(() => call(engine, slots(), new Float64Array(3)))).toBe('ERR_INTERNAL')
    expect(thrown(() => call(engine, slots(), new Float32Array(120)))).toBe('ERR_INTERNAL')
  })

  test.each([
    ['fewer elements than claimed', new Float32Array(5), [2, 3, 3, 0], 'ERR_INVALID_SHAPE'],
    ['rows that overflow', new Float32Array(6), [2 ** 53, 3, 2 ** 53, 0], 'ERR_INVALID_SHAPE'],
    ['a negative row count', new Float32Array(6), [-1, 3, 3, 0], 'ERR_INVALID_SHAPE'],
    ['NaN columns', new Float32Array(6), [2, NaN, 3, 0], 'ERR_INVALID_SHAPE'],
    ['a stride below the columns', new Float32Array(6), [2, 3, 1, 0], 'ERR_INVALID_SHAPE'],
    ['another element type', new Float64Array(6), [2, 3, 3, 0], 'ERR_INVALID_DTYPE'],
    ['an unknown dtype', new Float32Array(6), [2, 3, 3, 9], 'ERR_INVALID_DTYPE'],
    ['no typed array', [1, 2], [2, 3, 3, 0], 'ERR_INVALID_ARGUMENT'],
  ])('believes no claim: %s', (_, data, shape, code) => {
    const engine = new addon.Engine(0, undefined, 1)
    const list = slots()
    const table = shapes()
    list[0] = data
    table.set(shape)
    expect(thrown(() => call(engine, list, table))).toBe(code)
  })

  test('refuses a disposed engine, and disposes twice', () => {
    const engine = new addon.Engine(0, undefined, 1)
    engine.dispose()
    engine.dispose()
    expect(thrown(() => call(engine, slots(), shapes()))).toBe('ERR_DISPOSED')
  })
})

const loadAddon = `require(${JSON.stringify(require.resolve('node-gyp-build'))})(${JSON.stringify(
  path.join(__dirname, '..'),
)})`

test('worker threads each load the addon and close their engines', () => {
  const script = `
    const { Worker, isMainThread } = require('node:worker_threads')
    const addon = ${loadAddon}
    const engine = new addon.Engine(0, undefined, 2)
    if (isMainThread) {
      let left = 4
      for (let i = 0; i < 4; ++i)
        new Worker(process.argv[1], { eval: false }).on('exit', (code) => {
          if (code !== 0) process.exit(1)
          if (--left === 0) console.log('closed ' + engine.threads())
        })
    }`
  expect(runScript(script)).toBe('closed 2')
})

test('engines that nobody disposed are collected', () => {
  const script = `
    const addon = ${loadAddon}
    let collected = 0
    const registry = new FinalizationRegistry(() => { ++collected })
    for (let i = 0; i < 50; ++i) registry.register(new addon.Engine(0, undefined, 2), i)
    globalThis.gc()
    setTimeout(() => { globalThis.gc(); setTimeout(() => console.log(collected >= 49), 20) }, 20)`
  expect(runScript(script)).toBe('true')
})

function runScript(script: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'papo-kernels-'))
  try {
    const file = path.join(folder, 'script.cjs')
    writeFileSync(file, script)
    return execFileSync(process.execPath, ['--expose-gc', file], { encoding: 'utf8' }).trim()
  } finally {
    rmSync(folder, { recursive: true })
  }
}
