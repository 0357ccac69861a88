import type { Descriptor } from '../descriptor'
import type { DType } from '../dtype'
import { valueDType } from '../engine'
import type { Engine } from '../engine'
import { invalid } from '../errors'
import { describeTensor, elementsOf, tensorData, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import type { TokenLayout } from './token-layout'

/**
 * What both loss functions take: N tokens in B responses. float values are float32 (float64 for the
 * reference engine); log-probs are in nats. "Per response or token": [B] or [N] or [B, T].
 */
export interface TokenInputs {
  /** uint8 [N] or [B, T]: 1 = the token counts. Other tokens are not read at all. Absent: all 1. */
  responseMask?: TensorLike
  /** Log-probs of the policy that sampled the tokens. Absent: on-policy, ratio 1. */
  oldLogProbs?: TensorLike
  /** Log-probs of the frozen reference. Absent: no reference KL, whatever its coefficient. */
  refLogProbs?: TensorLike
  /** Per response or token. */
  advantages: TensorLike
  /** Factor of the policy term, per response or token. */
  tokenWeights?: TensorLike
  /** Factor of the perception KL, per response or token. */
  perceptionWeights?: TensorLike
  /** uint8, per response or token: 1 = counts in the supervised term of sftCoef. */
  sftMask?: TensorLike
  /** [B + 1]: first token of each packed response, and N at the end. Absent: equal lengths. */
  cuSeqlens?: readonly number[] | Int32Array
}

/** Inputs of {@link lossFromLogits}. */
export interface LossFromLogitsInputs extends TokenInputs {
  /**
   * [B, T, V] or [N, V] before temperature; row t is the distribution of tokens[t]. float32,
   * float16 or bfloat16, and float64 for the reference engine. A bare array holds N · V values.
   * With rowIndex: [R, V] or [.., .., V], any R rows.
   */
  logits: TensorLike
  /** The same under the masked image, in the dtype of logits. */
  maskedLogits?: TensorLike
  /** Log-probs of the tokens under the masked image, as constants, instead of maskedLogits. */
  maskedLogProbs?: TensorLike
  /** int32 [N] or [B, T], each in [0, V). */
  tokens: TensorLike
  /**
   * int32 [N] or [B, T], each in [0, R): the row of logits, and of maskedLogits, that predicts the
   * token. Any order; tokens may share a row, which then gets the sum of their gradients. Rows that
   * no counted token names are not read, and their gradient is 0. Absent: row t predicts tokens[t].
   * {@link responseRowIndex} makes it for packed sequences.
   */
  rowIndex?: TensorLike
}

/** Inputs of {@link lossFromLogProbs}; all but the masks are [N] or [B, T]. */
export interface LossFromLogProbsInputs extends TokenInputs {
  /** Log-probs of the sampled tokens, current policy, original image. */
  logProbs: TensorLike
  /** The same under the masked image; needed where the objective weighs it. */
  maskedLogProbs?: TensorLike
  /** Entropies over the vocabulary, where the objective needs exact ones. */
  entropies?: TensorLike
  /** Entropies under the masked image, likewise. */
  maskedEntropies?: TensorLike
  /** KL over the vocabulary, where perceptionKlEstimator is 'exact'. */
  exactPerceptionKl?: TensorLike
}

const tokenInputNames = [
  'responseMask',
  'oldLogProbs',
  'refLogProbs',
  'advantages',
  'tokenWeights',
  'perceptionWeights',
  'sftMask',
  'cuSeqlens',
]
export const logitsInputNames: ReadonlySet<string> = new Set([
  ...tokenInputNames,
  'logits',
  'maskedLogits',
  'maskedLogProbs',
  'tokens',
  'rowIndex',
])
export const logProbsInputNames: ReadonlySet<string> = new Set([
  ...tokenInputNames,
  'logProbs',
  'maskedLogProbs',
  'entropies',
  'maskedEntropies',
  'exactPerceptionKl',
])

const lowDTypes: readonly DType[] = ['float32', 'float16', 'bfloat16']
const referenceDTypes: readonly DType[] = [...lowDTypes, 'float64']

export function logitsDTypes(engine: Engine): readonly DType[] {
  return valueDType(engine) === 'float64' ? referenceDTypes : lowDTypes
}

/** Rows of vocabulary logits. */
export interface Matrix {
  readonly tensor: Tensor
  readonly rows: number
  readonly columns: number
  readonly rowStride: number
}

/** How many rows of logits a call has: as many as tokens, or with a row index as many as there are. */
export function rowsOfLogits(
  logits: Tensor,
  rowIndex: TensorLike | undefined,
  layout: Pick<TokenLayout, 'rows'>,
): number {
  if (rowIndex === undefined) return layout.rows
  const { shape } = logits
  if (shape.length === 1)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'logits',
      'shape [R, V] or [B, T, V] with rowIndex',
      describeTensor(logits),
    )
  return elementsOf(shape) / shape[shape.length - 1]!
}

/** Of so many rows: [rows, V] or [B, T, V], or a bare vector of rows · V values. */
export function requireMatrix(argument: string, tensor: Tensor, rows: number): Matrix {
  const { shape } = tensor
  const elements = elementsOf(shape)
  const isFlat = shape.length === 1
  const columns = isFlat ? elements / rows : shape[shape.length - 1]!
  if (shape.length > 3 || !Number.isInteger(columns) || columns < 1 || elements !== rows * columns)
    throw invalid(
      'ERR_INVALID_SHAPE',
      argument,
      `shape [B, T, V] or [N, V] with ${rows} rows`,
      describeTensor(tensor),
    )
  return { tensor, rows, columns, rowStride: isFlat ? columns : tensor.rowStride }
}

/** Puts a matrix of one of these dtypes into a call. */
export function putMatrix<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  matrix: Matrix,
  dtypes: readonly DType[],
): void {
  const { tensor } = matrix
  const data = tensorData(tensor, slot)
  requireDTypeOf(slot, tensor, dtypes)
  call.matrix(slot, data, tensor.dtype, matrix.rows, matrix.columns, matrix.rowStride)
}

function requireDTypeOf(argument: string, tensor: Tensor, dtypes: readonly DType[]): void {
  if (!dtypes.includes(tensor.dtype))
    throw invalid('ERR_INVALID_DTYPE', argument, dtypes.join(', '), describeTensor(tensor))
}

/** Puts [N] values of this dtype into a call, if they are there. */
export function putPerToken<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  value: TensorLike | undefined,
  layout: TokenLayout,
  dtype: DType,
): void {
  if (value === undefined) return
  const tensor = toTensor(slot, value)
  if (elementsOf(tensor.shape) !== layout.rows || !agrees(tensor.shape, layout.shape))
    throw invalid('ERR_INVALID_SHAPE', slot, shapesOf(layout), describeTensor(tensor))
  putVector(call, slot, tensor, dtype)
}

/** Puts [B] or [N] values of this dtype into a call, if they are there. */
export function putPerTokenOrResponse<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  value: TensorLike | undefined,
  layout: TokenLayout,
  dtype: DType,
): void {
  if (value === undefined) return
  const tensor = toTensor(slot, value)
  const elements = elementsOf(tensor.shape)
  const isPerToken = elements === layout.rows && agrees(tensor.shape, layout.shape)
  if (!isPerToken && elements !== layout.responses)
    throw invalid(
      'ERR_INVALID_SHAPE',
      slot,
      `[${layout.responses}] per response, or per token ${shapesOf(layout)}`,
      describeTensor(tensor),
    )
  putVector(call, slot, tensor, dtype)
}

/** Puts all elements of a contiguous tensor of this dtype into a call. */
export function putVector<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  tensor: Tensor,
  dtype: DType,
): void {
  const data = tensorData(tensor, slot)
  const { shape } = tensor
  if (tensor.dtype !== dtype)
    throw invalid('ERR_INVALID_DTYPE', slot, dtype, describeTensor(tensor))
  if (shape.length > 1 && tensor.rowStride !== shape[shape.length - 1])
    throw invalid('ERR_INVALID_SHAPE', slot, 'values without gaps', `rowStride ${tensor.rowStride}`)
  call.vector(slot, data, dtype, elementsOf(shape))
}

// A flat vector agrees with any shape of as many values; [T, B] does not agree with [B, T].
function agrees(shape: readonly number[], expected: readonly number[]): boolean {
  if (shape.length === 1 || expected.length === 1) return shape.length <= 2
  return shape.length === 2 && shape[0] === expected[0] && shape[1] === expected[1]
}

function shapesOf(layout: TokenLayout): string {
  const flat = `[${layout.rows}]`
  return layout.shape.length === 1 ? flat : `[${layout.shape.join(', ')}] or ${flat}`
}
