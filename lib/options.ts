import { describe, invalid } from './errors'
import type { PapoErrorCode } from './errors'

// Keys are checked because a misspelt one would be dropped silently: `oldLogprobs` would turn an
// off-policy call into an on-policy one.

/** The argument as an object that has no other keys than these. */
export function requireKeys(
  argument: string,
  value: unknown,
  known: ReadonlySet<string>,
  code: PapoErrorCode = 'ERR_INVALID_OPTION',
): void {
  if (
    typeof value !== 'object' ||
    value === null ||
    ArrayBuffer.isView(value) ||
    Array.isArray(value)
  )
    throw invalid('ERR_INVALID_ARGUMENT', argument, 'an object', describe(value))
  for (const key in value)
    if (!known.has(key)) throw invalid(code, key, `one of ${[...known].join(', ')}`, 'another name')
}

/** A finite number inside the bounds; the default, where there is one, if it is absent. */
export function requireNumber(
  name: string,
  value: unknown,
  initial?: number,
  min = -Infinity,
  max = Infinity,
): number {
  if (value === undefined && initial !== undefined) return initial
  if (Number.isFinite(value) && (value as number) >= min && (value as number) <= max)
    return value as number
  throw invalid('ERR_INVALID_OPTION', name, range('a number', min, max), describe(value))
}

export function requirePositive(name: string, value: unknown, initial?: number): number {
  const number = requireNumber(name, value, initial)
  if (number > 0) return number
  throw invalid('ERR_INVALID_OPTION', name, 'a number above 0', describe(value))
}

/** A whole number inside the bounds; the default, where there is one, if it is absent. */
export function requireInteger(
  name: string,
  value: unknown,
  initial: number | undefined,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (value === undefined && initial !== undefined) return initial
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number
  throw invalid('ERR_INVALID_OPTION', name, range('a whole number', min, max), describe(value))
}

export function requireBoolean(name: string, value: unknown, initial: boolean): boolean {
  if (value === undefined) return initial
  if (typeof value === 'boolean') return value
  throw invalid('ERR_INVALID_OPTION', name, 'true or false', describe(value))
}

/** One of the names, or the first where it is absent. */
export function requireOneOf<Name extends string>(
  name: string,
  value: unknown,
  names: readonly Name[],
): Name {
  if (value === undefined) return names[0]!
  if (names.includes(value as Name)) return value as Name
  throw invalid('ERR_INVALID_OPTION', name, names.join(', '), describe(value))
}

function range(what: string, min: number, max: number): string {
  if (max === Infinity || max === Number.MAX_SAFE_INTEGER)
    return min === -Infinity ? what : `${what} of at least ${min}`
  return `${what} from ${min} to ${max}`
}
