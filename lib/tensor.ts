import { allocate, decoder, identify, isDetached, requireDType } from './dtype'
import type { DType, TypedArray } from './dtype'
import { describe, invalid } from './errors'
import { requireKeys } from './options'

/** Where memory lies. */
export type Device = 'cpu' | `cuda:${number}`

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

const optionNames = new Set(['dtype', 'shape', 'rowStride'])
const secret = Symbol('Tensor')
let readData: (tensor: Tensor, argument: string) => TypedArray
let isTensor: (value: unknown) => value is Tensor
let makeTensor: (data: TypedArray, dtype: DType, shape: readonly number[], stride: number) => Tensor

/**
 * A handle on the caller's memory: data, dtype and shape. Copies nothing and owns nothing, so two
 * tensors may share data, and what the caller writes to the array the tensor shows.
 *
 * Arrays on a SharedArrayBuffer are fine as long as no other thread writes to them during a call.
 *
 * @example
 * const logits = Tensor.from(new Float32Array(2 * 3 * 64), { shape: [2, 3, 64] })
 * const halves = Tensor.from(new Uint16Array(64), { dtype: 'bfloat16' })
 */
export class Tensor {
  readonly dtype: DType
  /** Frozen. */
  readonly shape: readonly number[]
  readonly device: Device = 'cpu'
  /** Elements between rows of the last dimension. */
  readonly rowStride: number
  #data: TypedArray | undefined

  static {
    isTensor = (value): value is Tensor =>
      typeof value === 'object' && value !== null && #data in value
    makeTensor = (data, dtype, shape, stride) => new Tensor(secret, data, dtype, shape, stride)
    readData = (tensor, argument) => {
      const data = tensor.#data
      if (data === undefined)
        throw invalid('ERR_DISPOSED', argument, 'a tensor in use', 'one that was disposed')
      // Tensors are never empty, so a length of 0 says that the buffer went elsewhere.
      if (data.length === 0)
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
    data: TypedArray,
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

  /** A tensor on new memory, all zero. @throws PapoError ERR_OUT_OF_MEMORY, and as {@link from} */
  static zeros(shape: readonly number[], dtype: DType = 'float32'): Tensor {
    const dimensions = requireShape(shape)
    const kind = requireDType(dtype)
    const data = allocate('shape', kind, elementsOf(dimensions))
    return new Tensor(secret, data, kind, dimensions, dimensions[dimensions.length - 1]!)
  }

  /** The array itself. @throws PapoError ERR_DISPOSED, ERR_DETACHED */
  get data(): TypedArray {
    return readData(this, 'tensor')
  }

  get disposed(): boolean {
    return this.#data === undefined
  }

  /** A new array of the elements in order, without padding between rows, as float32. */
  toFloat32Array(): Float32Array {
    const data = this.data
    const columns = this.shape[this.shape.length - 1]!
    const out = new Float32Array(elementsOf(this.shape))
    const decode = decoder(this.dtype)
    for (let i = 0, row = 0; i < out.length; row += this.rowStride)
      for (let column = 0; column < columns; ++column) out[i++] = decode(data[row + column]!)
    return out
  }

  /** Lets go of the memory; any later use throws ERR_DISPOSED. Calling it again does nothing. */
  dispose(): void {
    this.#data = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

export { isTensor, makeTensor }

/** The memory of a tensor, with errors under the name of the argument it came as. */
export function tensorData(tensor: Tensor, argument: string): TypedArray {
  return readData(tensor, argument)
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

export function elementsOf(shape: readonly number[]): number {
  let elements = 1
  for (const dimension of shape) elements *= dimension
  return elements
}

/** "float32 [2, 3, 64]" */
export function describeTensor(tensor: Tensor): string {
  return `${tensor.dtype} [${tensor.shape.join(', ')}]`
}

function requireShape(shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape) || shape.length === 0)
    throw invalid('ERR_INVALID_SHAPE', 'shape', 'an array of dimensions', describe(shape))
  const dimensions: readonly number[] = Object.freeze([...shape])
  const isWhole = (dimension: unknown) => Number.isSafeInteger(dimension) && Number(dimension) >= 1
  const expected = !dimensions.every(isWhole)
    ? 'whole numbers of at least 1'
    : !Number.isSafeInteger(elementsOf(dimensions))
      ? 'at most 2^53 elements'
      : undefined
  if (expected === undefined) return dimensions
  const received = `[${dimensions.map(describe).join(', ')}]`
  throw invalid('ERR_INVALID_SHAPE', 'shape', expected, received)
}

function requireRowStride(rowStride: unknown, shape: readonly number[]): number {
  const columns = shape[shape.length - 1]!
  if (rowStride === undefined) return columns
  if (Number.isSafeInteger(rowStride) && (rowStride as number) >= columns)
    return rowStride as number
  throw invalid(
    'ERR_INVALID_SHAPE',
    'rowStride',
    `a whole number of at least ${columns}`,
    describe(rowStride),
  )
}

function requireLength(length: number, shape: readonly number[], rowStride: number): void {
  const columns = shape[shape.length - 1]!
  const rows = elementsOf(shape) / columns
  const [shortest, longest] = [(rows - 1) * rowStride + columns, rows * rowStride]
  if (length === shortest || length === longest) return
  const stride = rowStride === columns ? '' : ` with rowStride ${rowStride}`
  throw invalid(
    'ERR_INVALID_SHAPE',
    'data',
    `${longest} elements for shape [${shape.join(', ')}]${stride}`,
    `${length}`,
  )
}
