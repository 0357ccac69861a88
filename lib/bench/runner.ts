import type { Engine } from '../index'
import { disagreement } from './agreement'
import type { BenchCase } from './cases'
import { measure } from './measure'
import type { Budget, Timing } from './measure'
import type { NumpyPeer } from './numpy-peer'
import type { TorchPeer } from './peer'
import { stopwatch } from './place'
import { openSubject } from './subjects'
import type { CaseSubject } from './subjects'

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
  readonly dtype: BenchCase['dtype']
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
  /** Likewise, for masking. */
  readonly numpy?: NumpyPeer | string
}

/** Measures one case. A peer that computes something else is in the row's note, with no time. */
export async function runCase(benchCase: BenchCase, options: RunOptions): Promise<BenchRow> {
  const { engine, budget, copyBandwidth } = options
  const subject = openSubject(benchCase, engine)
  const rival = await opponent(benchCase, subject, options)
  const { ours, peer } = await measure(subject, budget, stopwatch(engine), rival?.run)
  const { name, dtype, rows, vocabSize, branches, bytes, flops } = benchCase
  const gigabytesPerSecond = bytes / ours.median / 1e6
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
    peers: rival === undefined ? {} : { [rival.name]: peerRow(ours, peer, rival.note ?? '') },
  }
}

const mismatch = 'computes something else: '

export function isMismatch({ peers }: BenchRow): boolean {
  return Object.values(peers).some(({ note }) => note?.startsWith(mismatch) ?? false)
}

/** Who is measured beside a case: how to run it, or why it is not run. */
interface Opponent {
  readonly name: 'torch' | 'numpy'
  readonly run?: () => Promise<number>
  readonly note?: string
}

async function opponent(
  benchCase: BenchCase,
  subject: CaseSubject,
  { torch, numpy }: RunOptions,
): Promise<Opponent | undefined> {
  switch (benchCase.kind) {
    case 'groupAdvantages': // too small to compare
      return undefined
    case 'masking':
      if (numpy === undefined || benchCase.operation !== 'draw+maskPatches') return undefined
      return numpyOpponent(subject, numpy)
    case 'loss':
    case 'tokenLogProbs':
  }
  const hasCounterpart = benchCase.kind !== 'loss' || benchCase.gradient !== 'inPlace'
  if (torch === undefined || !hasCounterpart) return undefined
  if (typeof torch === 'string') return { name: 'torch', note: 'no torch' }
  await torch.load(benchCase, subject)
  const different = await disagreement(subject.result(), torch, benchCase.dtype)
  if (different !== undefined) return { name: 'torch', note: `${mismatch}${different}` }
  return { name: 'torch', run: () => torch.run() }
}

async function numpyOpponent(
  { masking, result }: CaseSubject,
  numpy: NumpyPeer | string,
): Promise<Opponent> {
  if (typeof numpy === 'string') return { name: 'numpy', note: 'no numpy' }
  await numpy.load(masking!)
  const agrees = Buffer.from(result().masked!.data.buffer).equals(await numpy.result())
  if (!agrees) return { name: 'numpy', note: `${mismatch}another image` }
  return { name: 'numpy', run: () => numpy.run() }
}

function peerRow(ours: Timing, peer: Timing | undefined, note: string): PeerRow {
  if (peer === undefined) return { milliseconds: null, ratio: null, note }
  return { milliseconds: peer, ratio: peer.median / ours.median }
}
