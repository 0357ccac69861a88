import type { Objective } from '../index'
import type { LossCase } from './case'
import type { Comparison } from './compare'
import type { LossCall, LossRun } from './loss'
import { toFloat64 } from './values'

type Values = Readonly<Record<string, number>>

/**
 * Compares the metrics under their upstream names. With micro-batches some are lists, the others
 * hold the last micro-batch. Options that upstream logs among its metrics have no counterpart.
 */
export function compareMetrics(
  golden: LossCase,
  objective: Objective,
  run: LossRun,
  comparison: Comparison,
): void {
  const perCall = run.calls.map((call) => {
    const tokens = callTokens(golden, run, call)
    return golden.dialect === 'papo'
      ? papoMetrics(objective, run, call, tokens)
      : trlMetrics(golden, objective, call, tokens)
  })
  for (const [name, expected] of Object.entries(golden.metrics)) {
    const values = name === 'actor/grad_norm' ? [gradNorm(run)] : perCall.map((call) => call[name])
    const known = values.filter((value) => value !== undefined)
    if (known.length !== values.length) comparison.withoutCounterpart.push(name)
    else if (typeof expected !== 'number') {
      comparison.array(`metrics.${name}`, 'loss', known, expected)
    } else {
      const slack = edgeShare(golden, name)
      comparison.scalar(`metrics.${name}`, 'loss', known.at(-1) ?? NaN, expected, slack)
    }
  }
}

/** Tokens exactly on a clip edge may be counted either way (test/golden/FORMAT.md, section 8). */
function edgeShare({ edges, inputs }: LossCase, metric: string): number {
  if (!metric.startsWith('actor/pg_clipfrac')) return 0
  return edges.size / inputs.responseMask.reduce((sum, counted) => sum + counted, 0)
}

/** Over the gradients of all micro-batches together. */
function gradNorm({ calls }: LossRun): number {
  return Math.hypot(...calls.map(({ result }) => result.metrics.gradNorm))
}

/** Per-token results of one call, one entry for each response with its counted tokens only. */
interface ResponseTokens {
  readonly advantage: number
  readonly logProbs: readonly number[]
  readonly ratios: readonly number[]
  readonly refKl: readonly number[]
}

function callTokens(golden: LossCase, run: LossRun, { first, result }: LossCall): ResponseTokens[] {
  const { tokensPerResponse: length, responsesPerCall, inputs } = golden
  const counted = (values: Float64Array, response: number) =>
    [...values.subarray(response * length, (response + 1) * length)].filter(
      (_, t) => inputs.responseMask[(first + response) * length + t] === 1,
    )
  const logProbs = toFloat64(result.logProbs)
  const ratios = toFloat64(result.ratios)
  const refKl = toFloat64(result.refKlPerToken)
  return Array.from({ length: responsesPerCall }, (_, response) => ({
    advantage: run.advantages[first + response] ?? NaN,
    logProbs: counted(logProbs, response),
    ratios: counted(ratios, response),
    refKl: counted(refKl, response),
  }))
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const mean = (values: readonly number[], epsilon = 0) =>
  values.length === 0 ? 0 : sum(values) / (values.length + epsilon)

function papoMetrics(
  objective: Objective,
  { lossScale }: LossRun,
  { result: { loss, metrics, terms } }: LossCall,
  responses: readonly ResponseTokens[],
): Values {
  // Logged in the mean of the loss, also where the entropy term itself is a token mean.
  const surprise = responses.map(({ logProbs }) => logProbs.map((logProb) => -logProb))
  const entropyLoss =
    objective.reduction === 'sequence'
      ? mean(surprise.map((values) => mean(values, 1e-8)))
      : mean(surprise.flat(), 1e-8)
  return {
    'actor/pg_loss': loss / lossScale,
    'actor/ppo_kl': metrics.approxKl,
    'actor/pg_clipfrac_higher': metrics.clipFractionHigh + metrics.clipFractionLow,
    'actor/pg_clipfrac_lower': metrics.dualClipFraction,
    'actor/entropy_loss': entropyLoss,
    'actor/kl_loss': terms.refKl,
    'actor/kl_prcp_loss': -terms.perceptionKl,
    'actor/ori_entropy_loss': terms.entropy,
    'actor/aug_entropy_loss': terms.maskedEntropy,
    'actor/sft_loss': terms.sft,
  }
}

function trlMetrics(
  golden: LossCase,
  objective: Objective,
  { result: { metrics, terms, weightedTerms } }: LossCall,
  responses: readonly ResponseTokens[],
): Values {
  const { clipFractionLow: low, clipFractionHigh: high } = metrics
  return {
    kl: mean(responses.flatMap(({ refKl }) => refKl)),
    entropy: metrics.meanEntropy,
    policy_loss: terms.policy + weightedTerms.refKl,
    'clip_ratio/low_mean': low,
    'clip_ratio/high_mean': high,
    'clip_ratio/region_mean': low + high,
    ...(golden.dialect === 'trl_papo'
      ? { 'clip_ratio/low_min': low, 'clip_ratio/high_max': high }
      : clipExtremes(objective, responses)),
    cispo_clip_ratio: high,
  }
}

/** Smallest and largest share of clipped tokens of a response; empty responses have none. */
function clipExtremes(objective: Objective, responses: readonly ResponseTokens[]): Values {
  const { clipRatioLow, clipRatioHigh, ratioCap } = objective
  const cap = ratioCap === 'off' ? Infinity : ratioCap
  const shares = (clipped: (ratio: number, advantage: number) => boolean) =>
    responses
      .filter(({ ratios }) => ratios.length > 0)
      .map(({ ratios, advantage }) =>
        mean(ratios.map((ratio) => Number(clipped(Math.min(ratio, cap), advantage)))),
      )
  return {
    'clip_ratio/low_min': Math.min(...shares((ratio, a) => ratio < 1 - clipRatioLow && a < 0)),
    'clip_ratio/high_max': Math.max(...shares((ratio, a) => ratio > 1 + clipRatioHigh && a > 0)),
  }
}
