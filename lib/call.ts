import type { Engine } from './engine'
import { fromNative } from './errors'

/**
 * A call whose arguments were all checked: it only has to run. Everything that a function of the
 * package does before and after its computation is here, so that each exists once for all the ways
 * of running it.
 */
export interface PreparedCall<Result> {
  readonly engine: Engine
  /** Calls the addon, whose errors are plain. */
  readonly run: () => void
  /** The caller's result, from outputs that the computation has filled. */
  readonly finish: () => Result
}

/** Runs a call on this thread. @throws PapoError */
export function runNow<Result>(call: PreparedCall<Result>): Result {
  try {
    call.run()
  } catch (error) {
    throw fromNative(error)
  }
  return call.finish()
}
