import { describe, invalid } from '../errors'
import { optionRows, profileSettings } from './objective-table'
import type { ObjectiveOptions, OptionRow, ProfileName } from './objective-table'

/** Every option with its value, checked and frozen. Made by {@link resolveObjective}. */
export interface Objective extends Readonly<ObjectiveOptions> {
  /** The profile whose values the unnamed options have. */
  readonly profile: ProfileName
}

/** A profile by name, a resolved objective, or some options on top of a profile ('papoG'). */
export type ObjectiveInput =
  | ProfileName
  | Objective
  | ({ readonly profile?: ProfileName } & Readonly<Partial<ObjectiveOptions>>)

const rowIndex = new Map<string, number>(optionRows.map((row, i) => [row.name, i]))

// The numbers that the addon reads, in the order of the C struct, made once for each objective.
const encoded = new WeakMap<object, Float64Array>()

/**
 * The objective that an input stands for. Resolving options once and passing the result to every
 * call spares the calls the checks.
 *
 * @example
 * const objective = resolveObjective({ profile: 'papoD', perceptionKlCoef: 0.02, dualClip: 'off' })
 *
 * @throws PapoError ERR_INVALID_OPTION (unknown profile, option or value; out of range),
 * ERR_INVALID_ARGUMENT
 */
export function resolveObjective(input: ObjectiveInput = 'papoG'): Objective {
  if (typeof input === 'string') return requireProfile(input)
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalid('ERR_INVALID_ARGUMENT', 'objective', 'a profile or options', describe(input))
  if (encoded.has(input)) return input as Objective
  return build(requireProfile(input.profile ?? 'papoG'), input)
}

/** Named option sets, frozen, each tied to reference cases of the code it stands for. */
export const profiles: Readonly<Record<ProfileName, Objective>> = buildProfiles()

/** The numbers of an objective in the order of the C struct. */
export function encodedObjective(objective: Objective): Float64Array {
  return encoded.get(objective)!
}

function requireProfile(name: unknown): Objective {
  if (typeof name === 'string' && Object.hasOwn(profiles, name))
    return profiles[name as ProfileName]
  const names = Object.keys(profiles).join(', ')
  throw invalid('ERR_INVALID_OPTION', 'profile', `one of ${names}`, describe(name))
}

function buildProfiles(): Readonly<Record<ProfileName, Objective>> {
  const names = Object.keys(profileSettings) as ProfileName[]
  const entries = names.map((name) => [name, build(initialObjective(name), profileSettings[name])])
  return Object.freeze(Object.fromEntries(entries)) as Readonly<Record<ProfileName, Objective>>
}

function initialObjective(profile: ProfileName): Objective {
  const values = Object.fromEntries(optionRows.map((row) => [row.name, row.initial]))
  const objective = { profile, ...values } as unknown as Objective
  encoded.set(
    objective,
    Float64Array.from(optionRows, (row) => encode(row, row.initial)),
  )
  return objective
}

function build(base: Objective, overrides: object): Objective {
  const given = overrides as Record<string, unknown>
  const values: Record<string, unknown> = { ...base }
  const numbers = encodedObjective(base).slice()
  for (const name in given) {
    const value = given[name]
    if (name === 'profile' || value === undefined) continue
    const index = rowIndex.get(name)
    if (index === undefined)
      throw invalid('ERR_INVALID_OPTION', name, 'an option of docs/options.md', 'another name')
    numbers[index] = encode(optionRows[index]!, value)
    values[name] = value
  }
  const objective = Object.freeze(values) as unknown as Objective
  encoded.set(objective, numbers)
  return objective
}

// Words travel as numbers: off is infinity, unset is 0, a choice is its place in the list.
function encode(row: OptionRow, value: unknown): number {
  if (row.type === 'boolean' && typeof value === 'boolean') return Number(value)
  if (row.type === 'enum') {
    const index = row.values!.indexOf(value as string)
    if (index >= 0) return index
  }
  if (row.type === 'number') {
    if (row.word !== undefined && value === row.word) return row.word === 'off' ? Infinity : 0
    if (isInRange(row, value)) return value
  }
  throw invalid('ERR_INVALID_OPTION', row.name, rangeOf(row), describe(value))
}

function isInRange(row: OptionRow, value: unknown): value is number {
  if (!Number.isFinite(value)) return false
  const number = value as number
  return (
    number >= (row.min ?? -Infinity) &&
    number > (row.above ?? -Infinity) &&
    number <= (row.max ?? Infinity)
  )
}

function rangeOf(row: OptionRow): string {
  if (row.type === 'boolean') return 'true or false'
  if (row.type === 'enum') return `one of ${row.values!.join(', ')}`
  const bounds = [
    row.min === undefined ? '' : ` of at least ${row.min}`,
    row.above === undefined ? '' : ` above ${row.above}`,
    row.max === undefined ? '' : ` and at most ${row.max}`,
    row.word === undefined ? '' : ` or '${row.word}'`,
  ]
  return `a finite number${bounds.join('')}`
}
