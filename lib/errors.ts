/** Stable codes of {@link PapoError}; messages may be reworded, codes may not. */
export type PapoErrorCode =
  /** Not a tensor, not an object, an unknown key, two arguments that exclude each other. */
  | 'ERR_INVALID_ARGUMENT'
  /** An option outside its range, or a name that is no option, value or profile. */
  | 'ERR_INVALID_OPTION'
  | 'ERR_INVALID_DTYPE'
  | 'ERR_INVALID_SHAPE'
  /** Token id outside the vocabulary, mask value other than 0 and 1, a group of one, ... */
  | 'ERR_INVALID_VALUE'
  /** An output shares memory with another argument, other than exactly in place. */
  | 'ERR_OVERLAP'
  /** A tensor or an engine was used after dispose(). */
  | 'ERR_DISPOSED'
  /** The buffer behind a tensor was transferred away. */
  | 'ERR_DETACHED'
  /** A buffer was to be transferred while a queued call uses it. */
  | 'ERR_IN_USE'
  /** A tensor lies on another device than the engine of the call, or than where it is needed. */
  | 'ERR_DEVICE_MISMATCH'
  /** A device or an instruction set that this machine or build does not have. */
  | 'ERR_UNAVAILABLE'
  /** The CUDA driver refused or lost something; the message has its words. */
  | 'ERR_DEVICE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_ADDON_NOT_FOUND'
  /** A file of the command line tool could not be read, written or parsed. */
  | 'ERR_FILE'
  | 'ERR_INTERNAL'

/**
 * Every error this package throws on purpose. Nothing has been written to any argument when one is
 * thrown.
 *
 * @example
 * try { lossFromLogits(inputs) } catch (error) {
 *   if (error instanceof PapoError && error.argument === 'oldLogProbs') ...
 * }
 */
export class PapoError extends Error {
  override readonly name = 'PapoError'
  readonly code: PapoErrorCode
  /** Name of the argument or option that was refused, where there is one. */
  declare readonly argument?: string

  constructor(
    code: PapoErrorCode,
    message: string,
    options: { argument?: string; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    if (options.argument !== undefined) this.argument = options.argument
  }
}

/** The one wording of refusals: "logits: expected a tensor, got null". */
export function invalid(
  code: PapoErrorCode,
  argument: string,
  expected: string,
  received: string,
): PapoError {
  return new PapoError(code, `${argument}: expected ${expected}, got ${received}`, { argument })
}

/** A value as messages show it; never its contents, which may be large. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return value.length > 40 ? 'a long string' : `'${value}'`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (!ArrayBuffer.isView(value)) return `an object (${value.constructor?.name ?? 'no class'})`
  const length = 'length' in value ? value.length : value.byteLength
  return `${value.constructor.name} of ${length}`
}

const argumentPattern = /^([A-Za-z]\w*): /

/**
 * The public error for whatever the addon threw: it throws plain errors with a code, whose message
 * begins with the argument. Made here, so that it has this realm's class and a JavaScript stack.
 */
export function fromNative(error: unknown): PapoError {
  if (error instanceof PapoError) return error
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  const text = typeof message === 'string' ? message : String(error)
  const known = typeof code === 'string' && code.startsWith('ERR_')
  const argument = known ? argumentPattern.exec(text)?.[1] : undefined
  return new PapoError(
    known ? (code as PapoErrorCode) : 'ERR_INTERNAL',
    text,
    argument === undefined ? { cause: error } : { argument, cause: error },
  )
}
