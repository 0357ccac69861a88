// The task of the demo: find the cells of one colour in a noisy 4x4 grid of coloured glyphs.
//
//   question   find red
//   response   b2 d4 <end>      one or two cells, in any order
//
// Nothing but the image holds the answer, so a policy that ignores it stays at a blind guess.
import { integerBelow, type Random } from './random'

export const imageSize = 16
export const patchSize = 4
export const gridSize = imageSize / patchSize
export const patchCount = gridSize * gridSize
export const channels = 3

export const colors = ['red', 'green', 'blue', 'yellow'] as const
const rgb = [
  [225, 50, 50],
  [50, 205, 60],
  [60, 70, 230],
  [220, 210, 40],
] as const

// Glyphs of 4x4 pixels, eight of them lit, so that brightness says nothing about the colour.
const glyphs = [
  0b0110_1001_1001_0110, 0b1001_0110_0110_1001, 0b1111_0000_0000_1111, 0b0110_0110_0110_0110,
]

const end = 0
const firstCell = 1
const cellNames = Array.from(
  { length: patchCount },
  (_, i) => `${'abcd'[Math.floor(i / gridSize)]}${(i % gridSize) + 1}`,
)
const words =
  'find where what is are the a of in on at and or not yes no none all cell row column ' +
  'glyph image left right top bottom middle far first last next other see look then answer so ' +
  'it how many count near'
export const vocabulary: readonly string[] = [
  '<end>',
  ...cellNames,
  ...colors,
  ...words.split(' '),
].slice(0, 64)
export const vocabSize = vocabulary.length
const maxTargets = 2
/** Room for one cell too many before <end>. */
export const maxLength = maxTargets + 2

export interface Prompt {
  /** [16, 16, 3], channels innermost. */
  readonly image: Uint8Array
  /** Index into colors. */
  readonly question: number
  /** Tokens of the cells of that colour, in reading order. */
  readonly answer: readonly number[]
}

export function makePrompt(random: Random): Prompt {
  const question = integerBelow(random, colors.length)
  const others = Array.from(colors.keys()).filter((color) => color !== question)
  const empty = colors.length
  const choices = [...others, empty]
  const cells = Array.from(
    { length: patchCount },
    () => choices[integerBelow(random, choices.length)]!,
  )
  const targets = new Set<number>()
  const count = 1 + integerBelow(random, maxTargets)
  while (targets.size < count) targets.add(integerBelow(random, patchCount))
  for (const cell of targets) cells[cell] = question
  const answer = Array.from(targets, (cell) => firstCell + cell).sort((a, b) => a - b)
  return { image: paint(cells, random), question, answer }
}

/** Cells beyond the last colour stay empty; every pixel carries noise. */
function paint(cells: readonly number[], random: Random): Uint8Array {
  const image = new Uint8Array(imageSize * imageSize * channels)
  const chosen = cells.map(() => glyphs[integerBelow(random, glyphs.length)]!)
  for (let i = 0; i < image.length; i++) {
    const channel = i % channels
    const x = Math.floor(i / channels) % imageSize
    const y = Math.floor(i / (channels * imageSize))
    const cell = Math.floor(y / patchSize) * gridSize + Math.floor(x / patchSize)
    const bit = (y % patchSize) * patchSize + (x % patchSize)
    const lit = ((chosen[cell]! >> bit) & 1) === 1
    const base = (lit ? rgb[cells[cell]!]?.[channel] : undefined) ?? 30
    image[i] = base + Math.floor((random() - 0.5) * 50)
  }
  return image
}

/** Mean colour of each patch, a black one at -1: [patches, 3]. The policy sees nothing else. */
export function patchFeatures(image: Uint8Array): Float32Array {
  const features = new Float32Array(patchCount * channels).fill(-1)
  const scale = 4 / (255 * patchSize * patchSize)
  for (let i = 0; i < image.length; i++) {
    const x = Math.floor(i / channels) % imageSize
    const y = Math.floor(i / (channels * imageSize))
    const patch = Math.floor(y / patchSize) * gridSize + Math.floor(x / patchSize)
    features[patch * channels + (i % channels)]! += image[i]! * scale
  }
  return features
}

export interface Score {
  readonly reward: number
  /** Exactly the right cells, then <end>. */
  readonly correct: boolean
}

/** 0.9 times the F1 score of the cells named (a repeated cell counts as wrong), 0.1 for <end>. */
export function score(response: Int32Array, prompt: Prompt): Score {
  const ended = response.at(-1) === end
  const named = Array.from(ended ? response.subarray(0, -1) : response)
  const found = prompt.answer.filter((cell) => named.includes(cell)).length
  const f1 = (2 * found) / (named.length + prompt.answer.length)
  return { reward: 0.9 * f1 + (ended ? 0.1 : 0), correct: ended && f1 === 1 }
}

export function isEnd(token: number): boolean {
  return token === end
}

export function spell(tokens: Iterable<number>): string {
  return Array.from(tokens, (token) => vocabulary[token] ?? '?').join(' ')
}
