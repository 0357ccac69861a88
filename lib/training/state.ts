import { describe, invalid } from '../errors'
import type { PapoError } from '../errors'
import { requireKeys } from '../options'

// States come from files, so every field is checked before the first is taken over.

function unfit(expected: string, received: string): PapoError {
  return invalid('ERR_INVALID_VALUE', 'state', expected, received)
}

/** An object that has these keys and no others, at this place of the state. */
export function stateObject<Key extends string>(
  place: string,
  value: unknown,
  keys: readonly Key[],
): Record<Key, unknown> {
  requireKeys('state', value, new Set(keys), 'ERR_INVALID_VALUE')
  const object = value as Record<Key, unknown>
  for (const key of keys)
    if (!Object.hasOwn(object, key)) throw unfit(`${place}.${key}`, 'nothing there')
  return object
}

export function stateArray(place: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unfit(`an array as ${place}`, describe(value))
  return value
}

export function stateNumber(place: string, value: unknown, min = -Infinity): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || !(value >= min))
    throw unfit(`a number as ${place}`, describe(value))
  return value
}

export function stateInteger(
  place: string,
  value: unknown,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const number = stateNumber(place, value, min)
  if (!Number.isSafeInteger(number) || number > max)
    throw unfit(`a whole number as ${place}`, describe(value))
  return number
}

/** A number, or null for none. */
export function stateNumberOrNull(place: string, value: unknown): number | null {
  return value === null ? null : stateNumber(place, value)
}

/**
 * The options that a state was saved under have to be those it goes on with: thresholds or targets
 * that change halfway would give a run that no single configuration describes.
 */
export function requireSameOptions(saved: unknown, current: object): void {
  const expected = Object.entries(current)
  const options = stateObject(
    'options',
    saved,
    expected.map(([name]) => name),
  )
  for (const [name, value] of expected) {
    const [wanted, got] = [JSON.stringify(value), JSON.stringify(options[name])]
    if (wanted !== got) throw unfit(`options.${name} ${wanted}, as now`, `${got}`)
  }
}
