import { allocate } from '../dtype'
import { describe, invalid } from '../errors'
import { requireKeys } from '../options'

/** Lengths in a packed sequence, in tokens. */
export interface PackedLengths {
  /** Of each prompt, image tokens included; at least 1. */
  promptLengths: readonly number[] | Int32Array
  /**
   * What follows each prompt: the length of its one response, or a list of the lengths of all the
   * responses behind that one copy of the prompt.
   */
  responseLengths: readonly (number | readonly number[] | Int32Array)[] | Int32Array
}

/** Where the N response tokens of a packed sequence of R positions are, in B responses. */
export interface ResponseRows {
  /** [N]: the row of the [R, V] logits that predicts each token. */
  rowIndex: Int32Array
  /** [N]: the position of each token itself, where its id stands among the packed ids. */
  positions: Int32Array
  /** [B + 1]: first token of each response, and N at the end. */
  cuSeqlens: Int32Array
  /** R */
  rows: number
}

// As int32 numbers them.
const mostRows = 2 ** 31 - 1

const lengthNames = new Set(['promptLengths', 'responseLengths'])

/**
 * The row index of sequences packed one after another, each a prompt and its response, or a prompt
 * and several responses that share it (`p p p a a b b b`; attention keeps the responses apart). In a
 * causal pass the row at a position predicts the next token, so a token's row is the one before it,
 * but for the first token of every response: that is the last row of the prompt.
 *
 * @example
 * // A prompt of 3 with one response of 2, then a prompt of 4 that three responses share.
 * const { rowIndex, cuSeqlens, positions } = responseRowIndex({
 *   promptLengths: [3, 4],
 *   responseLengths: [2, [5, 1, 3]],
 * })
 * const tokens = positions.map((position) => packedIds[position])
 * lossFromLogits({ logits, tokens, rowIndex, cuSeqlens, advantages })
 *
 * @throws PapoError ERR_INVALID_ARGUMENT, ERR_INVALID_SHAPE (not as many prompts as entries of
 * responseLengths), ERR_INVALID_VALUE (a length that is no whole number, a prompt of 0, more than
 * 2^31 - 1 rows), ERR_OUT_OF_MEMORY
 */
export function responseRowIndex(lengths: PackedLengths): ResponseRows {
  requireKeys('lengths', lengths, lengthNames, 'ERR_INVALID_ARGUMENT')
  const prompts = requireList('promptLengths', lengths.promptLengths)
  const groups = requireList('responseLengths', lengths.responseLengths)
  if (groups.length !== prompts.length)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'responseLengths',
      `${prompts.length} entries, one per prompt`,
      `${groups.length}`,
    )
  const groupLengths = groups.map(responsesOf)
  const responseLengths = groupLengths.flat()
  const promptLengths = prompts.map((length) => requireLength('promptLengths', length, 1))
  const tokens = sum(responseLengths)
  const rows = tokens + sum(promptLengths)
  if (rows > mostRows)
    throw invalid('ERR_INVALID_VALUE', 'lengths', `at most ${mostRows} rows in all`, `${rows}`)
  const rowIndex = allocate('rowIndex', 'int32', tokens) as Int32Array
  const positions = allocate('positions', 'int32', tokens) as Int32Array
  const cuSeqlens = allocate('cuSeqlens', 'int32', responseLengths.length + 1) as Int32Array
  let token = 0
  let response = 0
  let row = 0
  groupLengths.forEach((lengths, i) => {
    row += promptLengths[i]!
    const lastOfPrompt = row - 1
    for (const length of lengths) {
      for (let t = 0; t < length; ++t) {
        rowIndex[token] = t === 0 ? lastOfPrompt : row - 1
        positions[token++] = row++
      }
      cuSeqlens[++response] = token
    }
  })
  return { rowIndex, positions, cuSeqlens, rows }
}

function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total + length, 0)
}

function responsesOf(group: unknown): number[] {
  const lengths = typeof group === 'number' ? [group] : requireList('responseLengths', group)
  return lengths.map((length) => requireLength('responseLengths', length, 0))
}

function requireList(argument: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  if (Object.prototype.toString.call(value) === '[object Int32Array]')
    return Array.from(value as Int32Array)
  throw invalid('ERR_INVALID_ARGUMENT', argument, 'an array of lengths', describe(value))
}

function requireLength(argument: string, value: unknown, min: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return value as number
  const expected = `whole numbers of at least ${min}`
  throw invalid('ERR_INVALID_VALUE', argument, expected, describe(value))
}
