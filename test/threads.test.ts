import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.resolve(__dirname, '..')

/** What a script prints in a process of its own; fails where that does not end well. */
function run(script: string, env: NodeJS.ProcessEnv = {}): string {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 300_000,
  })
  if (status !== 0) throw new Error(`status ${status}, signal ${signal}\n${stderr}`)
  return stdout
}

// What scripts begin with: inputs of a call that takes a tenth of a second or so, and of a small one.
const calls = `
  const papo = require('papo-kernels')
  const { lossFromLogits, lossFromLogitsAsync, Tensor } = papo
  function inputs(rows, columns) {
    const logits = new Float32Array(rows * columns)
    for (let i = 0; i < logits.length; i += 7) logits[i] = i % 5
    return {
      logits: Tensor.from(logits, { shape: [1, rows, columns] }),
      tokens: new Int32Array(rows),
      advantages: Float32Array.of(1),
    }
  }
  const long = () => inputs(256, 100000)
  const small = () => inputs(8, 64)
  const options = { perToken: false }
`

/** A worker thread that runs a script; it tells the main thread that it began by a message. */
const worker = (script: string) => `
  const { Worker } = require('node:worker_threads')
  const source = ${JSON.stringify(script)}
  const start = () => new Promise((resolve, reject) => {
    const worker = new Worker(source, { eval: true })
    const exit = new Promise((done) => worker.once('exit', done))
    worker.once('error', reject)
    worker.once('message', (message) => resolve({ worker, message, exit }))
  })
`

describe('a process', () => {
  test('lives until its queued calls are done, and ends then', () => {
    const script = `${calls}
      lossFromLogitsAsync(long(), 'grpo', options).then(({ loss }) => console.log(loss))`
    expect(Number.isFinite(Number.parseFloat(run(script)))).toBe(true)
  })

  test('may exit in the middle of a call', () => {
    const script = `${calls}
      lossFromLogitsAsync(long(), 'grpo', options)
      lossFromLogitsAsync(long(), 'grpo', options)
      setTimeout(() => { console.log('exit'); process.exit() }, 20)`
    expect(run(script)).toBe('exit\n')
  })

  test('that throws in the middle of a call dies of the exception alone', () => {
    const script = `${calls}
      lossFromLogitsAsync(long(), 'grpo', options)
      setTimeout(() => { throw new Error('of my own') }, 20)`
    expect(() => run(script)).toThrow(/status 1, signal null[\s\S]*of my own/)
  })

  // With a single thread in libuv's pool, a call that took it would hold up every file operation.
  test("has libuv's pool to itself while a call runs", () => {
    const script = `${calls}
      const order = []
      const call = lossFromLogitsAsync(long(), 'grpo', options).then(() => order.push('loss'))
      const file = require('node:fs/promises').stat('.').then(() => order.push('file'))
      Promise.all([call, file]).then(() => console.log(order.join()))`
    expect(run(script, { UV_THREADPOOL_SIZE: '1' })).toBe('file,loss\n')
  })
})

describe('worker threads', () => {
  test('many at once get the same bits', () => {
    const job = `${calls}
      const { parentPort } = require('node:worker_threads')
      Promise.all([1, 2, 3].map(() => lossFromLogitsAsync(small(), 'grpo', options)))
        .then((all) => parentPort.postMessage(all.map(({ loss }) => loss)))`
    const script = `${calls}${worker(job)}
      Promise.all(Array.from({ length: 8 }, start)).then((started) => {
        const { loss } = lossFromLogits(small(), 'grpo', options)
        const all = started.flatMap(({ message }) => message)
        console.log(all.length, all.every((value) => value === loss))
      })`
    expect(run(script)).toBe('24 true\n')
  })

  test('may be terminated in the middle of a call, queued or not', () => {
    const job = `${calls}
      const { parentPort } = require('node:worker_threads')
      for (let i = 0; i < 5; ++i) lossFromLogitsAsync(long(), 'grpo', options)
      parentPort.postMessage('begun')
      lossFromLogits(long(), 'grpo', options)`
    const script = `${worker(job)}
      async function main() {
        for (let i = 0; i < 10; ++i) {
          const { worker } = await start()
          await new Promise((resolve) => setTimeout(resolve, 3 * i))
          await worker.terminate()
        }
        console.log('done')
      }
      main()`
    expect(run(script)).toBe('done\n')
  })

  test('take only their own calls with them', () => {
    const job = `${calls}
      const { parentPort } = require('node:worker_threads')
      for (let i = 0; i < 5; ++i) lossFromLogitsAsync(long(), 'grpo', options)
      parentPort.postMessage('begun')`
    const script = `${calls}${worker(job)}
      async function main() {
        const { worker } = await start()
        const mine = lossFromLogitsAsync(small(), 'grpo', options)
        await worker.terminate()
        console.log((await mine).loss === lossFromLogits(small(), 'grpo', options).loss)
      }
      main()`
    expect(run(script)).toBe('true\n')
  })

  test('load and unload the addon where the main thread never does', () => {
    const job = `${calls}
      const { parentPort } = require('node:worker_threads')
      const { loss } = lossFromLogits(small(), 'grpo', options)
      lossFromLogitsAsync(small(), 'grpo', options)
        .then((queued) => parentPort.postMessage(queued.loss === loss))`
    const script = `${worker(job)}
      async function main() {
        const results = new Set()
        for (let i = 0; i < 20; ++i) {
          const { message, exit } = await start()
          results.add(message)
          await exit
        }
        console.log([...results].join())
      }
      main()`
    expect(run(script)).toBe('true\n')
  })
})
