import type { Descriptor } from './descriptor'
import { fromNative } from './errors'
import type { NativeJobs } from './native'

/**
 * A call whose arguments were all checked: it only has to run. Everything that a function of the
 * package does before and after its computation is here, so that each exists once for both ways of
 * running it: runNow() and runQueued().
 */
export interface PreparedCall<Result> {
  readonly descriptor: Pick<Descriptor<string>, 'callersBuffers' | 'detached'>
  /**
   * Calls the addon, whose errors are plain: at once, or with jobs by queueing it, which gives the
   * number of the job. Before another call of the same kind is prepared: they share numbers.
   */
  readonly run: (jobs?: NativeJobs) => number | undefined
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
