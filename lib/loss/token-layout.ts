import { describe, invalid } from '../errors'
import { describeTensor, elementsOf } from '../tensor'
import type { Tensor } from '../tensor'

/** How N tokens divide into B responses. */
export interface TokenLayout {
  /** N */
  readonly rows: number
  /** B */
  readonly responses: number
  /** Shape of per-token results: [N] or [B, T]. */
  readonly shape: readonly number[]
  /** First rows of the responses, [B + 1]; absent: all are equally long. */
  readonly cuSeqlens: BigInt64Array | undefined
}

/** Shape of per-token values: the tokens' own, or the leading dimensions of [B, T, V] logits. */
export function tokenShape(argument: string, tokens: Tensor, logits?: Tensor): readonly number[] {
  if (tokens.shape.length > 2)
    throw invalid('ERR_INVALID_SHAPE', argument, 'shape [N] or [B, T]', describeTensor(tokens))
  if (tokens.shape.length === 2 || logits === undefined || logits.shape.length !== 3)
    return tokens.shape
  const leading = logits.shape.slice(0, 2)
  return elementsOf(leading) === elementsOf(tokens.shape) ? leading : tokens.shape
}

/**
 * Responses from cuSeqlens; else from the shape [B, T]; else from the number of advantages. One
 * advantage per token and no shape leave B open, and B changes the result: ERR_INVALID_SHAPE.
 */
export function layoutOf(
  shape: readonly number[],
  cuSeqlens: readonly number[] | Int32Array | undefined,
  advantages: Tensor,
): TokenLayout {
  const rows = elementsOf(shape)
  if (cuSeqlens !== undefined) return packedLayout(shape, cuSeqlens)
  const responses = shape.length === 2 ? shape[0]! : elementsOf(advantages.shape)
  if (shape.length === 1 && responses === rows && rows > 1)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'cuSeqlens',
      'cuSeqlens, or tokens of shape [B, T], with advantages per token',
      'neither',
    )
  if (rows % responses !== 0)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'advantages',
      `one value per response (a divisor of the ${rows} tokens) or per token`,
      `${responses}`,
    )
  return { rows, responses, shape, cuSeqlens: undefined }
}

/** Packed responses: cuSeqlens holds the first token of each, and N at its end. */
export function packedLayout(
  shape: readonly number[],
  cuSeqlens: readonly number[] | Int32Array,
): TokenLayout {
  if (!Array.isArray(cuSeqlens) && !(ArrayBuffer.isView(cuSeqlens) && 'length' in cuSeqlens))
    throw invalid('ERR_INVALID_ARGUMENT', 'cuSeqlens', 'an array of numbers', describe(cuSeqlens))
  if (cuSeqlens.length < 2)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'cuSeqlens',
      'B + 1 numbers, at least 2',
      `${cuSeqlens.length}`,
    )
  const starts = new BigInt64Array(cuSeqlens.length)
  for (let i = 0; i < starts.length; ++i) {
    const start: unknown = cuSeqlens[i]
    if (!Number.isSafeInteger(start))
      throw invalid('ERR_INVALID_VALUE', 'cuSeqlens', 'whole numbers', describe(start))
    starts[i] = BigInt(start as number)
  }
  const rows = elementsOf(shape)
  return { rows, responses: starts.length - 1, shape, cuSeqlens: starts }
}
