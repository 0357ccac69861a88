import { copyNow, copyQueued } from './copy'
import type { CopySide } from './copy'
import { cudaCode, deviceCode } from './device'
import type { Device } from './device'
import { allocate, decoder, identify, isDetached, requireDType } from './dtype'
import type { DType, TypedArray } from './dtype'
import { chooseEngine, engineHandle } from './engine'
import type { Engine } from './engine'
import { invalid } from './errors'
import { openPointer, openShared, requirePointer, requireShareHandle, shareMemory } from './foreign'
import type { ShareHandle, UnsafePointer } from './foreign'
import type { NativeMemory } from './native'
import { requireKeys } from './options'
import { takeSignal } from './queue'
import type { Queued } from './queue'
import { elementsOf, requireLength, requireRowStride, requireShape } from './shape'
import {
  allocateFor,
  allocatePinned,
  allocateShareable,
  isOnHost,
  letGo,
  native,
  storageDevice,
  wrongDevice,
} from './storage'
import type { Storage } from './storage'

export type { Device } from './device'

/** Anything that functions take as a tensor. A bare typed array is a vector of its length. */
export type TensorLike = Tensor | TypedArray

export interface TensorOptions {
  /** Needed for a Uint16Array, which may be 'float16' or 'bfloat16'; else implied by the array. */
  dtype?: DType
  /** Positive whole numbers; default: one dimension, as long as the data. */
  shape?: readonly number[]
  /**
   * Elements from one row of the last dimension to the next, for padded rows; default: the last
   * dimension. Elements between the rows are never read or written.
   */
  rowStride?: number
}

/** Where new memory lies: on a device, or on that of an engine, in the order of its stream. */
export interface PlacementOptions {
  /** Default: the engine's, else 'cpu'. */
  device?: Device
  engine?: Engine
}

/** Of a copy with a device. */
export interface CopyOptions {
  /** An engine of the device, whose stream the copy is made in. Default: {@link defaultEngine}. */
  engine?: Engine
}

const optionNames = new Set(['dtype', 'shape', 'rowStride'])
const placementNames = new Set(['device', 'engine'])
const copyNames = new Set(['engine'])
const secret = Symbol('Tensor')
let readData: (tensor: Tensor, argument: string) => Storage
let isTensor: (value: unknown) => value is Tensor
let makeTensor: (data: Storage, dtype: DType, shape: readonly number[], stride: number) => Tensor

/**
 * Memory with dtype and shape, on the host or on a CUDA device.
 *
 * On the host it is a handle on the caller's array: it copies nothing and owns nothing, so two
 * tensors may share data, and what the caller writes to the array the tensor shows. Arrays on a
 * SharedArrayBuffer are fine as long as no other thread writes to them during a call.
 *
 * On a device it is a handle on memory that JavaScript cannot read: to() and copyTo() copy. That
 * memory is freed by dispose(), or some time after the tensor was collected, which a loop that never
 * awaits does not come to. It does not travel to worker threads.
 *
 * @example
 * const logits = Tensor.from(new Float32Array(2 * 3 * 64), { shape: [2, 3, 64] })
 * const halves = Tensor.from(new Uint16Array(64), { dtype: 'bfloat16' })
 * const onDevice = logits.to('cuda:0')
 */
export class Tensor {
  readonly dtype: DType
  /** Frozen. */
  readonly shape: readonly number[]
  readonly device: Device
  /** Elements between rows of the last dimension. */
  readonly rowStride: number
  #data: Storage | undefined

  static {
    isTensor = (value): value is Tensor =>
      typeof value === 'object' && value !== null && #data in value
    makeTensor = (data, dtype, shape, stride) => new Tensor(secret, data, dtype, shape, stride)
    readData = (tensor, argument) => {
      const data = tensor.#data
      if (data === undefined)
        throw invalid('ERR_DISPOSED', argument, 'a tensor in use', 'one that was disposed')
      // Tensors are never empty, so a length of 0 says that the buffer went elsewhere.
      if (isOnHost(data) && data.length === 0)
        throw invalid(
          'ERR_DETACHED',
          argument,
          'a buffer of this thread',
          'one that was transferred',
        )
      return data
    }
  }

  private constructor(
    key: symbol,
    data: Storage,
    dtype: DType,
    shape: readonly number[],
    rowStride: number,
  ) {
    if (key !== secret)
      throw invalid(
        'ERR_INVALID_ARGUMENT',
        'Tensor',
        'Tensor.from() or Tensor.zeros()',
        'new Tensor()',
      )
    this.#data = data
    this.device = storageDevice(data)
    this.dtype = dtype
    this.shape = shape
    this.rowStride = rowStride
  }

  /**
   * A tensor on this memory. The array must hold exactly what shape and rowStride describe; the
   * last row may end at its last element or at its stride.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT (not a typed array, or a resizable buffer),
   * ERR_INVALID_OPTION (an unknown option), ERR_INVALID_DTYPE, ERR_INVALID_SHAPE, ERR_DETACHED
   */
  static from(data: TypedArray, options: TensorOptions = {}): Tensor {
    requireKeys('options', options, optionNames)
    const { dtype, shape, rowStride } = options
    const known = identify('data', data, dtype === undefined ? undefined : requireDType(dtype))
    if (isDetached(known.data))
      throw invalid('ERR_DETACHED', 'data', 'a buffer of this thread', 'one that was transferred')
    const dimensions = requireShape(shape ?? [known.data.length])
    const stride = requireRowStride(rowStride, dimensions)
    requireLength(known.data.length, dimensions, stride)
    return new Tensor(secret, known.data, known.dtype, dimensions, stride)
  }

  /**
   * A tensor on new memory, all zero.
   *
   * @throws PapoError ERR_OUT_OF_MEMORY, ERR_DEVICE_MISMATCH (an engine of another device), as
   * {@link from} and, for a device, {@link Engine.open}
   */
  static zeros(
    shape: readonly number[],
    dtype: DType = 'float32',
    options: PlacementOptions = {},
  ): Tensor {
    const tensor = Tensor.empty(shape, dtype, options)
    const data = readData(tensor, 'tensor')
    if (isOnHost(data)) return tensor
    const engine = chooseEngine(options.device, options.engine)
    native(() => data.clear(engineHandle(engine)))
    return tensor
  }

  /** {@link zeros} without the zeros: on a device the memory holds anything until it is written. */
  static empty(
    shape: readonly number[],
    dtype: DType = 'float32',
    options: PlacementOptions = {},
  ): Tensor {
    requireKeys('options', options, placementNames)
    const { device, engine } = options
    const isOfHost = engine === undefined && (device === undefined || device === 'cpu')
    return newTensor(shape, dtype, (kind, elements) =>
      isOfHost
        ? allocate('shape', kind, elements)
        : allocateFor(chooseEngine(device, engine), 'shape', kind, elements),
    )
  }

  /**
   * A tensor of the host, all zero, on memory that a device copies from and to at full speed and
   * without holding up this thread. Its data is an array like any other; freed when that is collected.
   *
   * @param options default: device 'cuda:0'
   * @throws PapoError as {@link zeros}; ERR_UNAVAILABLE (a runtime without external buffers)
   */
  static pinned(
    shape: readonly number[],
    dtype: DType = 'float32',
    options: PlacementOptions = {},
  ): Tensor {
    const engine = engineOfCuda(options)
    return newTensor(shape, dtype, (kind, elements) => allocatePinned(engine, kind, elements))
  }

  /**
   * {@link empty} on memory of a device that other processes may open: see {@link shareHandle}.
   *
   * @param options default: device 'cuda:0'
   * @throws PapoError as {@link zeros}
   */
  static shareable(
    shape: readonly number[],
    dtype: DType = 'float32',
    options: PlacementOptions = {},
  ): Tensor {
    const engine = engineOfCuda(options)
    return newTensor(shape, dtype, (kind, elements) => allocateShareable(engine, kind, elements))
  }

  /**
   * A tensor on a device's memory that another library in this process allocated. The driver is asked
   * whether it is memory of the device and long enough. It stays the other library's: to keep it
   * alive while the tensor is used is up to the caller, and dispose() does not free it.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT (host memory, another device's, too short, misaligned),
   * ERR_INVALID_DTYPE, ERR_INVALID_SHAPE, ERR_DEVICE_MISMATCH (an engine of another device)
   */
  static fromUnsafePointer(options: UnsafePointer): Tensor {
    const { pointer, device, engine, ...layout } = requirePointer(options)
    const { memory, dtype, shape, rowStride } = openPointer(
      pointer,
      layout,
      chooseEngine(device, engine),
    )
    return new Tensor(secret, memory, dtype, shape, rowStride)
  }

  /**
   * The tensor that another process on this machine shares, on the same memory: nothing is copied.
   * That process keeps it until this one has disposed it.
   *
   * @param options where processes number their devices differently, this one's device or engine
   * @throws PapoError ERR_INVALID_ARGUMENT, ERR_DEVICE (the other process is gone, or is this one)
   */
  static fromShareHandle(handle: ShareHandle, options: PlacementOptions = {}): Tensor {
    const shared = requireShareHandle(handle)
    requireKeys('options', options, placementNames)
    const device = options.device ?? options.engine?.device ?? shared.device
    const engine = chooseEngine(device, options.engine)
    const { memory, dtype, shape, rowStride } = openShared(shared, engine)
    return new Tensor(secret, memory, dtype, shape, rowStride)
  }

  /**
   * The array itself.
   *
   * @throws PapoError ERR_DISPOSED, ERR_DETACHED, ERR_DEVICE_MISMATCH (memory of a device)
   */
  get data(): TypedArray {
    return hostData(this, 'tensor')
  }

  /**
   * Address of the first element in the memory of the device.
   *
   * @throws PapoError ERR_DISPOSED, ERR_DEVICE_MISMATCH (a tensor of the host)
   */
  get pointer(): bigint {
    return memoryOf(this).pointer()
  }

  /**
   * What another process on this machine opens the tensor with, as plain values for a message; see
   * {@link fromShareHandle}. For tensors of {@link shareable} and of other libraries' cudaMalloc. Keep
   * the tensor until the others have disposed theirs.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT (memory that cannot be shared), ERR_DISPOSED, ERR_DEVICE,
   * ERR_DEVICE_MISMATCH (a tensor of the host)
   */
  shareHandle(options: CopyOptions = {}): ShareHandle {
    requireKeys('options', options, copyNames)
    const { dtype, shape, rowStride, device } = this
    const shared = shareMemory(memoryOf(this), chooseEngine(device, options.engine))
    return { ...shared, dtype, shape: [...shape], rowStride, device }
  }

  /**
   * A copy on a device or, with 'cpu', on the host; its rows have no gaps.
   *
   * @throws PapoError ERR_OUT_OF_MEMORY, ERR_DISPOSED, ERR_DETACHED, ERR_DEVICE_MISMATCH (an engine of
   * a device that takes no part), and as {@link Engine.open}
   */
  to(device: Device, options: CopyOptions = {}): Tensor {
    requireKeys('options', options, copyNames)
    const copy = newLike(this, device, options.engine)
    copyNow(sideOf(this, 'tensor'), sideOf(copy, 'destination'), options.engine)
    return copy
  }

  /** {@link to} through the queue of the device: see {@link lossFromLogitsAsync}. */
  async toAsync(device: Device, options: Queued<CopyOptions> = {}): Promise<Tensor> {
    const [signal, { engine }] = takeCopyOptions(options)
    const copy = newLike(this, device, engine)
    await copyQueued(sideOf(this, 'tensor'), sideOf(copy, 'destination'), engine, signal)
    return copy
  }

  /**
   * Copies the elements into another tensor, or an array, of the same dtype and of the same shape or
   * as a vector. What lies between its rows stays.
   *
   * @throws PapoError ERR_INVALID_DTYPE, ERR_INVALID_SHAPE, ERR_OVERLAP, and as {@link to}
   */
  copyTo(destination: TensorLike, options: CopyOptions = {}): void {
    requireKeys('options', options, copyNames)
    const to = sideOf(toTensor('destination', destination), 'destination')
    copyNow(sideOf(this, 'tensor'), to, options.engine)
  }

  /** {@link copyTo} through the queue of the device: see {@link lossFromLogitsAsync}. */
  async copyToAsync(destination: TensorLike, options: Queued<CopyOptions> = {}): Promise<void> {
    const [signal, { engine }] = takeCopyOptions(options)
    const to = sideOf(toTensor('destination', destination), 'destination')
    await copyQueued(sideOf(this, 'tensor'), to, engine, signal)
  }

  get disposed(): boolean {
    return this.#data === undefined
  }

  /** A new array of the elements in order, without padding between rows, as float32. */
  toFloat32Array(): Float32Array {
    if (!isOnHost(readData(this, 'tensor'))) return this.to('cpu').toFloat32Array()
    const data = this.data
    const columns = this.shape[this.shape.length - 1]!
    const out = new Float32Array(elementsOf(this.shape))
    const decode = decoder(this.dtype)
    for (let i = 0, row = 0; i < out.length; row += this.rowStride)
      for (let column = 0; column < columns; ++column) out[i++] = decode(data[row + column]!)
    return out
  }

  /**
   * Lets go of the memory; any later use throws ERR_DISPOSED. Calling it again does nothing. Memory
   * of a device is freed with the last tensor on it, once queued calls are done with it.
   */
  dispose(): void {
    if (this.#data !== undefined) letGo(this.#data)
    this.#data = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

export { elementsOf } from './shape'
export { isTensor, makeTensor }

/** The memory of a tensor, with errors under the name of the argument it came as. */
export function tensorData(tensor: Tensor, argument: string): Storage {
  return readData(tensor, argument)
}

/** As {@link tensorData}, of a tensor that JavaScript can read. @throws PapoError ERR_DEVICE_MISMATCH */
export function hostData(tensor: Tensor, argument: string): TypedArray {
  const data = readData(tensor, argument)
  if (!isOnHost(data)) throw wrongDevice(argument, 'cpu', tensor.device)
  return data
}

function newTensor(
  shape: readonly number[],
  dtype: DType,
  allocateElements: (dtype: DType, elements: number) => Storage,
): Tensor {
  const dimensions = requireShape(shape)
  const kind = requireDType(dtype)
  const data = allocateElements(kind, elementsOf(dimensions))
  return makeTensor(data, kind, dimensions, dimensions[dimensions.length - 1]!)
}

function newLike({ shape, dtype }: Tensor, device: Device, engine: Engine | undefined): Tensor {
  const isOfHost = deviceCode(device) === 0
  return Tensor.empty(
    shape,
    dtype,
    isOfHost || engine === undefined ? { device } : { device, engine },
  )
}

function engineOfCuda(options: PlacementOptions): Engine {
  requireKeys('options', options, placementNames)
  const device = options.device ?? options.engine?.device ?? 'cuda:0'
  cudaCode(device)
  return chooseEngine(device, options.engine)
}

function takeCopyOptions(options: Queued<CopyOptions>) {
  const taken = takeSignal<CopyOptions>(options)
  requireKeys('options', taken[1], copyNames)
  return taken
}

function memoryOf(tensor: Tensor): NativeMemory {
  const data = readData(tensor, 'tensor')
  if (isOnHost(data))
    throw invalid('ERR_DEVICE_MISMATCH', 'tensor', 'a tensor of a CUDA device', 'one of the host')
  return data
}

function sideOf(tensor: Tensor, argument: string): CopySide {
  const { dtype, shape, rowStride } = tensor
  return { storage: readData(tensor, argument), dtype, shape, rowStride }
}

/** The argument as a tensor: itself, or a vector on the typed array. */
export function toTensor(argument: string, value: unknown): Tensor {
  if (isTensor(value)) return value
  const { data, dtype } = identify(argument, value)
  if (data.length === 0) throw emptyArray(argument, data)
  return makeTensor(data, dtype, [data.length], data.length)
}

function emptyArray(argument: string, data: TypedArray): Error {
  return isDetached(data)
    ? invalid('ERR_DETACHED', argument, 'a buffer of this thread', 'one that was transferred')
    : invalid('ERR_INVALID_SHAPE', argument, 'at least one element', 'none')
}

/** "float32 [2, 3, 64]" */
export function describeTensor(tensor: Tensor): string {
  return `${tensor.dtype} [${tensor.shape.join(', ')}]`
}
