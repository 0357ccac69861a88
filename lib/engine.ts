import { deviceCode } from './device'
import type { Device } from './device'
import type { DType } from './dtype'
import { describe, fromNative, invalid } from './errors'
import { eventHandle, makeEvent } from './event'
import type { DeviceEvent } from './event'
import { addon } from './native'
import type { NativeEngine } from './native'
import { requireInteger, requireKeys } from './options'

export interface EngineOptions {
  /** Default 'cpu'; 'cuda:0' is the first NVIDIA device that the process sees. */
  device?: Device
  /** Of the CPU: a name of {@link instructionSets}; default: the fastest. */
  instructionSet?: string
  /** Of the CPU: 1 to 1024, or 0 for as many as the processor runs at once (the default). */
  threads?: number
  /**
   * Of a CUDA device: the caller's cudaStream_t as a number, for work of other libraries to come
   * before and after ours without waiting; it must outlive the engine and the tensors allocated with
   * it. 1n is the legacy default stream. Default: a stream of the engine's own.
   */
  stream?: bigint
}

/** Memory of a device, in bytes. */
export interface MemoryInfo {
  free: number
  total: number
}

const optionNames = new Set(['device', 'instructionSet', 'threads', 'stream'])
const secret = Symbol('Engine')
let readHandle: (engine: unknown) => NativeEngine

/**
 * A device with an instruction set, a pool of threads, and the working memory of its calls, which
 * is kept from call to call. Functions take one as `engine`; without it they share
 * {@link defaultEngine}. Closed by dispose(), or when it is collected.
 *
 * Results are the same bits for any number of threads; instruction sets differ by rounding.
 *
 * An engine of a CUDA device has a stream instead of threads. It takes tensors of its device, and
 * its functions return when the results are there.
 *
 * @example
 * using reference = Engine.open({ instructionSet: 'reference' })   // float64 throughout
 */
export class Engine {
  /** For example 'avx512', 'avx2', 'neon', 'portable' or 'reference'; 'cuda' on a device. */
  readonly instructionSet: string
  /** 0 on a CUDA device. */
  readonly threads: number
  readonly device: Device
  readonly #handle: NativeEngine
  #disposed = false

  static {
    readHandle = (engine) => {
      if (typeof engine !== 'object' || engine === null || !(#handle in engine))
        throw invalid('ERR_INVALID_ARGUMENT', 'engine', 'an Engine', describe(engine))
      if (engine.#disposed)
        throw invalid('ERR_DISPOSED', 'engine', 'an open engine', 'one that was disposed')
      return engine.#handle
    }
  }

  private constructor(key: symbol, handle: NativeEngine, device: Device) {
    if (key !== secret)
      throw invalid('ERR_INVALID_ARGUMENT', 'Engine', 'Engine.open()', 'new Engine()')
    this.#handle = handle
    this.device = device
    this.instructionSet = handle.instructionSet()
    this.threads = handle.threads()
  }

  /**
   * @throws PapoError ERR_UNAVAILABLE (a device or instruction set that is not here),
   * ERR_INVALID_OPTION, ERR_INVALID_ARGUMENT, ERR_OUT_OF_MEMORY, ERR_DEVICE
   */
  static open(options: EngineOptions = {}): Engine {
    requireKeys('options', options, optionNames)
    const { device = 'cpu', instructionSet, threads, stream } = options
    const code = deviceCode(device)
    const threadCount = requireInteger('threads', threads, 0, 0, code === 0 ? 1024 : 0)
    requireStream(stream, code)
    requireInstructionSet(instructionSet, code === 0 ? instructionSets() : ['cuda'])
    try {
      const handle = new addon.Engine(code, instructionSet, threadCount, stream)
      return new Engine(secret, handle, device)
    } catch (error) {
      throw fromNative(error)
    }
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** The cudaStream_t of a CUDA engine as a number; 0n on the CPU. */
  get stream(): bigint {
    return readHandle(this).stream()
  }

  /**
   * Waits for everything in the engine's stream: other libraries' work too, where the stream is the
   * caller's. On the CPU there is nothing to wait for.
   *
   * @throws PapoError ERR_DEVICE, ERR_DISPOSED
   */
  synchronize(): void {
    onDevice(readHandle(this), (handle) => handle.synchronize())
  }

  /** Free and total memory of the device. @throws PapoError ERR_UNAVAILABLE (on the CPU) */
  memoryInfo(): MemoryInfo {
    this.#requireCuda('memoryInfo()')
    const [free, total] = onDevice(readHandle(this), (handle) => handle.memoryInfo())
    return { free, total }
  }

  /** The point behind everything in the stream by now. @throws PapoError ERR_UNAVAILABLE (on the CPU) */
  recordEvent(): DeviceEvent {
    this.#requireCuda('recordEvent()')
    return makeEvent(readHandle(this))
  }

  /**
   * What this engine is given from now on begins when the event has passed; nobody waits for that.
   * The event may be of another engine of the device.
   *
   * @throws PapoError ERR_UNAVAILABLE (on the CPU), ERR_INVALID_ARGUMENT, ERR_DISPOSED, ERR_DEVICE
   */
  waitFor(event: DeviceEvent): void {
    this.#requireCuda('waitFor()')
    const point = eventHandle(event, 'event')
    onDevice(readHandle(this), (handle) => point.wait(handle))
  }

  #requireCuda(what: string): void {
    if (this.device === 'cpu')
      throw invalid('ERR_UNAVAILABLE', 'engine', `one of a CUDA device for ${what}`, 'the CPU')
  }

  /**
   * Frees threads and memory; any later use throws ERR_DISPOSED. Calling it again does nothing. A
   * stream stays open for the tensors allocated in it.
   */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#handle.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** What is usable on this machine, fastest first; 'reference' (float64, plain loops) is last. */
export function instructionSets(): string[] {
  return addon.instructionSets()
}

const shared = new Map<Device, Engine>()

/**
 * The engine of calls that name none, opened on first use; one for each device and worker thread.
 * That of the CPU heeds the environment's PAPO_KERNELS_INSTRUCTION_SET and PAPO_KERNELS_THREADS.
 *
 * @throws PapoError as {@link Engine.open}
 */
export function defaultEngine(device: Device = 'cpu'): Engine {
  const open = shared.get(device)
  if (open !== undefined && !open.disposed) return open
  const engine = Engine.open(device === 'cpu' ? optionsFromEnvironment() : { device })
  shared.set(device, engine)
  return engine
}

/**
 * The engine of a call: the one given, or the default of the device that this tensor lies on.
 *
 * @throws PapoError ERR_DISPOSED, ERR_INVALID_ARGUMENT, and as {@link Engine.open}
 */
export function engineFor(
  engine: Engine | undefined,
  tensor?: { readonly device: Device },
): Engine {
  const chosen = engine ?? defaultEngine(tensor?.device)
  engineHandle(chosen)
  return chosen
}

/** The engine given, which must be of the device, where both are given; else the device's default. */
export function chooseEngine(device: Device | undefined, engine: Engine | undefined): Engine {
  if (device !== undefined) deviceCode(device)
  if (engine === undefined) return defaultEngine(device)
  engineHandle(engine)
  if (device !== undefined && engine.device !== device)
    throw invalid('ERR_DEVICE_MISMATCH', 'engine', `one of ${device}`, engine.device)
  return engine
}

function optionsFromEnvironment(): EngineOptions {
  const instructionSet = process.env['PAPO_KERNELS_INSTRUCTION_SET']
  const threads = process.env['PAPO_KERNELS_THREADS']
  const options: EngineOptions = {}
  if (instructionSet) options.instructionSet = instructionSet
  if (threads) options.threads = requireInteger('PAPO_KERNELS_THREADS', Number(threads), 0, 0, 1024)
  return options
}

/** The native engine behind an Engine. @throws PapoError ERR_DISPOSED, ERR_INVALID_ARGUMENT */
export function engineHandle(engine: Engine): NativeEngine {
  return readHandle(engine)
}

/** The dtype of per-token values: the reference engine's is float64, all others' float32. */
export function valueDType(engine: Engine): DType {
  return engine.instructionSet === 'reference' ? 'float64' : 'float32'
}

function onDevice<Result>(handle: NativeEngine, body: (handle: NativeEngine) => Result): Result {
  try {
    return body(handle)
  } catch (error) {
    throw fromNative(error)
  }
}

function requireStream(stream: unknown, device: number): void {
  if (stream === undefined) return
  if (device === 0)
    throw invalid('ERR_INVALID_OPTION', 'stream', 'none on the CPU', describe(stream))
  if (typeof stream !== 'bigint' || stream <= 0n || stream >= 1n << 64n)
    throw invalid('ERR_INVALID_OPTION', 'stream', 'a cudaStream_t as a bigint', describe(stream))
}

function requireInstructionSet(name: unknown, names: readonly string[]): void {
  if (name === undefined) return
  if (typeof name !== 'string')
    throw invalid('ERR_INVALID_OPTION', 'instructionSet', 'a name', describe(name))
  if (!names.includes(name))
    throw invalid('ERR_UNAVAILABLE', 'instructionSet', `one of ${names.join(', ')}`, describe(name))
}
