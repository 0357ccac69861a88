import type { Descriptor } from '../descriptor'
import { describe, invalid } from '../errors'

/** What masked elements become: one value, or one for each channel. */
export type Fill = number | readonly number[]

/**
 * Puts the fill into a call, if there is one. The addon refuses values that the dtype does not hold.
 * channels: how many values a list has, where that is known.
 */
export function putFill<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  fill: Fill | undefined,
  channels?: number,
): void {
  if (fill === undefined) return
  const values: unknown = typeof fill === 'number' ? [fill] : fill
  if (!Array.isArray(values) || values.length === 0 || !values.every(Number.isFinite))
    throw invalid(
      'ERR_INVALID_OPTION',
      slot,
      'a finite number, or one for each channel',
      describe(fill),
    )
  if (channels !== undefined && values.length !== 1 && values.length !== channels)
    throw invalid('ERR_INVALID_OPTION', slot, `${channels} values`, describe(fill))
  const data = call.allocateOnHost(slot, 'float64', values.length)
  data.set(values)
  call.onHost(slot, data, 'float64', values.length)
}
