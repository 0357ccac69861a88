import { readFileSync } from 'node:fs'
import path from 'node:path'

import { Engine, instructionSets } from '../lib'
import type { ProfileName } from '../lib'
import type { CaseObjective, GoldenCase, LossCase } from '../lib/golden/case'
import { ownCases, readCases } from '../lib/golden/read'
import { verifyCase } from '../lib/golden/verify'
import type { CaseReport } from '../lib/golden/verify'

const cases = readCases(ownCases)

const failures = ({ fields }: CaseReport) => fields.filter(({ pass }) => !pass)

function caseNamed(name: string): GoldenCase {
  const found = cases.find((golden) => golden.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  return found
}

function lossCase(name: string): LossCase {
  const found = caseNamed(name)
  if (found.kind !== 'loss') throw new Error(`${name} is no loss case`)
  return found
}

test('there are cases of every kind and dialect', () => {
  const kinds = new Set(cases.map(({ kind, dialect }) => `${kind} ${dialect}`))
  expect([...kinds].sort()).toEqual([
    'advantage papo',
    'advantage trl_grpo',
    'blackening papo',
    'loss papo',
    'loss trl_grpo',
    'loss trl_papo',
    'schedule papo',
  ])
})

describe.each(instructionSets())('%s gives the values and gradients of', (instructionSet) => {
  const engine = Engine.open({ instructionSet })
  afterAll(() => engine.dispose())

  test.each(cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    expect(failures(verifyCase(golden, engine))).toEqual([])
  })

  test('tokens exactly on a clip edge, where upstream keeps the gradient', () => {
    const strict = { ...lossCase('clip_edges_exact'), edges: new Set<number>() }
    expect(failures(verifyCase(strict, engine))).toEqual([])
  })
})

test('every array and number of a papo case is compared', () => {
  const engine = Engine.open({ instructionSet: 'reference' })
  const { fields, withoutCounterpart } = verifyCase(caseNamed('holes_zero_row_token'), engine)
  engine.dispose()
  const arrays = Object.keys(lossCase('holes_zero_row_token').arrays)
  expect(fields.map(({ field }) => field)).toEqual(expect.arrayContaining([...arrays, 'totalLoss']))
  expect([...withoutCounterpart].sort()).toEqual([
    'actor/aug_entropy_loss_coef',
    'actor/kl_coef',
    'actor/kl_prcp_coef',
    'actor/kl_prcp_coef_annealing_discount',
    'actor/ori_entropy_loss_coef',
    'actor/sft_coef',
  ])
})

describe('a profile with nothing but what its case sets otherwise', () => {
  const list: { profiles: { name: ProfileName; golden: string[] }[] } = JSON.parse(
    readFileSync(path.resolve(__dirname, '../native/loss/options.json'), 'utf8'),
  )
  // A denominator or a length is data of the batch; the others are settings of the case.
  const settings: Readonly<Record<string, Partial<CaseObjective>>> = {
    dual_clip: { refKlCoef: 0.001 },
    trl_grpo_dr_grpo: { maxLength: 16 },
    trl_grpo_cispo: { clipRatioHigh: 0.3, normalizer: 21 },
    trl_grpo_seq_entropy_bonus: {
      clipRatioLow: 0.03,
      clipRatioHigh: 0.04,
      refKlCoef: 0.1,
      refKlRatioCorrection: true,
      entropyCoef: -0.02,
      entropyEstimator: 'exact',
      topEntropyFraction: 0.5,
      topEntropyScope: 'policyAndEntropy',
    },
  }
  const pairs = list.profiles.flatMap(({ name, golden }) =>
    golden.map((golden) => [name, golden] as const),
  )
  test.each(pairs)('%s gives %s', (profile, name) => {
    const engine = Engine.open({ instructionSet: 'reference' })
    const report = verifyCase(caseNamed(name), engine, { profile, ...settings[name] })
    engine.dispose()
    expect(failures(report)).toEqual([])
  })
})
