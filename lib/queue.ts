import type { PreparedCall } from './call'
import { describe, fromNative, invalid } from './errors'
import type { PapoError, PapoErrorCode } from './errors'
import { protect, release } from './in-flight'
import { addon } from './native'
import type { NativeJobs } from './native'

/** What is used of an AbortSignal, so that these types need neither those of Node nor of the DOM. */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface QueueOptions {
  /** An AbortSignal. Gives the call up if it has not begun: it then rejects with the reason. */
  signal?: AbortSignalLike
}

/** What every async form takes beside the options of the function that it is the form of. */
export type Queued<Options> = Options & QueueOptions

interface Pending {
  readonly succeed: () => void
  readonly fail: (error: PapoError) => void
}

// Holds every call with its arrays until the computation is done with them.
const pending = new Map<number, Pending>()
let jobs: NativeJobs | undefined

function settled(job: number, code: PapoErrorCode | undefined, message: string | undefined): void {
  const call = pending.get(job)
  pending.delete(job)
  if (code === undefined) call?.succeed()
  else call?.fail(fromNative({ code, message }))
}

/**
 * Hands a call to the queue of its device, where calls run one after the other in the order in which
 * they were made, on a thread of their own; libuv's threads stay free.
 */
export function runQueued<Result>(
  call: PreparedCall<Result>,
  signal: AbortSignalLike | undefined,
): Promise<Result> {
  if (signal?.aborted) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    const origin: { stack?: string } = {}
    Error.captureStackTrace(origin, runQueued)
    const buffers = call.descriptor.callersBuffers()
    protect(buffers)
    const end = (): void => {
      release(buffers)
      signal?.removeEventListener('abort', abort)
    }
    const succeed = (): void => {
      end()
      const lost = call.descriptor.detached()
      if (lost !== undefined) reject(lostBuffer(lost))
      else resolve(call.finish())
    }
    const fail = (error: unknown): void => {
      end()
      reject(error)
    }
    const abort = (): void => {
      if (!jobs!.cancel(job)) return
      pending.delete(job)
      fail(signal!.reason)
    }
    let job = 0
    try {
      jobs ??= new addon.Jobs(settled)
      job = call.run(jobs)!
    } catch (error) {
      fail(fromNative(error))
      return
    }
    pending.set(job, { succeed, fail: (error) => fail(withOrigin(error, origin.stack)) })
    signal?.addEventListener('abort', abort)
  })
}

// An error made when the computation is done knows nothing of the call: its frames are those of the
// event loop.
function withOrigin(error: PapoError, stack = ''): PapoError {
  const frames = stack.slice(stack.indexOf('\n') + 1)
  error.stack = `${error.name}: ${error.message}\n${frames}`
  return error
}

function lostBuffer(argument: string): PapoError {
  return invalid(
    'ERR_DETACHED',
    argument,
    'a buffer of this thread until the call is done',
    'one that was transferred',
  )
}

/** The signal, and the options without it, which the sync form knows. */
export function takeSignal<Options extends object>(
  options: Queued<Options>,
): [AbortSignalLike | undefined, Options] {
  if (typeof options !== 'object' || options === null || !('signal' in options))
    return [undefined, options]
  const { signal, ...rest } = options
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid('ERR_INVALID_OPTION', 'signal', 'an AbortSignal', describe(signal))
  return [signal, rest as unknown as Options]
}
