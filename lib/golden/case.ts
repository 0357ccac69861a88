import type { ObjectiveOptions, ProfileName } from '../loss/objective-table'

/** Whose code the expected values come from: the authors', or one of two trainers of TRL. */
export const dialects = ['papo', 'trl_papo', 'trl_grpo'] as const
export type Dialect = (typeof dialects)[number]

interface CaseHeader {
  /** Base name of the file, for messages. */
  readonly file: string
  readonly name: string
  readonly dialect: Dialect
}

/** What is read of a case beyond its header. */
export type Body<Case> = Case extends unknown
  ? Omit<Case, 'file' | 'name' | 'dialect' | 'kind'>
  : never

/** A case's `config` in the names of this library. */
export type CaseObjective = { readonly profile: ProfileName } & Partial<ObjectiveOptions>

/** Flat, row-major; [B, T, V], [B, T] or [B] as FORMAT.md section 1 says. */
export interface LossCaseInputs {
  readonly logits: Float64Array
  readonly maskedLogits: Float64Array | undefined
  readonly tokens: Float64Array
  readonly responseMask: Float64Array
  readonly oldLogProbs: Float64Array | undefined
  readonly refLogProbs: Float64Array | undefined
  /** Of the trl dialects; papo derives them from rewards and groupIds. */
  readonly advantages: Float64Array | undefined
  readonly rewards: Float64Array | undefined
  readonly groupIds: Float64Array | undefined
  readonly perceptionWeights: Float64Array | undefined
  readonly sftMask: Float64Array | undefined
}

/** Expected arrays; what a case does not have is undefined. */
export interface LossCaseArrays {
  readonly advantages: Float64Array | undefined
  readonly logProbs: Float64Array | undefined
  readonly maskedLogProbs: Float64Array | undefined
  readonly entropies: Float64Array | undefined
  readonly maskedEntropies: Float64Array | undefined
  readonly klRefPerToken: Float64Array | undefined
  readonly klPrcpPerToken: Float64Array | undefined
  readonly gradLogProbs: Float64Array | undefined
  readonly gradMaskedLogProbs: Float64Array | undefined
  readonly gradLogits: Float64Array | undefined
  readonly gradMaskedLogits: Float64Array | undefined
}

export type Terms = Readonly<Record<string, number>>

export interface LossCase extends CaseHeader {
  readonly kind: 'loss'
  readonly objective: CaseObjective
  readonly responses: number
  readonly tokensPerResponse: number
  readonly vocabSize: number
  /** Rows of one micro-batch; all of them without micro-batches. */
  readonly responsesPerCall: number
  readonly inputs: LossCaseInputs
  readonly arrays: LossCaseArrays
  readonly totalLoss: number
  readonly terms: Terms
  readonly termWeights: Terms
  readonly microBatchTerms: readonly Terms[] | undefined
  readonly metrics: Readonly<Record<string, number | Float64Array>>
  /** Flat positions of tokens exactly on a kink. */
  readonly edges: ReadonlySet<number>
}

export interface GroupAdvantageCase extends CaseHeader {
  readonly kind: 'advantage'
  readonly estimator: 'grpo' | 'rloo' | 'remax'
  readonly rewards: Float64Array
  /** Group ids, or the baselines of remax. */
  readonly against: Float64Array
  /** What is expected of each scaling of the case, by the name of its field. */
  readonly expected: readonly {
    readonly field: string
    readonly scale: 'group' | 'batch' | 'none'
    readonly epsilon: number
    readonly values: Float64Array
  }[]
}

export interface ReturnCase extends CaseHeader {
  readonly kind: 'advantage'
  readonly estimator: 'reinforce_plus_plus'
  readonly responses: number
  readonly discount: number
  readonly rewards: Float64Array
  readonly responseMask: Float64Array
  readonly advantages: Float64Array
  readonly returns: Float64Array
}

export interface ScheduleCase extends CaseHeader {
  readonly kind: 'schedule'
  readonly start: number
  readonly end: number
  readonly annealingSteps: number
  /** Coefficient that the entropy discount is relative to. */
  readonly coef: number
  readonly coefPerStep: Float64Array
  readonly discountPerStep: Float64Array
}

export interface BlackeningCase extends CaseHeader {
  readonly kind: 'blackening'
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly patchSize: number
  readonly ratio: number
  readonly image: Float64Array
  readonly uniforms: Float64Array
  readonly patchGrid: Float64Array
  readonly patchMask: Float64Array
  readonly maskedImage: Float64Array
}

export type GoldenCase = LossCase | GroupAdvantageCase | ReturnCase | ScheduleCase | BlackeningCase
