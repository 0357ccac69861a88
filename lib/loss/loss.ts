import { runNow } from '../call'
import type { PreparedCall } from '../call'
import type { Descriptor } from '../descriptor'
import type { DType } from '../dtype'
import { defaultEngine, engineHandle, valueDType } from '../engine'
import type { Engine } from '../engine'
import { addon } from '../native'
import type { NativeEngine } from '../native'
import { requireBoolean, requireKeys } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { toTensor } from '../tensor'
import { putGradients, putMaskedLogits, requireGradNorm } from './gradients'
import type { GradientOptions } from './gradients'
import {
  logitsDTypes,
  logitsInputNames,
  logProbsInputNames,
  putMatrix,
  putPerToken,
  putPerTokenOrResponse,
  requireMatrix,
  rowsOfLogits,
} from './inputs'
import type { LossFromLogitsInputs, LossFromLogProbsInputs, TokenInputs } from './inputs'
import { encodedObjective, resolveObjective } from './objective'
import type { Objective, ObjectiveInput } from './objective'
import {
  newLossCall,
  newMetricValues,
  newResult,
  putPerTokenValues,
  readSummary,
  sharedMetricValues,
} from './results'
import type {
  LogitsGradients,
  LossResult,
  LossSlot,
  LossSummary,
  PartialLossResult,
  PerTokenValues,
} from './results'
import { layoutOf, tokenShape } from './token-layout'
import type { TokenLayout } from './token-layout'

export interface LossOptions {
  /** false: only loss, terms and metrics (and gradients of logits). Default true. */
  perToken?: boolean
  /** Default: {@link defaultEngine}. */
  engine?: Engine
}

export interface LossFromLogitsOptions extends LossOptions, GradientOptions {}

export interface LossFromLogitsResult extends LossResult, LogitsGradients {}

const logProbsOptionNames = new Set(['perToken', 'engine'])
const logitsOptionNames = new Set([
  'perToken',
  'engine',
  'gradient',
  'logitsGrad',
  'maskedLogitsGrad',
  'gradNorm',
])

/**
 * The PAPO loss (arXiv 2507.06448) and its gradient, from the vocabulary logits of both branches:
 *
 *     loss = policy + β·refKl - γ·perceptionKl + η1·entropy + η2·maskedEntropy (+ sftCoef·sft)
 *
 * Each row of logits is read once (twice with sequence ratios or quantiles) and its gradient
 * written once. Formulas: docs/math.md; options: docs/options.md.
 *
 * Rows with responseMask 0 are not read, unless paddingInAuxiliaryTerms; with every row masked the
 * loss and all gradients are 0. Logits may have other rows than those of the tokens: see
 * {@link LossFromLogitsInputs.rowIndex} and docs/layouts.md. NaN in a row that counts reaches the loss, and
 * metrics.nonFiniteRows tells how many there are.
 *
 * @example
 * const { loss, logitsGrad } = lossFromLogits(
 *   { logits: Tensor.from(logits, { shape: [B, T, V] }), maskedLogits, tokens, advantages,
 *     oldLogProbs, refLogProbs, responseMask },
 *   { profile: 'papoG', perceptionKlCoef: 0.01 })
 *
 * @throws PapoError with the argument's name; nothing is written then
 */
export function lossFromLogits(
  inputs: LossFromLogitsInputs,
  objective?: ObjectiveInput,
  options?: LossFromLogitsOptions & { perToken?: true },
): LossFromLogitsResult
export function lossFromLogits(
  inputs: LossFromLogitsInputs,
  objective: ObjectiveInput | undefined,
  options: LossFromLogitsOptions,
): PartialLossResult
export function lossFromLogits(
  inputs: LossFromLogitsInputs,
  objectiveInput?: ObjectiveInput,
  options: LossFromLogitsOptions = {},
): PartialLossResult {
  return runNow(prepareLossFromLogits(inputs, objectiveInput, options, sharedMetricValues))
}

/**
 * {@link lossFromLogits} on a thread of its own. All async forms of a device wait in one queue, in the
 * order in which they were called, each on all of its engine's threads; neither the event loop nor
 * libuv's threads are held up, and calls of the sync forms do not wait for them.
 *
 * Until the promise settles, do not write to the arrays of the call: the result is undefined then,
 * though nothing worse happens. Their buffers cannot be transferred to another thread from then on
 * (`markAsUntransferable`, which Node cannot undo). What is queued runs also if the engine is
 * disposed meanwhile; a worker thread that ends drops what waits.
 *
 * Rejects with what the sync form throws; with ERR_DETACHED where a buffer was detached after all;
 * and, if options.signal aborts before the computation has begun, with the signal's reason.
 *
 * @example
 * const { loss, logitsGrad } = await lossFromLogitsAsync(inputs, 'papoG', { signal })
 */
export function lossFromLogitsAsync(
  inputs: LossFromLogitsInputs,
  objective?: ObjectiveInput,
  options?: Queued<LossFromLogitsOptions> & { perToken?: true },
): Promise<LossFromLogitsResult>
export function lossFromLogitsAsync(
  inputs: LossFromLogitsInputs,
  objective: ObjectiveInput | undefined,
  options: Queued<LossFromLogitsOptions>,
): Promise<PartialLossResult>
export async function lossFromLogitsAsync(
  inputs: LossFromLogitsInputs,
  objective?: ObjectiveInput,
  options: Queued<LossFromLogitsOptions> = {},
): Promise<PartialLossResult> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareLossFromLogits(inputs, objective, rest, newMetricValues()), signal)
}

function prepareLossFromLogits(
  inputs: LossFromLogitsInputs,
  objectiveInput: ObjectiveInput | undefined,
  options: LossFromLogitsOptions,
  metrics: Float64Array,
): PreparedCall<PartialLossResult> {
  requireKeys('inputs', inputs, logitsInputNames, 'ERR_INVALID_ARGUMENT')
  requireKeys('options', options, logitsOptionNames)
  const objective = resolveObjective(objectiveInput)
  const engine = options.engine ?? defaultEngine()
  const handle = engineHandle(engine)
  const call = newLossCall(metrics)

  const tokens = toTensor('tokens', inputs.tokens)
  const logits = toTensor('logits', inputs.logits)
  const { rowIndex } = inputs
  const layout = readLayout(
    tokenShape('tokens', tokens, rowIndex === undefined ? logits : undefined),
    inputs,
  )
  const dtype = valueDType(engine)
  const matrix = requireMatrix('logits', logits, rowsOfLogits(logits, rowIndex, layout))
  putMatrix(call, 'logits', matrix, logitsDTypes(engine))
  const maskedMatrix = putMaskedLogits(call, inputs.maskedLogits, matrix)
  putPerToken(call, 'tokens', tokens, layout, 'int32')
  putPerToken(call, 'rowIndex', rowIndex, layout, 'int32')
  putPerToken(call, 'maskedLogProbs', inputs.maskedLogProbs, layout, dtype)
  putTokenInputs(call, inputs, layout, dtype)

  const result = newResult()
  putGradients(call, objective, options, matrix, maskedMatrix, result)
  const gradNorm = requireGradNorm(options, result)
  const hasMaskedLogits = maskedMatrix !== undefined
  const branches = {
    masked: hasMaskedLogits || inputs.maskedLogProbs !== undefined,
    entropies: true,
    maskedEntropies: hasMaskedLogits,
    exactPerceptionKl: hasMaskedLogits && objective.perceptionKlEstimator === 'exact',
  }
  if (requireBoolean('perToken', options.perToken, true))
    putPerTokenValues(call, layout, dtype, branches, result)
  return prepared({ handle, objective, descriptor: call, layout, gradNorm, result, metrics })
}

/**
 * The same loss from log-probs that an autodiff framework computed: returns dloss/dlogProbs and the
 * other slopes, which the framework carries on. Entropies and the exact KL are inputs here, needed
 * only where the objective uses them.
 *
 * @example
 * const inputs = { logProbs, maskedLogProbs, oldLogProbs, advantages }
 * const { loss, logProbsGrad } = lossFromLogProbs(inputs)
 *
 * @throws PapoError with the argument's name
 */
export function lossFromLogProbs(
  inputs: LossFromLogProbsInputs,
  objective?: ObjectiveInput,
  options?: LossOptions & { perToken?: true },
): LossResult
export function lossFromLogProbs(
  inputs: LossFromLogProbsInputs,
  objective: ObjectiveInput | undefined,
  options: LossOptions,
): LossSummary & Partial<PerTokenValues>
export function lossFromLogProbs(
  inputs: LossFromLogProbsInputs,
  objectiveInput?: ObjectiveInput,
  options: LossOptions = {},
): PartialLossResult {
  return runNow(prepareLossFromLogProbs(inputs, objectiveInput, options, sharedMetricValues))
}

/** {@link lossFromLogProbs} through the queue of the device: see {@link lossFromLogitsAsync}. */
export function lossFromLogProbsAsync(
  inputs: LossFromLogProbsInputs,
  objective?: ObjectiveInput,
  options?: Queued<LossOptions> & { perToken?: true },
): Promise<LossResult>
export function lossFromLogProbsAsync(
  inputs: LossFromLogProbsInputs,
  objective: ObjectiveInput | undefined,
  options: Queued<LossOptions>,
): Promise<LossSummary & Partial<PerTokenValues>>
export async function lossFromLogProbsAsync(
  inputs: LossFromLogProbsInputs,
  objective?: ObjectiveInput,
  options: Queued<LossOptions> = {},
): Promise<PartialLossResult> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareLossFromLogProbs(inputs, objective, rest, newMetricValues()), signal)
}

function prepareLossFromLogProbs(
  inputs: LossFromLogProbsInputs,
  objectiveInput: ObjectiveInput | undefined,
  options: LossOptions,
  metrics: Float64Array,
): PreparedCall<PartialLossResult> {
  requireKeys('inputs', inputs, logProbsInputNames, 'ERR_INVALID_ARGUMENT')
  requireKeys('options', options, logProbsOptionNames)
  const objective = resolveObjective(objectiveInput)
  const engine = options.engine ?? defaultEngine()
  const handle = engineHandle(engine)
  const call = newLossCall(metrics)

  const logProbs = toTensor('logProbs', inputs.logProbs)
  const layout = readLayout(tokenShape('logProbs', logProbs), inputs)
  const dtype = valueDType(engine)
  putPerToken(call, 'logProbs', logProbs, layout, dtype)
  putPerToken(call, 'maskedLogProbs', inputs.maskedLogProbs, layout, dtype)
  putPerToken(call, 'entropies', inputs.entropies, layout, dtype)
  putPerToken(call, 'maskedEntropies', inputs.maskedEntropies, layout, dtype)
  putPerToken(call, 'exactPerceptionKl', inputs.exactPerceptionKl, layout, dtype)
  putTokenInputs(call, inputs, layout, dtype)

  const result = newResult()
  const branches = {
    masked: inputs.maskedLogProbs !== undefined,
    entropies: inputs.entropies !== undefined,
    maskedEntropies: inputs.maskedEntropies !== undefined,
    exactPerceptionKl: inputs.exactPerceptionKl !== undefined,
  }
  if (requireBoolean('perToken', options.perToken, true))
    putPerTokenValues(call, layout, dtype, branches, result)
  return prepared({
    handle,
    objective,
    descriptor: call,
    layout,
    gradNorm: false,
    result,
    metrics,
  })
}

function readLayout(shape: readonly number[], inputs: TokenInputs): TokenLayout {
  return layoutOf(shape, inputs.cuSeqlens, toTensor('advantages', inputs.advantages))
}

function putTokenInputs(
  call: Descriptor<LossSlot>,
  inputs: TokenInputs,
  layout: TokenLayout,
  dtype: DType,
): void {
  putPerToken(call, 'responseMask', inputs.responseMask, layout, 'uint8')
  putPerToken(call, 'oldLogProbs', inputs.oldLogProbs, layout, dtype)
  putPerToken(call, 'refLogProbs', inputs.refLogProbs, layout, dtype)
  putPerTokenOrResponse(call, 'advantages', inputs.advantages, layout, dtype)
  putPerTokenOrResponse(call, 'tokenWeights', inputs.tokenWeights, layout, dtype)
  putPerTokenOrResponse(call, 'perceptionWeights', inputs.perceptionWeights, layout, dtype)
  putPerTokenOrResponse(call, 'sftMask', inputs.sftMask, layout, 'uint8')
}

interface LossCall {
  readonly handle: NativeEngine
  readonly objective: Objective
  readonly descriptor: Descriptor<LossSlot>
  readonly layout: TokenLayout
  readonly gradNorm: boolean
  readonly result: PartialLossResult
  readonly metrics: Float64Array
}

function prepared(call: LossCall): PreparedCall<PartialLossResult> {
  const { handle, objective, descriptor, layout, gradNorm, result, metrics } = call
  return {
    descriptor,
    run: (jobs) =>
      addon.loss(
        handle,
        encodedObjective(objective),
        descriptor.slots,
        descriptor.shapes,
        layout.cuSeqlens,
        layout.responses,
        gradNorm,
        jobs,
      ),
    finish: () => {
      readSummary(result, metrics)
      return result
    },
  }
}
