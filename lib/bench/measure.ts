import { setTimeout as sleep } from 'node:timers/promises'

/** Of repeated timings, in milliseconds. */
export interface Timing {
  readonly median: number
  readonly p10: number
  readonly p90: number
}

export interface Budget {
  readonly seconds: number
  readonly minRuns: number
  readonly maxRuns: number
}

/** Something that can be run again and again on inputs that are not in the caches. */
export interface Subject {
  /** Runs once, to the end of the promise if there is one; run is the number of the call, from 0. */
  run(run: number): void | Promise<void>
  /** Before each call and outside its time. */
  prepare(run: number): void
}

/** Milliseconds of the work, to the end of its promise if there is one. */
export type Stopwatch = (work: () => void | Promise<void>) => Promise<number>

/** A competitor measured between our runs, so that both see the same state of the machine. */
export type PeerRun = () => Promise<number>

const warmUpRuns = 3
// Threads of the one may still be spinning when the other starts.
const settleMilliseconds = 10

export interface Measured {
  readonly ours: Timing
  readonly peer?: Timing
}

export async function measure(
  subject: Subject,
  budget: Budget,
  time: Stopwatch,
  peer?: PeerRun,
): Promise<Measured> {
  const ours: number[] = []
  const theirs: number[] = []
  let run = 0
  const once = async () => {
    subject.prepare(run)
    return time(() => subject.run(run++))
  }
  for (let i = 0; i < warmUpRuns; i++) await once()
  if (peer !== undefined) await peer()
  const end = performance.now() + budget.seconds * 1000
  while (
    ours.length < budget.minRuns ||
    (performance.now() < end && ours.length < budget.maxRuns)
  ) {
    ours.push(await once())
    if (peer === undefined) continue
    await sleep(settleMilliseconds)
    theirs.push(await peer())
    await sleep(settleMilliseconds)
  }
  return { ours: timing(ours), ...(peer === undefined ? {} : { peer: timing(theirs) }) }
}

export function timing(milliseconds: readonly number[]): Timing {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  const quantile = (share: number) => {
    const at = share * (sorted.length - 1)
    const low = Math.floor(at)
    const rest = at - low
    return sorted[low]! * (1 - rest) + sorted[Math.ceil(at)]! * rest
  }
  return { median: quantile(0.5), p10: quantile(0.1), p90: quantile(0.9) }
}
