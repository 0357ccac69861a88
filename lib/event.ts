import { describe, fromNative, invalid } from './errors'
import { addon } from './native'
import type { NativeEngine, NativeEvent } from './native'

const secret = Symbol('DeviceEvent')
let readHandle: (event: unknown, argument: string) => NativeEvent
let makeEvent: (engine: NativeEngine) => DeviceEvent

/**
 * A point in the stream of a CUDA engine: engine.recordEvent() makes one, and it has passed when
 * everything is done that the engine was given before. Freed by dispose(), or when it is collected.
 *
 * @example
 * const begin = engine.recordEvent()
 * lossFromLogits(inputs, 'papoG', { engine })
 * const end = engine.recordEvent()
 * end.synchronize()
 * console.log(end.elapsedSince(begin), 'ms')
 */
export class DeviceEvent {
  readonly #handle: NativeEvent

  static {
    readHandle = (event, argument) => {
      if (typeof event !== 'object' || event === null || !(#handle in event))
        throw invalid('ERR_INVALID_ARGUMENT', argument, 'a DeviceEvent', describe(event))
      return event.#handle
    }
    makeEvent = (engine) =>
      new DeviceEvent(
        secret,
        native(() => new addon.Event(engine)),
      )
  }

  private constructor(key: symbol, handle: NativeEvent) {
    if (key !== secret)
      throw invalid(
        'ERR_INVALID_ARGUMENT',
        'DeviceEvent',
        'engine.recordEvent()',
        'new DeviceEvent()',
      )
    this.#handle = handle
  }

  /** Returns when the point has passed. @throws PapoError ERR_DISPOSED, ERR_DEVICE */
  synchronize(): void {
    native(() => this.#handle.synchronize())
  }

  /**
   * Milliseconds of the device from an earlier event to this one; both have passed, on one device.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT, ERR_DISPOSED, ERR_DEVICE
   */
  elapsedSince(earlier: DeviceEvent): number {
    const from = readHandle(earlier, 'earlier')
    return native(() => this.#handle.elapsedSince(from))
  }

  /** Any later use throws ERR_DISPOSED. Calling it again does nothing. */
  dispose(): void {
    this.#handle.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function native<Result>(body: () => Result): Result {
  try {
    return body()
  } catch (error) {
    throw fromNative(error)
  }
}

export { makeEvent, readHandle as eventHandle }
