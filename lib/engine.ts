import type { DType } from './dtype'
import { describe, fromNative, invalid } from './errors'
import { addon } from './native'
import type { NativeEngine } from './native'
import { requireInteger, requireKeys } from './options'
import type { Device } from './tensor'

export interface EngineOptions {
  /** Default 'cpu', the only one that this version opens. */
  device?: Device
  /** A name of {@link instructionSets}; default: the fastest. */
  instructionSet?: string
  /** 1 to 1024, or 0 for as many as the processor runs at once (the default). */
  threads?: number
}

const optionNames = new Set(['device', 'instructionSet', 'threads'])
const secret = Symbol('Engine')
let readHandle: (engine: unknown) => NativeEngine

/**
 * A device with an instruction set, a pool of threads, and the working memory of its calls, which
 * is kept from call to call. Functions take one as `engine`; without it they share
 * {@link defaultEngine}. Closed by dispose(), or when it is collected.
 *
 * Results are the same bits for any number of threads; instruction sets differ by rounding.
 *
 * @example
 * using reference = Engine.open({ instructionSet: 'reference' })   // float64 throughout
 */
export class Engine {
  /** For example 'avx512', 'avx2', 'neon', 'portable' or 'reference'. */
  readonly instructionSet: string
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
   * ERR_INVALID_OPTION, ERR_INVALID_ARGUMENT, ERR_OUT_OF_MEMORY
   */
  static open(options: EngineOptions = {}): Engine {
    requireKeys('options', options, optionNames)
    const { device = 'cpu', instructionSet, threads } = options
    const deviceCode = requireDevice(device)
    const threadCount = requireInteger('threads', threads, 0, 0, 1024)
    if (deviceCode === 0) requireInstructionSet(instructionSet)
    try {
      return new Engine(secret, new addon.Engine(deviceCode, instructionSet, threadCount), device)
    } catch (error) {
      throw fromNative(error)
    }
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** Frees threads and memory; any later use throws ERR_DISPOSED. Calling it again does nothing. */
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

let shared: Engine | undefined

/**
 * The engine of calls that name none, opened on first use, with the environment's
 * PAPO_KERNELS_INSTRUCTION_SET and PAPO_KERNELS_THREADS. One for each worker thread.
 */
export function defaultEngine(): Engine {
  if (shared === undefined || shared.disposed) shared = Engine.open(optionsFromEnvironment())
  return shared
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

// papo_engine_options.device: papo_device_kind + 16 * index
function requireDevice(device: unknown): number {
  if (device === 'cpu') return 0
  const index = typeof device === 'string' ? /^cuda:(\d{1,3})$/.exec(device)?.[1] : undefined
  if (index === undefined)
    throw invalid('ERR_INVALID_OPTION', 'device', "'cpu' or 'cuda:<index>'", describe(device))
  return 1 + 16 * Number(index)
}

function requireInstructionSet(name: unknown): void {
  if (name === undefined) return
  if (typeof name !== 'string')
    throw invalid('ERR_INVALID_OPTION', 'instructionSet', 'a name', describe(name))
  const names = instructionSets()
  if (!names.includes(name))
    throw invalid('ERR_UNAVAILABLE', 'instructionSet', `one of ${names.join(', ')}`, describe(name))
}
