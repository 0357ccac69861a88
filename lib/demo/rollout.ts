// Responses of the policy: sampled in groups for training, greedy for evaluation.
import { maskPatches, randomPatchMask, type Engine } from '../index'
import { hiddenSize } from './layout'
import { slice, type Policy, type Rows } from './policy'
import { drawIndex, type Random } from './random'
import {
  channels,
  imageSize,
  isEnd,
  makePrompt,
  maxLength,
  patchFeatures,
  patchSize,
  score,
  vocabSize,
  type Prompt,
  type Score,
} from './task'

/** The paper's share of masked patches. */
const maskRatio = 0.6

/** Prompts with the features of both views of their images; one mask a prompt. */
export interface Batch {
  readonly prompts: readonly Prompt[]
  readonly features: readonly Float32Array[]
  readonly maskedFeatures: readonly Float32Array[]
}

export interface BatchOptions {
  readonly count: number
  readonly random: Random
  readonly maskSeed: number
  /** Number of the first prompt in the run: the mask depends on it and on the seed alone. */
  readonly firstPrompt: number
  readonly engine: Engine
}

export function makeBatch(options: BatchOptions): Batch {
  const { count, random, firstPrompt, engine } = options
  const prompts = Array.from({ length: count }, () => makePrompt(random))
  const maskedFeatures = prompts.map(({ image }, i) => {
    const size = { height: imageSize, width: imageSize, patchSize, engine }
    const prompt = firstPrompt + i
    const patchMask = randomPatchMask({ ...size, ratio: maskRatio, seed: options.maskSeed, prompt })
    const masked = maskPatches(image, { ...size, channels, patchMask })
    return patchFeatures(masked.data as Uint8Array)
  })
  return { prompts, features: prompts.map(({ image }) => patchFeatures(image)), maskedFeatures }
}

export interface Rollout {
  /** [responses, maxLength]; 0 after the end of a response. */
  readonly tokens: Int32Array
  /** [responses, maxLength]; 1 up to and including <end>. */
  readonly mask: Uint8Array
  readonly scores: readonly Score[]
  /** Logits that each token was drawn from: [responses * maxLength, vocabSize]. */
  readonly logits: Float32Array
}

/** Without random every token is the most probable one. */
export function respond(
  policy: Policy,
  prompts: readonly Prompt[],
  features: readonly Float32Array[],
  groupSize: number,
  random?: Random,
): Rollout {
  const responses = prompts.length * groupSize
  const tokens = new Int32Array(responses * maxLength)
  const mask = new Uint8Array(responses * maxLength)
  const logits = new Float32Array(responses * maxLength * vocabSize)
  const scores: Score[] = []
  for (let b = 0; b < responses; b++) {
    const prompt = prompts[Math.floor(b / groupSize)]!
    const view = policy.scores(features[Math.floor(b / groupSize)]!, prompt.question)
    const length = write(
      policy,
      prompt.question,
      view,
      {
        tokens: tokens.subarray(b * maxLength, (b + 1) * maxLength),
        logits: logits.subarray(b * maxLength * vocabSize, (b + 1) * maxLength * vocabSize),
      },
      random,
    )
    mask.fill(1, b * maxLength, b * maxLength + length)
    scores.push(score(tokens.subarray(b * maxLength, b * maxLength + length), prompt))
  }
  return { tokens, mask, scores, logits }
}

/** Writes one response and returns its length. */
function write(
  policy: Policy,
  question: number,
  view: Float32Array,
  out: { tokens: Int32Array; logits: Float32Array },
  random?: Random,
): number {
  const state = new Float32Array(hiddenSize)
  for (let index = 0; index < maxLength; index++) {
    const previous = index === 0 ? undefined : out.tokens[index - 1]
    const logits = slice(out.logits, index, vocabSize)
    policy.row({ question, index, previous }, view, state, logits)
    const token = random === undefined ? largest(logits) : drawIndex(random, softmax(logits))
    out.tokens[index] = token
    if (isEnd(token)) return index + 1
  }
  return maxLength
}

function softmax(logits: Float32Array): Float64Array {
  const max = logits[largest(logits)]!
  return Float64Array.from(logits, (z) => Math.exp(z - max))
}

function largest(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

export function rowsOf(batch: Batch, rollout: Rollout, groupSize: number, masked: boolean): Rows {
  return {
    features: masked ? batch.maskedFeatures : batch.features,
    questions: batch.prompts.map(({ question }) => question),
    tokens: rollout.tokens,
    mask: rollout.mask,
    groupSize,
  }
}

/** Share of greedy responses with the right total in the right form. */
export function accuracy(policy: Policy, batch: Batch, masked: boolean): number {
  const features = masked ? batch.maskedFeatures : batch.features
  const { scores } = respond(policy, batch.prompts, features, 1)
  return scores.filter(({ correct }) => correct).length / scores.length
}
