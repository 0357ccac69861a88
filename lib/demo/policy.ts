// The policy of the demo with its hand-written gradient.
//
//   s_p   = tanh(F_q · [r_p, g_p, b_p, 1])            one score a patch; question q picks F_q
//   h     = tanh(U s + E[previous token] + P[t] + Q[q])
//   z     = W h + b                                   logits over the vocabulary
//
// All parameters are one flat array, and so is their gradient.
import { filterSize, hiddenSize as hidden, layout, offsets } from './layout'
import type { Position } from './layout'
import type { Random } from './random'
import { channels, maxLength, patchCount, vocabSize } from './task'

/** Responses to some prompts under one view of their images. Row n is token n % maxLength. */
export interface Rows {
  /** [prompts, patches, 3], one view each. */
  readonly features: readonly Float32Array[]
  readonly questions: readonly number[]
  /** [responses, maxLength]; response b answers prompt floor(b / groupSize). */
  readonly tokens: Int32Array
  readonly mask: Uint8Array
  readonly groupSize: number
}

export class Policy {
  readonly parameters = new Float32Array(layout.size)
  readonly gradient = new Float32Array(layout.size)

  constructor(random: Random) {
    const uniform = (from: number, to: number, limit: number): void => {
      for (let i = from; i < to; i++) this.parameters[i] = (2 * random() - 1) * limit
    }
    uniform(layout.filter, layout.scores, 0.5)
    uniform(layout.scores, layout.token, 0.4)
    uniform(layout.token, layout.output, 0.4)
    uniform(layout.output, layout.bias, 0.05)
  }

  /** Scores of one view of a prompt: [patches]. */
  scores(features: Float32Array, question: number): Float32Array {
    const scores = new Float32Array(patchCount)
    const filter = layout.filter + question * filterSize
    for (let p = 0; p < patchCount; p++) {
      let sum = this.parameters[filter + channels]!
      for (let c = 0; c < channels; c++)
        sum += this.parameters[filter + c]! * features[p * channels + c]!
      scores[p] = Math.tanh(sum)
    }
    return scores
  }

  /** Hidden state and logits of one row, written to the given slices. */
  row(at: Position, scores: Float32Array, hiddenOut: Float32Array, logitsOut: Float32Array): void {
    const w = this.parameters
    const { token, position, question } = offsets(at)
    for (let j = 0; j < hidden; j++) {
      let sum = w[token + j]! + w[position + j]! + w[question + j]!
      const u = layout.scores + j * patchCount
      for (let p = 0; p < patchCount; p++) sum += w[u + p]! * scores[p]!
      hiddenOut[j] = Math.tanh(sum)
    }
    for (let v = 0; v < vocabSize; v++) {
      let sum = w[layout.bias + v]!
      const o = layout.output + v * hidden
      for (let j = 0; j < hidden; j++) sum += w[o + j]! * hiddenOut[j]!
      logitsOut[v] = sum
    }
  }

  forward(rows: Rows): Activations {
    const count = rows.tokens.length
    const scores = rows.features.map((f, i) => this.scores(f, rows.questions[i]!))
    const state = new Float32Array(count * hidden)
    const logits = new Float32Array(count * vocabSize)
    for (let n = 0; n < count; n++) {
      if (rows.mask[n] === 0) continue
      const prompt = promptOf(rows, n)
      this.row(
        positionOf(rows, n),
        scores[prompt]!,
        slice(state, n, hidden),
        slice(logits, n, vocabSize),
      )
    }
    return { rows, scores, state, logits }
  }

  /** Adds dloss/dparameters of one view to gradient; logitsGrad is [rows, vocabSize]. */
  backward(activations: Activations, logitsGrad: Float32Array): void {
    const { rows, scores, state } = activations
    const scoresGrad = scores.map(() => new Float32Array(patchCount))
    const stateGrad = new Float32Array(hidden)
    for (let n = 0; n < rows.tokens.length; n++) {
      if (rows.mask[n] === 0) continue
      const prompt = promptOf(rows, n)
      this.outputBackward(slice(state, n, hidden), slice(logitsGrad, n, vocabSize), stateGrad)
      this.stateBackward(positionOf(rows, n), scores[prompt]!, stateGrad, scoresGrad[prompt]!)
    }
    scores.forEach((s, i) => {
      this.filterBackward(rows.questions[i]!, rows.features[i]!, s, scoresGrad[i]!)
    })
  }

  /** Leaves in stateGrad the gradient before the tanh of the hidden state. */
  private outputBackward(h: Float32Array, grad: Float32Array, stateGrad: Float32Array): void {
    stateGrad.fill(0)
    const { parameters, gradient } = this
    for (let v = 0; v < vocabSize; v++) {
      const g = grad[v]!
      gradient[layout.bias + v]! += g
      const o = layout.output + v * hidden
      for (let j = 0; j < hidden; j++) {
        stateGrad[j]! += g * parameters[o + j]!
        gradient[o + j]! += g * h[j]!
      }
    }
    for (let j = 0; j < hidden; j++) stateGrad[j]! *= 1 - h[j]! * h[j]!
  }

  private stateBackward(
    at: Position,
    scores: Float32Array,
    stateGrad: Float32Array,
    scoresGrad: Float32Array,
  ): void {
    const { parameters, gradient } = this
    const { token, position, question } = offsets(at)
    for (let j = 0; j < hidden; j++) {
      const g = stateGrad[j]!
      gradient[token + j]! += g
      gradient[position + j]! += g
      gradient[question + j]! += g
      const u = layout.scores + j * patchCount
      for (let p = 0; p < patchCount; p++) {
        scoresGrad[p]! += g * parameters[u + p]!
        gradient[u + p]! += g * scores[p]!
      }
    }
  }

  private filterBackward(
    question: number,
    features: Float32Array,
    scores: Float32Array,
    scoresGrad: Float32Array,
  ): void {
    const filter = layout.filter + question * filterSize
    for (let p = 0; p < patchCount; p++) {
      const g = scoresGrad[p]! * (1 - scores[p]! * scores[p]!)
      this.gradient[filter + channels]! += g
      for (let c = 0; c < channels; c++)
        this.gradient[filter + c]! += g * features[p * channels + c]!
    }
  }
}

export interface Activations {
  readonly rows: Rows
  readonly scores: readonly Float32Array[]
  readonly state: Float32Array
  /** [rows, vocabSize]; zeros in rows that do not count. */
  readonly logits: Float32Array
}

function promptOf(rows: Rows, n: number): number {
  return Math.floor(n / (maxLength * rows.groupSize))
}

function positionOf(rows: Rows, n: number): Position {
  const index = n % maxLength
  const previous = index === 0 ? undefined : rows.tokens[n - 1]
  return { question: rows.questions[promptOf(rows, n)]!, index, previous }
}

export function slice(array: Float32Array, row: number, width: number): Float32Array {
  return array.subarray(row * width, (row + 1) * width)
}
