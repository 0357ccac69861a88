// How long memory of a device lives, with queued calls, the garbage collector and worker threads. See
// cuda-support.ts.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

import { defaultEngine, Engine, lossFromLogits, lossFromLogitsAsync, Tensor } from '../lib'
import { describeOnDevice, hostValues, inputsOnDevice } from './cuda-support'
import { lossInputs, refusal } from './support'

const free = () => defaultEngine('cuda:0').memoryInfo().free
const tensorsOf = (values: object) => Object.values(values).filter((v) => v instanceof Tensor)

/** What a script prints in a process of its own, which has to end well. */
function run(script: string): string {
  const prelude = `
    const papo = require('papo-kernels')
    const { Engine, Tensor, lossFromLogits, lossFromLogitsAsync } = papo
    const inputs = (rows = 4, columns = 32) => {
      const there = (data, shape = [data.length]) => Tensor.from(data, { shape }).to('cuda:0')
      return {
        logits: there(new Float32Array(rows * columns), [1, rows, columns]),
        tokens: there(new Int32Array(rows)),
        advantages: there(Float32Array.of(1)),
      }
    }`
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', '-e', prelude + script],
    { cwd: path.resolve(__dirname, '..'), encoding: 'utf8', timeout: 300_000 },
  )
  if (status !== 0) throw new Error(`status ${status}, signal ${signal}\n${stderr}`)
  return stdout.trim()
}

describeOnDevice('memory of a device', () => {
  test('of results goes when all of them are disposed', () => {
    const inputs = inputsOnDevice(lossInputs())
    lossFromLogits(inputs) // the workspace stays
    const before = free()
    const result = lossFromLogits(inputs)
    expect(free()).toBeLessThan(before)
    const tensors = tensorsOf(result) as Tensor[]
    const last = tensors.pop()!
    for (const tensor of tensors) tensor.dispose()
    expect(hostValues(last).every(Number.isFinite)).toBe(true)
    last.dispose()
    expect(free()).toBe(before)
  })

  test('of a queued call outlives tensors and engine', async () => {
    const engine = Engine.open({ device: 'cuda:0' })
    const inputs = inputsOnDevice(lossInputs())
    const { loss } = lossFromLogits(inputs, 'papoG', { engine })
    const calls = [1, 2, 3].map(() => lossFromLogitsAsync(inputs, 'papoG', { engine }))
    for (const tensor of tensorsOf(inputs) as Tensor[]) tensor.dispose()
    engine.dispose()
    for (const result of await Promise.all(calls)) {
      expect(result.loss).toBe(loss)
      expect(hostValues(result.logitsGrad!).every(Number.isFinite)).toBe(true)
    }
    expect(refusal(() => lossFromLogits(inputs, 'papoG', { engine })).code).toBe('ERR_DISPOSED')
  })

  test('goes when its tensors are collected', () => {
    const script = `
      const free = () => papo.defaultEngine('cuda:0').memoryInfo().free
      const turn = () => new Promise((resolve) => setImmediate(resolve))
      async function main() {
        lossFromLogits(inputs(), 'grpo')
        await lossFromLogitsAsync(inputs(), 'grpo')
        for (let i = 0; i < 4; ++i) { gc(); await turn() }
        const before = free()
        for (let i = 0; i < 50; ++i) lossFromLogits(inputs(), 'grpo')
        for (let i = 0; i < 50; ++i) await lossFromLogitsAsync(inputs(), 'grpo')
        const during = free()
        for (let i = 0; i < 8; ++i) { gc(); await turn() }
        console.log(during < before, free() >= before)
      }
      main()`
    expect(run(script)).toBe('true true')
  })

  test('is collected before there is none left, in a loop that awaits', () => {
    const script = `
      const { free } = papo.defaultEngine('cuda:0').memoryInfo()
      const turn = () => new Promise((resolve) => setImmediate(resolve))
      async function main() {
        let lowest = free
        for (let i = 0; i < 100; ++i) {
          Tensor.empty([2 ** 21], 'float32', { device: 'cuda:0' })
          lowest = Math.min(lowest, papo.defaultEngine('cuda:0').memoryInfo().free)
          await turn()
        }
        console.log(free - lowest < 50 * 2 ** 23)
      }
      main()`
    expect(run(script)).toBe('true')
  })
})

describeOnDevice('processes and threads', () => {
  test('a process ends with calls in the queue, tensors and engines in use', () => {
    const script = `
      const kept = [inputs(), Engine.open({ device: 'cuda:0' }), Tensor.pinned([4])]
      lossFromLogitsAsync(inputs(64, 512), 'grpo')
      lossFromLogitsAsync(inputs(64, 512), 'grpo')
      setTimeout(() => { console.log('exit'); process.exit() }, 5)`
    expect(run(script)).toBe('exit')
  })

  test('worker threads have engines of their own, and may end in a call', () => {
    const script = `
      const { Worker } = require('node:worker_threads')
      const source = ${'`'}
        const { Tensor, lossFromLogits, lossFromLogitsAsync } = require('papo-kernels')
        const { parentPort } = require('node:worker_threads')
        const there = (data, shape = [data.length]) => Tensor.from(data, { shape }).to('cuda:0')
        const inputs = {
          logits: there(new Float32Array(4 * 32), [1, 4, 32]),
          tokens: there(new Int32Array(4)),
          advantages: there(Float32Array.of(1)),
        }
        const { loss } = lossFromLogits(inputs, 'grpo')
        for (let i = 0; i < 5; ++i) lossFromLogitsAsync(inputs, 'grpo')
        parentPort.postMessage(loss)
      ${'`'}
      const losses = []
      let left = 3
      for (let i = 0; i < 3; ++i) {
        const worker = new Worker(source, { eval: true })
        worker.once('message', (loss) => { losses.push(loss); if (i > 0) worker.terminate() })
        worker.once('error', (error) => { throw error })
        worker.once('exit', () => {
          if (--left === 0) console.log(losses.length, new Set(losses).size)
        })
      }`
    expect(run(script)).toBe('3 1')
  })
})
