import { PapoError } from '../index'
import type { Engine } from '../index'
import { compareAdvantages, compareBlackening, compareSchedule } from './around'
import type { CaseObjective, GoldenCase } from './case'
import { Comparison, tolerances } from './compare'
import type { FieldResult, Tolerances } from './compare'
import { GoldenError } from './fields'
import { compareLoss } from './loss'

export interface CaseReport {
  readonly name: string
  readonly pass: boolean
  /** The field with the largest error relative to its tolerance. */
  readonly worst: FieldResult
  readonly fields: readonly FieldResult[]
  /** Upstream metrics that this library does not report: mostly options that upstream logs. */
  readonly withoutCounterpart: readonly string[]
}

/**
 * Runs one reference case on an engine and compares every value and gradient.
 * objective: in place of what the case's own config says.
 */
export function verifyCase(
  golden: GoldenCase,
  engine: Engine,
  objective?: CaseObjective,
): CaseReport {
  const comparison = new Comparison(tolerancesFor(golden, engine))
  try {
    compareCase(golden, engine, comparison, objective)
  } catch (error) {
    if (error instanceof PapoError) throw new GoldenError(`${golden.file}: ${error.message}`)
    throw error
  }
  const { fields, withoutCounterpart } = comparison
  const pass = fields.every((field) => field.pass)
  return { name: golden.name, pass, worst: comparison.worst(), fields, withoutCounterpart }
}

function compareCase(
  golden: GoldenCase,
  engine: Engine,
  comparison: Comparison,
  objective?: CaseObjective,
): void {
  if (golden.kind === 'loss') compareLoss(golden, engine, comparison, objective)
  else if (golden.kind === 'advantage') compareAdvantages(golden, engine, comparison)
  else if (golden.kind === 'schedule') compareSchedule(golden, comparison)
  else compareBlackening(golden, engine, comparison)
}

/** Schedules are computed in float64 whatever the engine. */
function tolerancesFor({ name, kind }: GoldenCase, { instructionSet }: Engine): Tolerances {
  if (instructionSet === 'reference' || kind === 'schedule') return tolerances.float64
  return name === 'huge_logits' ? tolerances.float32HugeLogits : tolerances.float32
}
