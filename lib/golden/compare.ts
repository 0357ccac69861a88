import { GoldenError } from './fields'

export interface Tolerance {
  readonly absolute: number
  readonly relative: number
}

/** loss: loss, terms, metrics and what they are made of; logProb: log-probs and entropies. */
export type Quantity = 'loss' | 'logProb' | 'gradient' | 'exact'
export type Tolerances = Readonly<Record<Quantity, Tolerance>>

const exact = { absolute: 0, relative: 0 }

/** test/golden/FORMAT.md, section 8, row by row. */
export const tolerances = {
  float64: {
    loss: { absolute: 1e-11, relative: 1e-9 },
    logProb: { absolute: 1e-11, relative: 1e-9 },
    gradient: { absolute: 1e-12, relative: 0 },
    exact,
  },
  float32: {
    loss: { absolute: 2e-6, relative: 1e-5 },
    logProb: { absolute: 5e-6, relative: 0 },
    gradient: { absolute: 1e-6, relative: 1e-4 },
    exact,
  },
  /** Logits of ±1e4 in float32, where one unit in the last place is 1e-3. */
  float32HugeLogits: {
    loss: { absolute: 1e-3, relative: 0 },
    logProb: { absolute: 2e-3, relative: 0 },
    gradient: { absolute: 1e-4, relative: 0 },
    exact,
  },
} as const satisfies Record<string, Tolerances>

/** The element of a field that comes nearest to its tolerance, or goes furthest beyond. */
export interface FieldResult {
  readonly field: string
  readonly error: number
  readonly tolerance: number
  readonly pass: boolean
}

/** Collects the fields of one case. NaN passes only where NaN is expected. */
export class Comparison {
  readonly fields: FieldResult[] = []
  /** Upstream metrics for which this library has no result. */
  readonly withoutCounterpart: string[] = []

  constructor(private readonly tolerances: Tolerances) {}

  scalar(field: string, quantity: Quantity, actual: number, expected: number, slack = 0): void {
    this.fields.push(element(field, actual, expected, this.tolerances[quantity], slack))
  }

  /** skip: elements that are not compared. */
  array(
    field: string,
    quantity: Quantity,
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    skip: (index: number) => boolean = () => false,
  ): void {
    const tolerance = this.tolerances[quantity]
    let worst: FieldResult | undefined
    for (let i = 0; i < expected.length; i++) {
      if (skip(i)) continue
      const next = element(field, actual[i] ?? NaN, expected[i] ?? NaN, tolerance, 0)
      if (worst === undefined || badness(next) > badness(worst)) worst = next
    }
    worst ??= { field, error: 0, tolerance: tolerance.absolute, pass: true }
    const sameLength = actual.length === expected.length
    this.fields.push(sameLength ? worst : { ...worst, error: NaN, pass: false })
  }

  /** The field with the largest error relative to its tolerance. */
  worst(): FieldResult {
    const [first, ...rest] = this.fields
    if (first === undefined) throw new GoldenError('nothing to compare')
    return rest.reduce((worst, next) => (badness(next) > badness(worst) ? next : worst), first)
  }
}

function element(
  field: string,
  actual: number,
  expected: number,
  { absolute, relative }: Tolerance,
  slack: number,
): FieldResult {
  if (!Number.isFinite(expected)) {
    const same = Object.is(actual, expected)
    return { field, error: same ? 0 : NaN, tolerance: absolute, pass: same }
  }
  const error = Math.abs(actual - expected)
  const tolerance = absolute + relative * Math.abs(expected) + slack
  return { field, error, tolerance, pass: error <= tolerance }
}

function badness({ error, tolerance }: FieldResult): number {
  if (Number.isNaN(error)) return Infinity
  return error === 0 ? 0 : error / tolerance
}
