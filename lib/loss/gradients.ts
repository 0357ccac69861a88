import type { Descriptor } from '../descriptor'
import { describe, invalid } from '../errors'
import { addon } from '../native'
import { requireBoolean, requireOneOf } from '../options'
import { isOnHost } from '../storage'
import { describeTensor, makeTensor, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { putMatrix, requireMatrix } from './inputs'
import type { Matrix } from './inputs'
import type { Objective } from './objective'
import type { LossSlot, PartialLossResult } from './results'

export interface GradientOptions {
  /**
   * 'new' (default): gradients go to new tensors, or to those given below. 'inPlace': they
   * overwrite the logits, and maskedLogits where gradient flows there, which saves their memory. 'none'.
   */
  gradient?: 'new' | 'inPlace' | 'none'
  /** Destination of the gradient: shape and dtype of logits, all of whose rows are written. */
  logitsGrad?: TensorLike
  /** The same for maskedLogits; only where perceptionGradient is 'both'. */
  maskedLogitsGrad?: TensorLike
  /** Computes metrics.gradNorm, the L2 norm of both gradients together. Default false. */
  gradNorm?: boolean
}

const gradientModes = ['new', 'inPlace', 'none'] as const

/** Puts the logits of the masked branch, if they are given. */
export function putMaskedLogits(
  call: Descriptor<LossSlot>,
  value: TensorLike | undefined,
  logits: Matrix,
): Matrix | undefined {
  return value === undefined ? undefined : putLike(call, 'maskedLogits', value, logits)
}

// A matrix of as many rows and columns as the logits, in their dtype; its row stride is its own.
function putLike(
  call: Descriptor<LossSlot>,
  slot: LossSlot,
  value: TensorLike,
  logits: Matrix,
): Matrix {
  const tensor = toTensor(slot, value)
  const matrix = requireMatrix(slot, tensor, logits.rows)
  if (matrix.columns !== logits.columns)
    throw invalid(
      'ERR_INVALID_SHAPE',
      slot,
      `${logits.columns} columns, as logits`,
      describeTensor(tensor),
    )
  putMatrix(call, slot, matrix, [logits.tensor.dtype])
  return matrix
}

/** Puts the gradients that the options ask for into the call and the result. */
export function putGradients(
  call: Descriptor<LossSlot>,
  objective: Objective,
  options: GradientOptions,
  logits: Matrix,
  maskedLogits: Matrix | undefined,
  result: PartialLossResult,
): void {
  const mode = requireOneOf('gradient', options.gradient, gradientModes)
  const flowsToMasked = maskedLogits !== undefined && objective.perceptionGradient === 'both'
  refuseDestination('logitsGrad', options.logitsGrad, mode === 'new', "gradient is 'new'")
  refuseDestination(
    'maskedLogitsGrad',
    options.maskedLogitsGrad,
    mode === 'new' && flowsToMasked,
    "gradient is 'new', maskedLogits are given and perceptionGradient is 'both'",
  )
  if (mode === 'none') return
  const inPlace = mode === 'inPlace'
  result.logitsGrad = putGradient(call, 'logitsGrad', options.logitsGrad, logits, inPlace)
  if (flowsToMasked)
    result.maskedLogitsGrad = putGradient(
      call,
      'maskedLogitsGrad',
      options.maskedLogitsGrad,
      maskedLogits,
      inPlace,
    )
}

// A destination that would stay unwritten is refused: its old contents could pass for a gradient.
function refuseDestination(
  argument: string,
  value: TensorLike | undefined,
  isWritten: boolean,
  condition: string,
): void {
  if (value !== undefined && !isWritten)
    throw invalid('ERR_INVALID_ARGUMENT', argument, `none unless ${condition}`, describe(value))
}

// From here on a huge page is filled.
const hugePageWorth = 4 << 20

function putGradient(
  call: Descriptor<LossSlot>,
  slot: 'logitsGrad' | 'maskedLogitsGrad',
  destination: TensorLike | undefined,
  logits: Matrix,
  inPlace: boolean,
): Tensor {
  const { tensor, rows, columns } = logits
  if (inPlace) {
    putMatrix(call, slot, logits, [tensor.dtype])
    return tensor
  }
  if (destination !== undefined) return putLike(call, slot, destination, logits).tensor
  const data = call.allocate(slot, tensor.dtype, rows * columns)
  if (isOnHost(data) && data.byteLength >= hugePageWorth) addon.preferHugePages(data)
  call.matrix(slot, data, tensor.dtype, rows, columns, columns)
  return makeTensor(data, tensor.dtype, tensor.shape, tensor.shape[tensor.shape.length - 1]!)
}

export function requireGradNorm(options: GradientOptions, result: PartialLossResult): boolean {
  const gradNorm = requireBoolean('gradNorm', options.gradNorm, false)
  if (gradNorm && result.logitsGrad === undefined)
    throw invalid('ERR_INVALID_OPTION', 'gradNorm', "false where gradient is 'none'", 'true')
  return gradNorm
}
