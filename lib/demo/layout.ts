// Where each parameter of the policy lies in the flat array.
import { channels, colors, maxLength, patchCount, vocabSize } from './task'

export const hiddenSize = 64
/** Three channels and a bias. */
export const filterSize = channels + 1
const start = vocabSize // "previous token" of the first position

interface Layout {
  filter: number
  scores: number
  token: number
  position: number
  question: number
  output: number
  bias: number
  size: number
}

export const layout: Layout = (() => {
  let size = 0
  const take = (count: number): number => {
    size += count
    return size - count
  }
  return {
    filter: take(colors.length * filterSize),
    scores: take(hiddenSize * patchCount),
    token: take((vocabSize + 1) * hiddenSize),
    position: take(maxLength * hiddenSize),
    question: take(colors.length * hiddenSize),
    output: take(vocabSize * hiddenSize),
    bias: take(vocabSize),
    size,
  }
})()

/** A token of a response. */
export interface Position {
  readonly question: number
  readonly index: number
  /** undefined: the response begins here. */
  readonly previous: number | undefined
}

/** Where the parameters that this position picks begin. */
export function offsets(at: Position): { token: number; position: number; question: number } {
  return {
    token: layout.token + (at.previous ?? start) * hiddenSize,
    position: layout.position + at.index * hiddenSize,
    question: layout.question + at.question * hiddenSize,
  }
}
