/** Wrong use of the command line; the message is one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What node:util's parseArgs gives, with complaints as UsageErrors, and few enough arguments. */
export function parsed<Parsed extends { readonly positionals: readonly string[] }>(
  parse: () => Parsed,
  maxPositionals: number,
): Parsed {
  const result = attempt(parse)
  const extra = result.positionals[maxPositionals]
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  return result
}

function attempt<Parsed>(parse: () => Parsed): Parsed {
  try {
    return parse()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // Node adds advice after the first sentence.
    throw new UsageError(message.split(/\.\s|\n/, 1)[0] ?? message)
  }
}
