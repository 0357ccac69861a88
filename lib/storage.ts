// What tensors are made of: arrays of JavaScript's, or pieces of a device's memory.
import { deviceName } from './device'
import type { Device } from './device'
import { allocate, bytesOf, viewBuffer } from './dtype'
import type { DType, TypedArray } from './dtype'
import { engineHandle } from './engine'
import type { Engine } from './engine'
import { fromNative, invalid, PapoError } from './errors'
import { addon } from './native'
import type { NativeMemory } from './native'

export type Storage = TypedArray | NativeMemory

export function isOnHost(storage: Storage): storage is TypedArray {
  return ArrayBuffer.isView(storage)
}

/** papo_tensor.device */
export function storageCode(storage: Storage): number {
  return isOnHost(storage) ? 0 : storage.device()
}

export function storageDevice(storage: Storage): Device {
  return deviceName(storageCode(storage))
}

/** Calls the addon, whose errors are plain. */
export function native<Result>(body: () => Result): Result {
  try {
    return body()
  } catch (error) {
    throw fromNative(error)
  }
}

/** The same, where messages of the addon speak of data that JavaScript knows by another name. */
export function nativeNamed<Result>(argument: string, body: () => Result): Result {
  try {
    return body()
  } catch (cause) {
    const error = fromNative(cause)
    if (error.argument !== 'data') throw error
    throw new PapoError(error.code, error.message.replace('data', argument), { argument, cause })
  }
}

/**
 * Memory of the engine's device for this many elements; zeroed on the CPU, anything on a device.
 *
 * @throws PapoError ERR_OUT_OF_MEMORY
 */
export function allocateFor(
  engine: Engine,
  argument: string,
  dtype: DType,
  elements: number,
): Storage {
  if (engine.device === 'cpu') return allocate(argument, dtype, elements)
  const handle = engineHandle(engine)
  try {
    return new addon.DeviceMemory('pool', handle, elements * bytesOf(dtype))
  } catch (cause) {
    const { code, message } = fromNative(cause)
    throw new PapoError(code, `${argument}: ${message}`, { argument, cause })
  }
}

/** {@link allocateFor}, on memory of a device that other processes may open. */
export function allocateShareable(engine: Engine, dtype: DType, elements: number): Storage {
  const handle = engineHandle(engine)
  return native(() => new addon.DeviceMemory('shareable', handle, elements * bytesOf(dtype)))
}

/** Zeroed host memory that the engine's device copies from and to without a detour. */
export function allocatePinned(engine: Engine, dtype: DType, elements: number): TypedArray {
  const handle = engineHandle(engine)
  return viewBuffer(
    dtype,
    native(() => addon.pinnedBuffer(handle, elements * bytesOf(dtype))),
  )
}

/** These elements alone, in the same memory, which lives as long as one of its parts. */
export function part(storage: Storage, dtype: DType, begin: number, elements: number): Storage {
  if (isOnHost(storage))
    return elements === storage.length ? storage : storage.subarray(begin, begin + elements)
  const bytes = bytesOf(dtype)
  return native(() => new addon.DeviceMemory('view', storage, elements * bytes, begin * bytes))
}

/** Lets go of memory whose parts are in use. The garbage collector does it for arrays. */
export function letGo(storage: Storage): void {
  if (!isOnHost(storage)) storage.dispose()
}

export function wrongDevice(argument: string, expected: Device, received: Device): PapoError {
  const remedy = `tensor.to('${expected}') copies`
  return invalid('ERR_DEVICE_MISMATCH', argument, `memory of ${expected} (${remedy})`, received)
}
