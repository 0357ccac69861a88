// Memory bandwidth by the C library's own memmove and memchr on as many threads as the engine has:
// the yardstick of every other number, measured in the same run.
import { Worker } from 'node:worker_threads'

import { timing } from './measure'

export interface Bandwidth {
  /** Bytes read plus bytes written, GB/s. */
  readonly copy: number
  /** GB/s. */
  readonly read: number
}

// Each thread works on memory of its own. Passes start and end together; thread 0 keeps the time.
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads')
const { bytes, threads, passes, index, control } = workerData
const [waiting, round] = [0, 1]
const state = new Int32Array(control)
function meet() {
  const now = Atomics.load(state, round)
  if (Atomics.add(state, waiting, 1) + 1 < threads) {
    while (Atomics.load(state, round) === now) Atomics.wait(state, round, now)
    return
  }
  Atomics.store(state, waiting, 0)
  Atomics.add(state, round, 1)
  Atomics.notify(state, round)
}
const source = Buffer.alloc(bytes, 1)
const target = Buffer.alloc(bytes, 2)
function timesOf(work) {
  const times = []
  for (let pass = 0; pass < passes; pass++) {
    meet()
    const started = process.hrtime.bigint()
    work()
    meet()
    times.push(Number(process.hrtime.bigint() - started) / 1e6)
  }
  return times
}
const copy = timesOf(() => target.set(source))
const read = timesOf(() => { if (source.indexOf(3) !== -1) throw new Error('unexpected byte') })
parentPort.postMessage(index === 0 ? { copy, read } : null)
`

interface PassTimes {
  readonly copy: readonly number[]
  readonly read: readonly number[]
}

/** megabytes: of the source, all threads together; several times the last-level cache. */
export async function measureBandwidth(
  threads: number,
  megabytes: number,
  passes = 9,
): Promise<Bandwidth> {
  const bytes = Math.ceil((megabytes * 1e6) / threads)
  const control = new SharedArrayBuffer(8)
  const results = await Promise.all(
    Array.from({ length: threads }, (_, index) =>
      startWorker({ bytes, threads, passes, index, control }),
    ),
  )
  const times = results[0]
  if (times === undefined || times === null) throw new Error('the bandwidth worker gave no times')
  const gigabytesPerSecond = (moved: number, milliseconds: readonly number[]) =>
    moved / timing(milliseconds).median / 1e6
  return {
    copy: gigabytesPerSecond(2 * bytes * threads, times.copy),
    read: gigabytesPerSecond(bytes * threads, times.read),
  }
}

function startWorker(workerData: object): Promise<PassTimes | null> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerSource, { eval: true, workerData })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}
