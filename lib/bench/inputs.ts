// Inputs of the benchmark: the same numbers for every engine and peer.
import { Tensor, tokenLogProbs } from '../index'
import type { Engine, TypedArray } from '../index'
import type { LogitsDType } from './cases'
import { place } from './place'

/** Tokens of a response, the last one of a call excepted. */
const responseLength = 16
// A prime, so that rows and slots that start anywhere in the pool differ.
const poolSize = 1_048_573
const imageSeed = 1
const maskedSeed = 2

/** Logits are copied from a pool of random numbers: drawing each of 10^8 would take minutes. */
export class LogitsPool {
  private static readonly made = new Map<LogitsDType, LogitsPool>()

  static of(dtype: LogitsDType): LogitsPool {
    const known = LogitsPool.made.get(dtype) ?? new LogitsPool(dtype)
    LogitsPool.made.set(dtype, known)
    return known
  }

  private readonly image: TypedArray
  private readonly masked: TypedArray

  private constructor(private readonly dtype: LogitsDType) {
    const image = normals(poolSize, imageSeed, 3)
    const masked = normals(poolSize, maskedSeed, 1)
    for (let i = 0; i < poolSize; i++) masked[i]! += image[i]!
    this.image = encoded(image, dtype)
    this.masked = encoded(masked, dtype)
  }

  tensor(branch: 'image' | 'masked', rows: number, vocabSize: number, offset: number): Tensor {
    const tensor = Tensor.zeros([rows, vocabSize], this.dtype)
    this.fill(tensor, branch, offset)
    return tensor
  }

  fill(tensor: Tensor, branch: 'image' | 'masked', offset: number): void {
    const { data } = tensor
    const pool = this[branch]
    let from = offset % poolSize
    for (let at = 0; at < data.length; ) {
      const part = pool.subarray(from, Math.min(poolSize, from + data.length - at))
      data.set(part, at)
      at += part.length
      from = 0
    }
  }
}

/** Sums of four uniform numbers: near enough to normal, and fast. */
function normals(count: number, seed: number, deviation: number): Float32Array {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0 // Numerical Recipes
    return state / 2 ** 32
  }
  const scale = deviation * Math.sqrt(3)
  const numbers = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    numbers[i] = (uniform() + uniform() + uniform() + uniform() - 2) * scale
  }
  return numbers
}

function encoded(values: Float32Array, dtype: LogitsDType): TypedArray {
  if (dtype === 'float32') return values
  const bits = new Uint32Array(values.buffer)
  const stored = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    stored[i] = dtype === 'float16' ? float16Bits(values[i]!) : bfloat16Bits(bits[i]!)
  }
  return stored
}

/** Of the bits of a finite float32; to nearest, ties to even. */
function bfloat16Bits(bits: number): number {
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** Of finite values inside the range of float16. */
function float16Bits(value: number): number {
  const magnitude = Math.abs(value)
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude))
  const fraction = Math.round(magnitude * 2 ** (10 - exponent))
  return (value < 0 ? 0x8000 : 0) + (exponent + 14) * 1024 + fraction
}

/** What a loss takes besides logits. */
export interface TokenValues {
  readonly tokens: Int32Array
  readonly responseMask: Uint8Array
  readonly oldLogProbs: Float32Array | Float64Array
  readonly refLogProbs: Float32Array | Float64Array
  /** Per response. */
  readonly advantages: Float32Array | Float64Array
  readonly cuSeqlens: Int32Array
}

/** On the host. Old and reference policy are near the current one: clipping and KL are ordinary. */
export function tokenValues(logits: Tensor, engine: Engine): TokenValues {
  const [rows, vocabSize] = logits.shape as readonly [number, number]
  const tokens = Int32Array.from({ length: rows }, (_, n) => (n * 7919 + 13) % vocabSize)
  const call = { logits: place(engine, logits), tokens: place(engine, tokens) }
  const logProbs = tokenLogProbs(call, { engine }).logProbs.toFloat32Array()
  const responses = Math.ceil(rows / responseLength)
  const starts = Array.from({ length: responses + 1 }, (_, b) => Math.min(rows, b * responseLength))
  const near = (seed: number) => {
    const noise = normals(rows, seed, 0.1)
    return values(engine, rows, (n) => logProbs[n]! + noise[n]!)
  }
  return {
    tokens,
    responseMask: new Uint8Array(rows).fill(1),
    oldLogProbs: near(3),
    refLogProbs: near(4),
    advantages: values(engine, responses, (b) => (b % 2 === 0 ? 0.75 : -0.5)),
    cuSeqlens: Int32Array.from(starts),
  }
}

/** The reference engine takes per-token values in float64, the others in float32. */
export function values(
  engine: Engine,
  length: number,
  value: (index: number) => number,
): Float32Array | Float64Array {
  const numbers = Array.from({ length }, (_, i) => value(i))
  return engine.instructionSet === 'reference'
    ? Float64Array.from(numbers)
    : Float32Array.from(numbers)
}
