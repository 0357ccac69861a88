import { describe, invalid, PapoError } from './errors'

/** Element types. float16 and bfloat16 are held as bit patterns in a Uint16Array. */
export type DType = 'float32' | 'float16' | 'bfloat16' | 'float64' | 'int32' | 'uint8'

/** What tensors are made of. A Float16Array (Node 24) is accepted too and re-viewed, not copied. */
export type TypedArray = Float32Array | Float64Array | Uint16Array | Int32Array | Uint8Array

interface DTypeRow {
  /** papo_dtype */
  readonly code: number
  readonly bytes: number
  readonly create: (length: number) => TypedArray
  readonly view: (buffer: ArrayBuffer) => TypedArray
}

const float32 = {
  create: (length: number) => new Float32Array(length),
  view: (buffer: ArrayBuffer) => new Float32Array(buffer),
}
const float64 = {
  create: (length: number) => new Float64Array(length),
  view: (buffer: ArrayBuffer) => new Float64Array(buffer),
}
const bits16 = {
  create: (length: number) => new Uint16Array(length),
  view: (buffer: ArrayBuffer) => new Uint16Array(buffer),
}
const int32 = {
  create: (length: number) => new Int32Array(length),
  view: (buffer: ArrayBuffer) => new Int32Array(buffer),
}
const uint8 = {
  create: (length: number) => new Uint8Array(length),
  view: (buffer: ArrayBuffer) => new Uint8Array(buffer),
}

const rows: Readonly<Record<DType, DTypeRow>> = {
  float32: { code: 0, bytes: 4, ...float32 },
  float16: { code: 1, bytes: 2, ...bits16 },
  bfloat16: { code: 2, bytes: 2, ...bits16 },
  float64: { code: 3, bytes: 8, ...float64 },
  int32: { code: 4, bytes: 4, ...int32 },
  uint8: { code: 5, bytes: 1, ...uint8 },
}

/** The value of papo_dtype. */
export function dtypeCode(dtype: DType): number {
  return rows[dtype].code
}

/** Of one element. */
export function bytesOf(dtype: DType): number {
  return rows[dtype].bytes
}

/** All of a buffer as elements of a dtype. */
export function viewBuffer(dtype: DType, buffer: ArrayBuffer): TypedArray {
  return rows[dtype].view(buffer)
}

/** A zeroed array of this many elements; ERR_OUT_OF_MEMORY, naming the bytes, if there is none. */
export function allocate(argument: string, dtype: DType, length: number): TypedArray {
  try {
    return rows[dtype].create(length)
  } catch (cause) {
    const bytes = length * rows[dtype].bytes
    throw new PapoError('ERR_OUT_OF_MEMORY', `${argument}: expected ${bytes} bytes, got none`, {
      argument,
      cause,
    })
  }
}

export function requireDType(value: unknown): DType {
  if (typeof value === 'string' && Object.hasOwn(rows, value)) return value as DType
  throw invalid('ERR_INVALID_DTYPE', 'dtype', Object.keys(rows).join(', '), describe(value))
}

// By tag and not by instanceof: arrays of another realm (a worker's, a test runner's) count too.
function tagOf(value: unknown): string | undefined {
  if (!ArrayBuffer.isView(value)) return undefined
  return (value as { [Symbol.toStringTag]?: string })[Symbol.toStringTag]
}

function requireFixedLength(argument: string, data: TypedArray): void {
  if ((data.buffer as { resizable?: boolean }).resizable === true)
    throw invalid('ERR_INVALID_ARGUMENT', argument, 'a buffer of fixed length', 'a resizable one')
}

/**
 * The dtype of a typed array, with the array itself (a Float16Array re-viewed as its bits).
 * A Uint16Array alone does not say which 16-bit float it holds: ERR_INVALID_DTYPE.
 */
export function identify(
  argument: string,
  value: unknown,
  dtype?: DType,
): { data: TypedArray; dtype: DType } {
  const natural = naturalDType(argument, value, dtype)
  if (dtype !== undefined && dtype !== natural)
    throw invalid('ERR_INVALID_DTYPE', argument, `data of dtype ${dtype}`, describe(value))
  const data =
    tagOf(value) === 'Float16Array' ? asBits(value as Uint16Array) : (value as TypedArray)
  requireFixedLength(argument, data)
  return { data, dtype: natural }
}

function naturalDType(argument: string, value: unknown, dtype: DType | undefined): DType {
  switch (tagOf(value)) {
    case 'Float32Array':
      return 'float32'
    case 'Float64Array':
      return 'float64'
    case 'Int32Array':
      return 'int32'
    case 'Uint8Array':
      return 'uint8'
    case 'Float16Array':
      return 'float16'
    case 'Uint16Array':
      if (dtype === 'float16' || dtype === 'bfloat16') return dtype
      throw invalid(
        'ERR_INVALID_DTYPE',
        argument,
        "Tensor.from(data, { dtype: 'float16' or 'bfloat16' })",
        describe(value),
      )
    case undefined:
      throw invalid('ERR_INVALID_ARGUMENT', argument, 'a Tensor or a typed array', describe(value))
    default:
      throw invalid(
        'ERR_INVALID_DTYPE',
        argument,
        'Float32Array, Float64Array, Uint16Array, Int32Array or Uint8Array',
        describe(value),
      )
  }
}

function asBits(data: Uint16Array): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.length)
}

/** Whether an array of length 0 has lost its buffer. Node 20 has no `detached` property to ask. */
export function isDetached(data: TypedArray): boolean {
  if (data.length > 0 || data.buffer.byteLength > 0) return false
  try {
    return new Uint8Array(data.buffer).length > 0
  } catch {
    return true
  }
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

function bfloat16ToNumber(bits: number): number {
  scratchBits[0] = bits << 16
  return scratch[0]!
}

/** Reads one stored element as the number it stands for. */
export function decoder(dtype: DType): (stored: number) => number {
  if (dtype === 'float16') return float16ToNumber
  if (dtype === 'bfloat16') return bfloat16ToNumber
  return (stored) => stored
}
