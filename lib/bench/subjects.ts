// The calls behind the cases, over rotating inputs.
import {
  groupAdvantages,
  lossFromLogits,
  lossFromLogitsAsync,
  resolveObjective,
  Tensor,
  tokenLogProbs,
} from '../index'
import type { Engine } from '../index'
import type { AdvantagesCase, BenchCase, LogProbsCase, LossCase } from './cases'
import { LogitsPool, tokenValues, values } from './inputs'
import type { TokenValues } from './inputs'
import { maskingSubject } from './masking-cases'
import type { MaskingInputs } from './masking-cases'
import type { Subject } from './measure'
import { place } from './place'

/** What a case computes on its first inputs; a peer has to agree with it. */
export interface CaseResult {
  readonly loss?: number
  readonly logProbs?: Tensor
  readonly logitsGrad?: Tensor
  readonly maskedLogitsGrad?: Tensor
  readonly masked?: Tensor
}

/** A case with its inputs, and with what a peer needs to do the same. */
export interface CaseSubject extends Subject {
  /** These and tokenValues on the host. */
  readonly logits?: Tensor
  readonly maskedLogits?: Tensor
  readonly tokenValues?: TokenValues
  readonly masking?: MaskingInputs
  /** Computes the case once on logits and maskedLogits above, which it leaves as they are. */
  result(): CaseResult
}

// Inputs rotate over this many bytes, so that no run finds its own in the last-level cache.
const coldBytes = 256e6
const maxSlots = 64

export function openSubject(benchCase: BenchCase, engine: Engine): CaseSubject {
  switch (benchCase.kind) {
    case 'loss':
      return lossSubject(benchCase, engine)
    case 'tokenLogProbs':
      return logProbsSubject(benchCase, engine)
    case 'groupAdvantages':
      return advantagesSubject(benchCase, engine)
    case 'masking':
      return maskingSubject(benchCase, engine, slotCount(benchCase))
  }
}

interface Slot {
  readonly logits: Tensor
  readonly maskedLogits?: Tensor
  readonly logitsGrad?: Tensor
  readonly maskedLogitsGrad?: Tensor
}

function slotCount({ bytes }: BenchCase): number {
  return Math.min(maxSlots, Math.max(2, Math.ceil(coldBytes / bytes)))
}

function at<Item>(items: readonly Item[], run: number): Item {
  return items[run % items.length]!
}

const slotStep = 104_729 // a prime: slots start at different numbers of the pool

function lossSubject(benchCase: LossCase, engine: Engine): CaseSubject {
  const { rows, vocabSize, dtype, gradient, profile, queued } = benchCase
  const objective = resolveObjective(profile)
  const pool = LogitsPool.of(dtype)
  const sources = Array.from({ length: slotCount(benchCase) }, (_, i) =>
    openSlot(benchCase, pool, i * slotStep),
  )
  const slots = sources.map((source) => {
    const slot = placeSlot(engine, source)
    return gradient === 'reused' ? { ...slot, ...destinations(slot, profile) } : slot
  })
  const tokenInputs = tokenValues(sources[0]!.logits, engine)
  const placed = placeValues(engine, tokenInputs)
  type Mode = 'none' | 'new' | 'inPlace'
  const args = ({ logits, maskedLogits, ...gradients }: Slot, mode: Mode) => {
    const masked = maskedLogits === undefined ? {} : { maskedLogits }
    const options = { gradient: mode, perToken: false, engine, ...gradients }
    return [{ logits, ...masked, ...placed }, objective, options] as const
  }
  const call = (slot: Slot, mode: Mode) => lossFromLogits(...args(slot, mode))
  const queue = async (slot: Slot, mode: Mode) =>
    void (await lossFromLogitsAsync(...args(slot, mode)))
  const mode = gradient === 'reused' ? 'new' : gradient
  const { logits, maskedLogits } = slots[0]!
  const first: Slot = maskedLogits === undefined ? { logits } : { logits, maskedLogits }
  return {
    ...sources[0]!,
    tokenValues: tokenInputs,
    run: (run) => (queued ? queue(at(slots, run), mode) : void call(at(slots, run), mode)),
    prepare(run) {
      // In place a run leaves gradients where its logits were.
      if (gradient !== 'inPlace' || run % slots.length !== 0) return
      slots.forEach((slot, i) => {
        const source = sources[i]!
        pool.fill(source.logits, 'image', i * slotStep)
        if (source.maskedLogits !== undefined)
          pool.fill(source.maskedLogits, 'masked', i * slotStep)
        refill(engine, source, slot)
      })
    },
    result: () => call(first, gradient === 'none' ? 'none' : 'new'),
  }

  function destinations(slot: Slot, name: LossCase['profile']): Partial<Slot> {
    const like = () => Tensor.zeros([rows, vocabSize], dtype, { engine })
    const toMasked =
      slot.maskedLogits !== undefined && resolveObjective(name).perceptionGradient === 'both'
    return { logitsGrad: like(), ...(toMasked ? { maskedLogitsGrad: like() } : {}) }
  }
}

function openSlot(
  { rows, vocabSize, branches }: LossCase | LogProbsCase,
  pool: LogitsPool,
  offset: number,
): Slot {
  const logits = pool.tensor('image', rows, vocabSize, offset)
  if (branches === 1) return { logits }
  return { logits, maskedLogits: pool.tensor('masked', rows, vocabSize, offset) }
}

function placeSlot(engine: Engine, { logits, maskedLogits }: Slot): Slot {
  const placed = { logits: place(engine, logits) }
  return maskedLogits === undefined
    ? placed
    : { ...placed, maskedLogits: place(engine, maskedLogits) }
}

/** Copies the sources to a device once more; on the CPU they are the slot itself. */
function refill(engine: Engine, source: Slot, slot: Slot): void {
  if (engine.device === 'cpu') return
  source.logits.copyTo(slot.logits, { engine })
  if (slot.maskedLogits !== undefined) source.maskedLogits!.copyTo(slot.maskedLogits, { engine })
}

/** cuSeqlens stay on the host for every engine. */
function placeValues(engine: Engine, { cuSeqlens, ...perToken }: TokenValues) {
  return {
    cuSeqlens,
    tokens: place(engine, perToken.tokens),
    responseMask: place(engine, perToken.responseMask),
    oldLogProbs: place(engine, perToken.oldLogProbs),
    refLogProbs: place(engine, perToken.refLogProbs),
    advantages: place(engine, perToken.advantages),
  }
}

function logProbsSubject(benchCase: LogProbsCase, engine: Engine): CaseSubject {
  const pool = LogitsPool.of(benchCase.dtype)
  const sources = Array.from({ length: slotCount(benchCase) }, (_, i) =>
    openSlot(benchCase, pool, i * slotStep),
  )
  const slots = sources.map((source) => placeSlot(engine, source))
  const tokenInputs = tokenValues(sources[0]!.logits, engine)
  const tokens = place(engine, tokenInputs.tokens)
  const call = ({ logits }: Slot) => tokenLogProbs({ logits, tokens }, { engine })
  return {
    logits: sources[0]!.logits,
    tokenValues: tokenInputs,
    run: (run) => void call(at(slots, run)),
    prepare() {},
    result: () => ({ logProbs: call(slots[0]!).logProbs }),
  }
}

function advantagesSubject({ rows, groups }: AdvantagesCase, engine: Engine): CaseSubject {
  const rewards = place(
    engine,
    values(engine, rows, (i) => (i * 7919) % 11),
  )
  const groupIds = place(
    engine,
    Int32Array.from({ length: rows }, (_, i) => i % groups),
  )
  return {
    run: () => void groupAdvantages(rewards, groupIds, { engine }),
    prepare() {},
    result: () => ({}),
  }
}
