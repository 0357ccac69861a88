import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { engineFor, engineHandle, valueDType } from '../engine'
import { requireBoolean, requireKeys } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { toTensor } from '../tensor'
import { putGradients, putMaskedLogits, requireGradNorm } from './gradients'
import type { GradientOptions } from './gradients'
import {
  logitsDTypes,
  logitsInputNames,
  putMatrix,
  putPerToken,
  requireMatrix,
  rowsOfLogits,
} from './inputs'
import type { LossFromLogitsInputs } from './inputs'
import { prepareLoss, putTokenInputs, readLayout } from './loss-call'
import type { LossOptions } from './loss-call'
import { resolveObjective } from './objective'
import type { ObjectiveInput } from './objective'
import {
  newLossCall,
  newMetricValues,
  newResult,
  putPerTokenValues,
  sharedMetricValues,
} from './results'
import type { LogitsGradients, LossResult, PartialLossResult } from './results'
import { tokenShape } from './token-layout'

export interface LossFromLogitsOptions extends LossOptions, GradientOptions {}

export interface LossFromLogitsResult extends LossResult, LogitsGradients {}

const optionNames = new Set([
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
 * {@link LossFromLogitsInputs.rowIndex} and docs/layouts.md. NaN in a row that counts reaches the
 * loss, and metrics.nonFiniteRows tells how many there are.
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
  requireKeys('options', options, optionNames)
  const objective = resolveObjective(objectiveInput)
  const logits = toTensor('logits', inputs.logits)
  const tokens = toTensor('tokens', inputs.tokens)
  const engine = engineFor(options.engine, logits)
  const handle = engineHandle(engine)
  const call = newLossCall(metrics, engine)

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
  return prepareLoss({ handle, objective, descriptor: call, layout, gradNorm, result, metrics })
}
