import type { Facts } from './facts'

/** error: the package cannot be used; warning: less than this machine could do; note: the rest. */
export type AdviceLevel = 'error' | 'warning' | 'note'

export interface Advice {
  readonly level: AdviceLevel
  /** The field of the facts that it is about. */
  readonly about: keyof Facts
  readonly sentence: string
  /** That mend it, in this order. */
  readonly commands: readonly string[]
}

export function say(
  level: AdviceLevel,
  about: keyof Facts,
  sentence: string,
  commands: readonly string[] = [],
): Advice {
  return { level, about, sentence, commands }
}

/** Of version numbers, as far as the second one goes. */
export function isOlder(version: string, than: string): boolean {
  const parts = version.split('.').map(Number)
  for (const [i, needed] of than.split('.').map(Number).entries()) {
    const part = parts[i] ?? 0
    if (part !== needed) return part < needed
  }
  return false
}
