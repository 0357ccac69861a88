import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { defaultEngine } from '../lib'
import { ownCases, readCase } from '../lib/golden/read'
import { verifyCase } from '../lib/golden/verify'
import type { CaseReport } from '../lib/golden/verify'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

const folder = mkdtempSync(path.join(tmpdir(), 'papo-verify-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Verifies a copy of a case whose value at a path was replaced. */
function withPlanted(
  name: string,
  at: readonly string[],
  change: (value: Json) => Json,
): CaseReport {
  const golden: Json = JSON.parse(readFileSync(path.join(ownCases, `${name}.json`), 'utf8'))
  const copy = path.join(folder, `${name}.json`)
  writeFileSync(copy, JSON.stringify(replaced(golden, at, change)))
  return verifyCase(readCase(copy), defaultEngine())
}

function replaced(value: Json, at: readonly string[], change: (value: Json) => Json): Json {
  const [name, ...rest] = at
  if (name === undefined) return change(value)
  if (Array.isArray(value)) {
    return value.map((entry, i) => (String(i) === name ? replaced(entry, rest, change) : entry))
  }
  if (typeof value !== 'object' || value === null || !(name in value)) {
    throw new Error(`nothing at ${name}`)
  }
  return { ...value, [name]: replaced(value[name] ?? null, rest, change) }
}

/** Moves the first number by about a thousandth, or by much less where that is what is wanted. */
function nudged(value: Json, by = 1e-3): Json {
  if (typeof value === 'number') return value + by * Math.max(1, Math.abs(value))
  if (Array.isArray(value)) return value.map((entry, i) => (i === 0 ? nudged(entry, by) : entry))
  throw new Error('no number to change')
}

const zeroed = (value: Json): Json => (Array.isArray(value) ? value.map(zeroed) : 0)

const failed = ({ fields }: CaseReport) =>
  fields.filter(({ pass }) => !pass).map(({ field }) => field)

describe('a planted error of one value fails in its field alone', () => {
  const everyCase: Readonly<Record<string, readonly string[]>> = {
    papo_g_paper_token: [
      ...['advantages', 'logProbs', 'maskedLogProbs', 'entropies', 'maskedEntropies'],
      ...['klRefPerToken', 'klPrcpPerToken', 'totalLoss'],
      ...['gradLogProbs', 'gradMaskedLogProbs', 'gradLogits', 'gradMaskedLogits'],
      ...['terms.policy', 'terms.klRef', 'terms.klPrcp', 'terms.augEntropy', 'terms.oriEntropy'],
      ...['metrics.actor/kl_loss', 'metrics.actor/kl_prcp_loss', 'metrics.actor/aug_entropy_loss'],
      ...['metrics.actor/ori_entropy_loss', 'metrics.actor/pg_loss', 'metrics.actor/entropy_loss'],
      ...['metrics.actor/pg_clipfrac_higher', 'metrics.actor/pg_clipfrac_lower'],
      ...['metrics.actor/ppo_kl', 'metrics.actor/grad_norm'],
    ],
    sft_loss: ['terms.sft', 'metrics.actor/sft_loss'],
    microbatch: ['metrics.actor/pg_loss', 'metrics.actor/ppo_kl', 'gradLogits', 'totalLoss'],
    trl_papo_grpo_token_entgrad: [
      ...['terms.base', 'terms.perception', 'terms.entropy', 'terms.maskedEntropy', 'logProbs'],
      ...['metrics.kl', 'metrics.entropy', 'metrics.clip_ratio/low_mean', 'gradMaskedLogits'],
      ...['metrics.clip_ratio/low_min', 'metrics.clip_ratio/high_max'],
    ],
    trl_grpo_seq_entropy_bonus: ['terms.base', 'terms.entropy', 'metrics.policy_loss'],
    trl_grpo_bnpo: [
      ...['metrics.clip_ratio/low_min', 'metrics.clip_ratio/high_max', 'metrics.kl'],
      ...['metrics.clip_ratio/high_mean', 'metrics.clip_ratio/region_mean'],
    ],
    trl_grpo_cispo: ['metrics.cispo_clip_ratio'],
    adv_grpo_groups: ['advantages'],
    adv_rloo: ['advantages'],
    adv_remax: ['advantages'],
    adv_trl: ['advantages_group', 'advantages_batch', 'advantages_none'],
    adv_reinforce_pp: ['advantagesPerToken', 'returnsPerToken'],
    schedule_annealing: ['coefPerStep', 'entropyDiscountPerStep'],
    blacken_rgb: ['image', 'patchMask', 'patchGrid'],
  }
  const plants = Object.entries(everyCase).flatMap(([name, fields]) =>
    fields.map((field) => [name, field] as const),
  )
  test.each(plants)('%s: %s', (name, field) => {
    const [group, ...rest] = field.split('.')
    const at = ['expected', group ?? '', ...(rest.length > 0 ? [rest.join('.')] : [])]
    const report = withPlanted(name, at, (value) => nudged(value))
    expect(report.pass).toBe(false)
    expect(failed(report)).toEqual([field])
    expect(report.worst.field).toBe(field)
  })
})

test('the same copies without a planted error pass', () => {
  const report = withPlanted('papo_g_paper_token', ['expected'], (value) => value)
  expect(failed(report)).toEqual([])
  expect(report.pass).toBe(true)
})

test('an error of one micro-batch is found', () => {
  const at = ['expected', 'microBatchTerms', '1', 'klPrcp']
  expect(failed(withPlanted('microbatch', at, (value) => nudged(value)))).toEqual([
    'microBatchTerms[1].klPrcp',
  ])
})

test.each([
  ['papo_g_paper_token', 'gradLogProbs'],
  ['papo_g_paper_token', 'gradLogits'],
  ['recompute_aug', 'gradMaskedLogProbs'],
  ['recompute_aug', 'gradMaskedLogits'],
])('%s: a zeroed %s fails', (name, field) => {
  expect(failed(withPlanted(name, ['expected', field], zeroed))).toEqual([field])
})

test('a gradient off by 1e-5 fails', () => {
  const at = ['expected', 'gradLogits', '0', '0', '0']
  const report = withPlanted('papo_g_paper_token', at, (value) => nudged(value, 1e-5))
  expect(failed(report)).toEqual(['gradLogits'])
})

test('NaN passes neither as a result nor as what is expected', () => {
  const result = withPlanted('papo_g_paper_token', ['inputs', 'logits', '0', '0', '0'], () => 'NaN')
  expect(failed(result)).toEqual(
    expect.arrayContaining(['logProbs', 'totalLoss', 'gradLogits', 'metrics.actor/pg_loss']),
  )
  expect(result.worst.error).toBeNaN()
  const expected = withPlanted('papo_g_paper_token', ['expected', 'totalLoss'], () => 'NaN')
  expect(failed(expected)).toEqual(['totalLoss'])
})

test('logits of -Infinity at another token are read as such', () => {
  const report = withPlanted('neg_inf_logits', ['inputs', 'temperature'], (value) => value)
  expect(failed(report)).toEqual([])
})

test.each([
  ['clipRatioHigh', 0.5],
  ['klPrcpCoef', 0.03],
  ['lossAvgMode', 'seq'],
  ['recomputeAugLogProbs', true],
  ['klPrcpPenalty', 'mse'],
])('config.%s reaches the loss', (name, value) => {
  const report = withPlanted('papo_g_paper_token', ['config', name], () => value)
  expect(failed(report)).not.toEqual([])
})
