import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { engineFor, engineHandle, valueDType } from '../engine'
import { requireBoolean, requireKeys } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { toTensor } from '../tensor'
import { logProbsInputNames, putPerToken } from './inputs'
import type { LossFromLogProbsInputs } from './inputs'
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
import type { LossResult, LossSummary, PartialLossResult, PerTokenValues } from './results'
import { tokenShape } from './token-layout'

const optionNames = new Set(['perToken', 'engine'])

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
  requireKeys('options', options, optionNames)
  const objective = resolveObjective(objectiveInput)
  const logProbs = toTensor('logProbs', inputs.logProbs)
  const engine = engineFor(options.engine, logProbs)
  const handle = engineHandle(engine)
  const call = newLossCall(metrics, engine)

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
  return prepareLoss({
    handle,
    objective,
    descriptor: call,
    layout,
    gradNorm: false,
    result,
    metrics,
  })
}
