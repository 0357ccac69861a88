import type { Engine } from '../index'
import { disagreement } from './agreement'
import type { BenchCase, LogitsDType } from './cases'
import { measure } from './measure'
import type { Budget, Timing } from './measure'
import type { TorchPeer } from './peer'
import { openSubject } from './subjects'

export interface PeerRow {
  /** null where it could not be measured; note says why. */
  readonly milliseconds: Timing | null
  /** Median of the peer over ours. */
  readonly ratio: number | null
  readonly note?: string
}

export interface BenchRow {
  readonly name: string
  readonly engine: string
  readonly dtype: LogitsDType
  readonly rows: number
  readonly vocabSize: number
  readonly branches: number
  readonly bytes: number
  readonly flops: number
  readonly milliseconds: Timing
  /** bytes over the median time, 10^9 bytes. */
  readonly gigabytesPerSecond: number
  readonly fractionOfCopy: number
  readonly peers: Readonly<Record<string, PeerRow>>
}

export interface RunOptions {
  readonly engine: Engine
  readonly budget: Budget
  readonly copyBandwidth: number
  /** A process, or why there is none; absent: not asked for. */
  readonly torch?: TorchPeer | string
}

/** Measures one case. A peer that computes something else is in the row's note, with no time. */
export async function runCase(benchCase: BenchCase, options: RunOptions): Promise<BenchRow> {
  const { engine, budget, copyBandwidth, torch } = options
  const subject = openSubject(benchCase, engine)
  const hasPeer = torch instanceof Object && isComparable(benchCase)
  let different: string | undefined
  if (hasPeer) {
    await torch.load(benchCase, subject)
    different = await disagreement(subject.result(), torch, benchCase.dtype)
  }
  const asked = hasPeer && different === undefined
  const { ours, peer } = await measure(subject, budget, asked ? () => torch.run() : undefined)
  const { name, dtype, rows, vocabSize, branches, bytes, flops } = benchCase
  const gigabytesPerSecond = bytes / ours.median / 1e6
  const note = different === undefined ? undefined : `${mismatch}${different}`
  return {
    name,
    engine: engine.instructionSet,
    dtype,
    rows,
    vocabSize,
    branches,
    bytes,
    flops,
    milliseconds: ours,
    gigabytesPerSecond,
    fractionOfCopy: gigabytesPerSecond / copyBandwidth,
    peers:
      torch === undefined || !isComparable(benchCase)
        ? {}
        : { torch: peerRow(ours, peer, note ?? notMeasured) },
  }
}

const notMeasured = 'no torch'
const mismatch = 'computes something else: '

export function isMismatch({ peers }: BenchRow): boolean {
  return peers.torch?.note?.startsWith(mismatch) ?? false
}

/** In place has no counterpart in eager code; advantages are too small to compare. */
function isComparable(benchCase: BenchCase): boolean {
  if (benchCase.kind === 'loss') return benchCase.gradient !== 'inPlace'
  return benchCase.kind === 'tokenLogProbs'
}

function peerRow(ours: Timing, peer: Timing | undefined, note: string): PeerRow {
  if (peer === undefined) return { milliseconds: null, ratio: null, note }
  return { milliseconds: peer, ratio: peer.median / ours.median }
}
