import { describe, invalid } from '../errors'
import { requireInteger, requireKeys, requireOneOf } from '../options'
import { Tensor } from '../tensor'
import type { TensorLike } from '../tensor'
import type { TypedArray } from '../dtype'
import { readVector, requireSameLength } from './vector'

export interface OverlongPenaltyOptions {
  /** L_max: tokens after which a response is cut off. */
  maxLength: number
  /** L_cache: tokens before maxLength over which the penalty grows; 0 to maxLength. */
  cacheLength: number
  /** Of the result; default 'float32'. */
  dtype?: 'float32' | 'float64'
}

export interface OverlongMaskOptions {
  /** Tokens after which a response is cut off. */
  maxLength: number
  /**
   * uint8 [B]: 1 = the response ended by itself. Tells a response that ends with the last token
   * allowed from one that was cut off there; absent: those of maxLength were cut off.
   */
  finished?: TensorLike
}

const penaltyOptionNames = new Set(['maxLength', 'cacheLength', 'dtype'])
const maskOptionNames = new Set(['maxLength', 'finished'])

/**
 * Soft overlong punishment (DAPO, arXiv 2503.14476 Eq. 13; docs/math.md Eq. 26), to be added to the
 * rewards: 0 up to maxLength - cacheLength tokens, from there on a straight line to -1 at
 * maxLength, and -1 beyond.
 *
 * Add it after dynamic sampling has read the raw metric: see {@link selectGroups}.
 *
 * @param lengths int32 [B]: tokens of each response, at least 0
 * @returns penalties [B], -1 to 0
 * @throws PapoError ERR_INVALID_ARGUMENT, ERR_INVALID_DTYPE, ERR_INVALID_SHAPE, ERR_INVALID_VALUE
 * (a negative length), ERR_INVALID_OPTION
 */
export function overlongPenalties(lengths: TensorLike, options: OverlongPenaltyOptions): Tensor {
  requireKeys('options', options, penaltyOptionNames)
  const maxLength = requireInteger('maxLength', options.maxLength, undefined, 1)
  const cacheLength = requireInteger('cacheLength', options.cacheLength, undefined, 0, maxLength)
  const dtype = requireOneOf('dtype', options.dtype, ['float32', 'float64'] as const)
  const data = readLengths(lengths)
  const penalties = Tensor.zeros([data.length], dtype)
  const free = maxLength - cacheLength
  for (let i = 0; i < data.length; ++i) {
    const over = data[i]! - free
    // With a cache of 0 there is no line, and no division.
    if (over > 0) penalties.data[i] = over >= cacheLength ? -1 : -over / cacheLength
  }
  return penalties
}

/**
 * Overlong filtering (DAPO, arXiv 2503.14476 §3.4): 0 for responses that were cut off at maxLength,
 * whose reward says nothing of their content, and 1 for all others. Multiply the rows of
 * responseMask by it to keep these responses out of every term.
 *
 * @param lengths int32 [B]: tokens of each response, at least 0
 * @returns uint8 [B]
 * @throws PapoError as {@link overlongPenalties}
 */
export function overlongMask(lengths: TensorLike, options: OverlongMaskOptions): Tensor {
  requireKeys('options', options, maskOptionNames)
  const maxLength = requireInteger('maxLength', options.maxLength, undefined, 1)
  const data = readLengths(lengths)
  const finished = readFinished(options.finished, data.length)
  const mask = Tensor.zeros([data.length], 'uint8')
  for (let i = 0; i < data.length; ++i)
    mask.data[i] = data[i]! < maxLength || finished?.[i] === 1 ? 1 : 0
  return mask
}

function readLengths(lengths: TensorLike): TypedArray {
  const data = readVector('lengths', lengths, ['int32'])
  const negative = data.findIndex((length) => length < 0)
  if (negative !== -1)
    throw invalid(
      'ERR_INVALID_VALUE',
      'lengths',
      'numbers of tokens',
      `${data[negative]} in row ${negative}`,
    )
  return data
}

function readFinished(value: TensorLike | undefined, length: number): TypedArray | undefined {
  if (value === undefined) return undefined
  const data = readVector('finished', value, ['uint8'])
  requireSameLength('finished', data, length)
  const other = data.find((bit) => bit > 1)
  if (other !== undefined) throw invalid('ERR_INVALID_VALUE', 'finished', '0 or 1', describe(other))
  return data
}
