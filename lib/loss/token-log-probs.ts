import { Descriptor, DescriptorLayout } from '../descriptor'
import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { engineFor, engineHandle, valueDType } from '../engine'
import type { Engine } from '../engine'
import { addon, slotNames } from '../native'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { requireBoolean, requireKeys, requireNumber } from '../options'
import { elementsOf, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { logitsDTypes, putMatrix, putPerToken, requireMatrix, rowsOfLogits } from './inputs'
import { newPerToken } from './results'
import { tokenShape } from './token-layout'

export interface TokenLogProbsInputs {
  /**
   * [B, T, V] or [N, V], or any rows with rowIndex; float32, float16 or bfloat16 (float64 too for
   * the reference engine).
   */
  logits: TensorLike
  /** int32 [N] or [B, T], each in [0, V). */
  tokens: TensorLike
  /** int32, as the tokens: the row of logits that predicts each; absent: row t predicts tokens[t]. */
  rowIndex?: TensorLike
  /** uint8; tokens with 0 are not looked at and give 0. */
  responseMask?: TensorLike
}

export interface TokenLogProbsOptions {
  /** Logits are divided by it. Default 1. */
  temperature?: number
  /** Computes entropies too. Default false. */
  entropies?: boolean
  engine?: Engine
}

/** In the shape of the tokens and in nats: float32, or float64 from the reference engine. */
export interface TokenLogProbs {
  /** z[token] - logSumExp(z), z = logits / temperature. */
  logProbs: Tensor
  /** -Σ p log p over the vocabulary, with 0 log 0 = 0. */
  entropies?: Tensor
  logSumExps: Tensor
}

const inputNames = new Set(['logits', 'tokens', 'rowIndex', 'responseMask'])
const optionNames = new Set(['temperature', 'entropies', 'engine'])
const layoutOfCall = new DescriptorLayout(slotNames.tokenLogProbs)

/**
 * Log-probs of given tokens: what old, reference and masked-image scoring need (docs/math.md).
 *
 * @example
 * const { logProbs } = tokenLogProbs({ logits, tokens }, { temperature: 0.9 })
 *
 * @throws PapoError with the argument's name
 */
export function tokenLogProbs(
  inputs: TokenLogProbsInputs,
  options: TokenLogProbsOptions = {},
): TokenLogProbs {
  return runNow(prepareTokenLogProbs(inputs, options))
}

/** {@link tokenLogProbs} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function tokenLogProbsAsync(
  inputs: TokenLogProbsInputs,
  options: Queued<TokenLogProbsOptions> = {},
): Promise<TokenLogProbs> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareTokenLogProbs(inputs, rest), signal)
}

function prepareTokenLogProbs(
  inputs: TokenLogProbsInputs,
  options: TokenLogProbsOptions,
): PreparedCall<TokenLogProbs> {
  requireKeys('inputs', inputs, inputNames, 'ERR_INVALID_ARGUMENT')
  requireKeys('options', options, optionNames)
  const tokens = toTensor('tokens', inputs.tokens)
  const logits = toTensor('logits', inputs.logits)
  const engine = engineFor(options.engine, logits)
  const handle = engineHandle(engine)
  const temperature = requireNumber('temperature', options.temperature, 1)
  const withEntropies = requireBoolean('entropies', options.entropies, false)
  const dtype = valueDType(engine)

  const call = new Descriptor<(typeof slotNames.tokenLogProbs)[number]>(layoutOfCall, engine)
  const { rowIndex } = inputs
  const shape = tokenShape('tokens', tokens, rowIndex === undefined ? logits : undefined)
  const layout = { rows: elementsOf(shape), responses: 1, shape, cuSeqlens: undefined }
  const matrix = requireMatrix('logits', logits, rowsOfLogits(logits, rowIndex, layout))
  putMatrix(call, 'logits', matrix, logitsDTypes(engine))
  putPerToken(call, 'tokens', tokens, layout, 'int32')
  putPerToken(call, 'rowIndex', rowIndex, layout, 'int32')
  putPerToken(call, 'responseMask', inputs.responseMask, layout, 'uint8')

  const result: TokenLogProbs = {
    logProbs: newPerToken(call, 'logProbs', layout, dtype),
    logSumExps: newPerToken(call, 'logSumExps', layout, dtype),
  }
  if (withEntropies) result.entropies = newPerToken(call, 'entropies', layout, dtype)
  return {
    descriptor: call,
    run: (jobs) => addon.tokenLogProbs(handle, temperature, call.slots, call.shapes, jobs),
    finish: () => result,
  }
}
