import type { DType } from '../dtype'
import { Descriptor, DescriptorLayout } from '../descriptor'
import type { Engine } from '../engine'
import { slotNames } from '../native'
import { letGo, part } from '../storage'
import { makeTensor } from '../tensor'
import type { Tensor } from '../tensor'
import { metricNames, readMetrics } from './objective-table'
import type { Metrics } from './objective-table'
import type { TokenLayout } from './token-layout'

/** One value for each term of the loss, in nats but for the policy term. */
export interface Terms {
  policy: number
  refKl: number
  perceptionKl: number
  entropy: number
  maskedEntropy: number
  sft: number
}

/** The scalars of a loss call. */
export interface LossSummary {
  /** lossScale times the sum of weightedTerms. */
  loss: number
  /** Before their coefficients. */
  terms: Terms
  /** With coefficient and sign: perceptionKl is negative when the image is used. */
  weightedTerms: Terms
  metrics: Metrics
}

/**
 * Per-token values, in the shape of the tokens: float32, or float64 from the reference engine. Rows
 * that do not count hold 0. A slope `xGrad` is dloss/dx of that token. All are views of one buffer,
 * or of one piece of a device's memory, which is freed when all are disposed.
 */
export interface PerTokenValues {
  logProbs: Tensor
  /** With a masked branch. */
  maskedLogProbs?: Tensor
  /** Over the vocabulary, where known: from logits, or as given. */
  entropies?: Tensor
  maskedEntropies?: Tensor
  /** Importance ratios exp(logProbs - oldLogProbs). */
  ratios: Tensor
  refKlPerToken: Tensor
  /** After weights, selection and cap. */
  perceptionKlPerToken: Tensor
  logProbsGrad: Tensor
  /** With a masked branch; zero where perceptionGradient is 'policy'. */
  maskedLogProbsGrad?: Tensor
  /** Beside entropies. */
  entropiesGrad?: Tensor
  maskedEntropiesGrad?: Tensor
  /** Where perceptionKlEstimator is 'exact' and there is a masked branch. */
  exactPerceptionKlGrad?: Tensor
}

export interface LossResult extends LossSummary, PerTokenValues {}

/** Gradients of the loss, in the shape and dtype of the logits. Rows that do not count are 0. */
export interface LogitsGradients {
  /** Unless gradient is 'none'. */
  logitsGrad?: Tensor
  /** Where perceptionGradient is 'both' and maskedLogits were given. */
  maskedLogitsGrad?: Tensor
}

/** What a call returns with perToken and gradient left open. */
export type PartialLossResult = LossSummary & LogitsGradients & Partial<PerTokenValues>

const lossLayout = new DescriptorLayout(slotNames.loss)
export type LossSlot = (typeof slotNames.loss)[number]

export function newLossCall(metrics: Float64Array, engine: Engine): Descriptor<LossSlot> {
  const call = new Descriptor<LossSlot>(lossLayout, engine)
  call.onHost('metrics', metrics, 'float64', metrics.length)
  return call
}

export function newMetricValues(): Float64Array {
  return new Float64Array(metricNames.length)
}

/** For a call that is run at once: filled by it and read right after. */
export const sharedMetricValues = newMetricValues()

const noTerms: Terms = {
  policy: NaN,
  refKl: NaN,
  perceptionKl: NaN,
  entropy: NaN,
  maskedEntropy: NaN,
  sft: NaN,
}
const noMetrics = readMetrics(newMetricValues().fill(NaN))

/** A result to be filled: tensors before the call, the summary after it. */
export function newResult(): PartialLossResult {
  return { loss: NaN, terms: noTerms, weightedTerms: noTerms, metrics: noMetrics }
}

/** Fills the scalars of a result from the metrics of its call. */
export function readSummary(result: LossSummary, metrics: Float64Array): void {
  const m = readMetrics(metrics)
  result.loss = m.loss
  result.terms = {
    policy: m.policy,
    refKl: m.refKl,
    perceptionKl: m.perceptionKl,
    entropy: m.entropy,
    maskedEntropy: m.maskedEntropy,
    sft: m.sft,
  }
  result.weightedTerms = {
    policy: m.policy,
    refKl: m.weightedRefKl,
    perceptionKl: m.weightedPerceptionKl,
    entropy: m.weightedEntropy,
    maskedEntropy: m.weightedMaskedEntropy,
    sft: m.weightedSft,
  }
  result.metrics = m
}

/** Which statistics a call has beside logProbs. */
export interface Branches {
  readonly masked: boolean
  readonly entropies: boolean
  readonly maskedEntropies: boolean
  readonly exactPerceptionKl: boolean
}

/**
 * New tensors for everything per token that the branches have, put into the call and the result.
 * They are views of one buffer: a buffer each would cost more than the rest of a small call.
 */
export function putPerTokenValues(
  call: Descriptor<LossSlot>,
  layout: TokenLayout,
  dtype: DType,
  branches: Branches,
  result: PartialLossResult,
): void {
  const { rows, shape } = layout
  const { masked, entropies, maskedEntropies, exactPerceptionKl } = branches
  const pairs = Number(masked) + Number(entropies) + Number(maskedEntropies)
  const block = call.allocate('result', dtype, rows * (5 + 2 * pairs + Number(exactPerceptionKl)))
  let used = 0
  const next = (slot: LossSlot): Tensor => {
    const data = part(block, dtype, used, rows)
    used += rows
    call.vector(slot, data, dtype, rows)
    return makeTensor(data, dtype, shape, shape[shape.length - 1]!)
  }
  result.logProbs = next('outLogProbs')
  if (masked) result.maskedLogProbs = next('outMaskedLogProbs')
  if (entropies) result.entropies = next('outEntropies')
  if (maskedEntropies) result.maskedEntropies = next('outMaskedEntropies')
  result.ratios = next('ratios')
  result.refKlPerToken = next('refKlPerToken')
  result.perceptionKlPerToken = next('perceptionKlPerToken')
  result.logProbsGrad = next('logProbsGrad')
  if (masked) result.maskedLogProbsGrad = next('maskedLogProbsGrad')
  if (entropies) result.entropiesGrad = next('entropiesGrad')
  if (maskedEntropies) result.maskedEntropiesGrad = next('maskedEntropiesGrad')
  if (exactPerceptionKl) result.exactPerceptionKlGrad = next('exactPerceptionKlGrad')
  letGo(block)
}

/** A new tensor in the shape of the tokens, put into the call. */
export function newPerToken<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  layout: Pick<TokenLayout, 'rows' | 'shape'>,
  dtype: DType,
): Tensor {
  const data = call.allocate(slot, dtype, layout.rows)
  call.vector(slot, data, dtype, layout.rows)
  return makeTensor(data, dtype, layout.shape, layout.shape[layout.shape.length - 1]!)
}
