// What is measured, with the bytes that each case has to move and the arithmetic it has to do.
import { resolveObjective } from '../index'
import type { ProfileName } from '../index'
import { maskingCases } from './masking-cases'
import type { MaskingCase } from './masking-cases'

export type LogitsDType = 'float32' | 'bfloat16' | 'float16'

/** Where gradients go: nowhere, to the caller's tensors, to new ones, or over the logits. */
export type GradientMode = 'none' | 'reused' | 'new' | 'inPlace'

export interface CaseBase {
  readonly name: string
  readonly dtype: LogitsDType | 'uint8'
  readonly rows: number
  readonly vocabSize: number
  /** 2: image and masked image. */
  readonly branches: 1 | 2
  /** Each logit read once and each gradient written once; per-token values are left out. */
  readonly bytes: number
  /** Additions, multiplications, comparisons and exponentials, each counted as one. */
  readonly flops: number
}

export interface LossCase extends CaseBase {
  readonly kind: 'loss'
  readonly dtype: LogitsDType
  readonly profile: ProfileName
  readonly gradient: GradientMode
  /** The async form, up to its promise. */
  readonly queued: boolean
}

export interface LogProbsCase extends CaseBase {
  readonly kind: 'tokenLogProbs'
  readonly dtype: LogitsDType
}

export interface AdvantagesCase extends CaseBase {
  readonly kind: 'groupAdvantages'
  readonly groups: number
}

export type BenchCase = LossCase | LogProbsCase | AdvantagesCase | MaskingCase

/** The small loss call whose time is the cost of a call itself. */
export const latencyWord = 'latency'

export interface CaseSizes {
  readonly quick: boolean
  readonly tokens: number
  /** Default: those of Llama 2, Llama 3, Qwen2.5-VL 3B and Qwen2.5-VL 7B. */
  readonly vocabSizes?: readonly number[]
}

const elementBytes: Readonly<Record<LogitsDType, number>> = { float32: 4, bfloat16: 2, float16: 2 }

// Per logit: scale, compare and subtract for the maximum, exp, sum, multiply-add for the entropy.
const statisticsFlops = 7
// Per pair of logits: difference of the log-probs, multiply-add.
const exactKlFlops = 3
// Per logit: p = e / s, g · p and the one-hot; exact entropy and KL take multiply-adds more.
const gradientFlops = 3
const exactGradientFlops = 8

export function benchCases(sizes: CaseSizes): BenchCase[] {
  const { quick, tokens } = sizes
  const vocabSizes = sizes.vocabSizes ?? (quick ? [151936] : [32000, 128256, 151936, 152064])
  const dtypes: readonly LogitsDType[] = quick
    ? ['float32', 'bfloat16']
    : ['float32', 'bfloat16', 'float16']
  const matrices = dtypes.flatMap((dtype) =>
    vocabSizes.flatMap((vocabSize) => matrixCases({ dtype, rows: tokens, vocabSize }, quick)),
  )
  const small = { dtype: 'float32', rows: 32, vocabSize: 64 } as const
  const latency = (['reused', 'new'] as const).map((mode) => latencyCase(small, mode, false))
  const queued = latencyCase(small, 'reused', true)
  return [...matrices, advantagesCase(4096, 512), ...latency, queued, ...maskingCases(quick)]
}

interface MatrixSize {
  readonly dtype: LogitsDType
  readonly rows: number
  readonly vocabSize: number
}

function matrixCases(size: MatrixSize, quick: boolean): BenchCase[] {
  const modes: readonly GradientMode[] = ['none', 'reused', 'new', 'inPlace']
  const chosen: readonly (readonly [ProfileName, readonly GradientMode[]])[] = quick
    ? [
        ['papoExact', ['none', 'reused', 'inPlace']],
        ['papoG', ['reused']],
        ['grpo', ['reused']],
      ]
    : [
        ['papoExact', modes],
        ['papoG', modes],
        ['grpo', modes],
      ]
  const losses = chosen.flatMap(([profile, gradients]) =>
    gradients.map((gradient) => lossCase(size, profile, gradient)),
  )
  return [logProbsCase(size), ...losses]
}

/** Whether the loss of this profile reads the masked image's logits. */
export function readsMaskedLogits(profile: ProfileName): boolean {
  const { perceptionKlCoef, maskedEntropyCoef } = resolveObjective(profile)
  return perceptionKlCoef !== 0 || maskedEntropyCoef !== 0
}

function lossCase(size: MatrixSize, profile: ProfileName, gradient: GradientMode): LossCase {
  const objective = resolveObjective(profile)
  const branches = readsMaskedLogits(profile) ? 2 : 1
  const toBoth = branches === 2 && objective.perceptionGradient === 'both'
  const written = gradient === 'none' ? 0 : toBoth ? 2 : 1
  const exactKl = objective.perceptionKlEstimator === 'exact'
  const isExact = exactKl || objective.entropyEstimator === 'exact'
  const logits = size.rows * size.vocabSize
  const perLogit =
    branches * statisticsFlops +
    (exactKl ? exactKlFlops : 0) +
    written * (isExact ? exactGradientFlops : gradientFlops)
  const what = gradient === 'none' ? 'forward' : `gradient/${gradient}`
  return {
    kind: 'loss',
    name: [profile, what, size.dtype, `V=${size.vocabSize}`].join(' '),
    ...size,
    branches,
    profile,
    gradient,
    queued: false,
    flops: logits * perLogit,
    bytes: logits * (branches + written) * elementBytes[size.dtype],
  }
}

function latencyCase(size: MatrixSize, gradient: GradientMode, queued: boolean): LossCase {
  const base = lossCase(size, 'papoG', gradient)
  const words = [latencyWord, base.name, ...(queued ? ['queued'] : [])]
  return { ...base, name: words.join(' '), queued }
}

function logProbsCase(size: MatrixSize): LogProbsCase {
  const logits = size.rows * size.vocabSize
  return {
    kind: 'tokenLogProbs',
    name: `tokenLogProbs forward ${size.dtype} V=${size.vocabSize}`,
    ...size,
    branches: 1,
    bytes: logits * elementBytes[size.dtype],
    flops: logits * statisticsFlops,
  }
}

/** rows is the number of rewards; vocabSize 1, as each is one number. */
function advantagesCase(rewards: number, groups: number): AdvantagesCase {
  return {
    kind: 'groupAdvantages',
    name: `groupAdvantages ${rewards} rewards in ${groups} groups`,
    dtype: 'float32',
    rows: rewards,
    vocabSize: 1,
    branches: 1,
    groups,
    bytes: rewards * 12, // reward, group id, advantage
    flops: rewards * 6, // sum, deviation, its square and sum, scale
  }
}

/** Cases whose name holds every word of the filter. */
export function filtered(cases: readonly BenchCase[], filter: string): BenchCase[] {
  const words = filter.toLowerCase().split(/\s+/)
  return cases.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)))
}
