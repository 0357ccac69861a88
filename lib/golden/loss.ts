import { groupAdvantages, lossFromLogits, resolveObjective } from '../index'
import type { Engine, LossFromLogitsResult, Objective, Tensor } from '../index'
import type { CaseObjective, LossCase, Terms } from './case'
import type { Comparison } from './compare'
import { compareMetrics } from './metrics'
import { engineValues, tensorOn, toFloat64 } from './values'

/** One micro-batch: its first response and what the library gave for it. */
export interface LossCall {
  readonly first: number
  readonly result: LossFromLogitsResult
}

/** A whole loss case: the calls of its micro-batches, in order. */
export interface LossRun {
  readonly advantages: Float64Array
  readonly lossScale: number
  readonly calls: readonly LossCall[]
}

/** Runs a loss case and compares every value and gradient that it gives. */
export function compareLoss(
  golden: LossCase,
  engine: Engine,
  comparison: Comparison,
  settings: CaseObjective = golden.objective,
): void {
  const objective = resolveObjective(settings)
  const run = runLoss(golden, engine, objective)
  compareTokens(golden, objective, run, comparison)
  compareTerms(golden, run, comparison)
  compareMetrics(golden, objective, run, comparison)
  compareGradients(golden, run, comparison)
}

/** The loss over micro-batches is the plain mean of theirs, so each is scaled by its share. */
function runLoss(golden: LossCase, engine: Engine, objective: Objective): LossRun {
  const { responses, responsesPerCall } = golden
  const advantages = advantagesOf(golden, engine)
  const lossScale = responsesPerCall / responses
  const calls: LossCall[] = []
  for (let first = 0; first < responses; first += responsesPerCall) {
    const inputs = callInputs(golden, advantages, first, engine)
    const options = { engine, gradNorm: true }
    calls.push({ first, result: lossFromLogits(inputs, { ...objective, lossScale }, options) })
  }
  return { advantages, lossScale, calls }
}

function advantagesOf({ inputs }: LossCase, engine: Engine): Float64Array {
  if (inputs.advantages) return inputs.advantages
  const rewards = tensorOn(engine, engineValues(inputs.rewards ?? new Float64Array(), engine))
  const groupIds = tensorOn(engine, Int32Array.from(inputs.groupIds ?? []))
  return toFloat64(groupAdvantages(rewards, groupIds, { epsilon: 1e-6, engine }))
}

function callInputs(golden: LossCase, advantages: Float64Array, first: number, engine: Engine) {
  const { inputs, tokensPerResponse: length, vocabSize, responsesPerCall: count } = golden
  const rows = (values: Float64Array, inner: readonly number[]) => {
    const width = inner.reduce((product, size) => product * size, 1)
    return values.subarray(first * width, (first + count) * width)
  }
  const real = (values: Float64Array, ...inner: number[]) =>
    tensorOn(engine, engineValues(rows(values, inner), engine), [count, ...inner])
  const mask = (values: Float64Array, ...inner: number[]) =>
    tensorOn(engine, Uint8Array.from(rows(values, inner)), [count, ...inner])
  const { maskedLogits, oldLogProbs, refLogProbs, perceptionWeights, sftMask } = inputs
  return {
    logits: real(inputs.logits, length, vocabSize),
    ...(maskedLogits && { maskedLogits: real(maskedLogits, length, vocabSize) }),
    tokens: tensorOn(engine, Int32Array.from(rows(inputs.tokens, [length])), [count, length]),
    responseMask: mask(inputs.responseMask, length),
    advantages: real(advantages),
    ...(oldLogProbs && { oldLogProbs: real(oldLogProbs, length) }),
    ...(refLogProbs && { refLogProbs: real(refLogProbs, length) }),
    ...(perceptionWeights && { perceptionWeights: real(perceptionWeights) }),
    ...(sftMask && { sftMask: mask(sftMask) }),
  }
}

type OutputName = {
  [Name in keyof LossFromLogitsResult]-?: LossFromLogitsResult[Name] extends Tensor | undefined
    ? Name
    : never
}[keyof LossFromLogitsResult]

/** One output of all calls, concatenated; an output that does not exist is undefined. */
export function outputOf(run: LossRun, name: OutputName): Float64Array | undefined {
  const parts = run.calls.map(({ result }) => result[name])
  const present = parts.filter((part) => part !== undefined)
  if (present.length !== parts.length) return undefined
  return Float64Array.from(present.flatMap((part) => [...toFloat64(part)]))
}

/** Rows with responseMask 0 are skipped and read 0, but where padding enters auxiliary terms. */
function compareTokens(
  { arrays, inputs }: LossCase,
  objective: Objective,
  run: LossRun,
  comparison: Comparison,
): void {
  const compare = (
    field: keyof typeof arrays,
    quantity: 'loss' | 'logProb',
    name: OutputName,
  ): void => {
    const expected = arrays[field]
    if (expected === undefined) return
    const counts = (i: number) => objective.paddingInAuxiliaryTerms || inputs.responseMask[i] === 1
    const wanted = expected.map((value, i) => (counts(i) ? value : 0))
    comparison.array(field, quantity, outputOf(run, name) ?? [], wanted)
  }
  if (inputs.rewards && arrays.advantages) {
    comparison.array('advantages', 'loss', run.advantages, arrays.advantages)
  }
  compare('logProbs', 'logProb', 'logProbs')
  compare('maskedLogProbs', 'logProb', 'maskedLogProbs')
  compare('entropies', 'logProb', 'entropies')
  compare('maskedEntropies', 'logProb', 'maskedEntropies')
  compare('klRefPerToken', 'loss', 'refKlPerToken')
  compare('klPrcpPerToken', 'loss', 'perceptionKlPerToken')
}

function compareTerms(golden: LossCase, run: LossRun, comparison: Comparison): void {
  const loss = run.calls.reduce((sum, { result }) => sum + result.loss, 0)
  comparison.scalar('totalLoss', 'loss', loss, golden.totalLoss)
  const perCall = run.calls.map(({ result }) => upstreamTerms(golden, result))
  for (const [name, expected] of Object.entries(golden.terms)) {
    const mean = perCall.reduce((sum, terms) => sum + (terms[name] ?? NaN), 0) / perCall.length
    comparison.scalar(`terms.${name}`, 'loss', mean, expected)
  }
  golden.microBatchTerms?.forEach((terms, i) => {
    for (const [name, expected] of Object.entries(terms)) {
      const actual = perCall[i]?.[name] ?? NaN
      comparison.scalar(`microBatchTerms[${i}].${name}`, 'loss', actual, expected)
    }
  })
}

/** Term values under the names of the dialect. */
function upstreamTerms(golden: LossCase, { terms, weightedTerms }: LossFromLogitsResult): Terms {
  switch (golden.dialect) {
    case 'papo':
      return {
        policy: terms.policy,
        klRef: terms.refKl,
        klPrcp: terms.perceptionKl,
        augEntropy: terms.maskedEntropy,
        oriEntropy: terms.entropy,
        sft: terms.sft,
      }
    case 'trl_papo':
      return {
        base: terms.policy + weightedTerms.refKl,
        perception: terms.perceptionKl,
        entropy: terms.entropy,
        maskedEntropy: terms.maskedEntropy,
      }
    case 'trl_grpo':
      return {
        base: terms.policy + weightedTerms.refKl,
        // Whether accumulation steps are in the weight or in the value, their product is the same.
        entropy: weightedTerms.entropy / (golden.termWeights.entropy ?? NaN),
      }
  }
}

/** A gradient that the library does not give is one that does not flow: zero everywhere. */
function compareGradients(golden: LossCase, run: LossRun, comparison: Comparison): void {
  const { arrays, edges } = golden
  const compare = (field: keyof typeof arrays, name: OutputName): void => {
    const expected = arrays[field]
    if (expected === undefined) return
    const actual = outputOf(run, name) ?? new Float64Array(expected.length)
    const skip = field === 'gradLogProbs' ? (i: number) => edges.has(i) : undefined
    comparison.array(field, 'gradient', actual, expected, skip)
  }
  compare('gradLogProbs', 'logProbsGrad')
  compare('gradMaskedLogProbs', 'maskedLogProbsGrad')
  compare('gradLogits', 'logitsGrad')
  compare('gradMaskedLogits', 'maskedLogitsGrad')
}
