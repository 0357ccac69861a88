import { PapoError, Tensor } from '../lib'
import type { LossFromLogitsInputs, PapoErrorCode, TypedArray } from '../lib'

/** Code and argument of the PapoError that body throws; fails where it throws none. */
export function refusal(body: () => unknown): { code: PapoErrorCode; argument?: string } {
  try {
    body()
  } catch (error) {
    if (!(error instanceof PapoError)) throw error
    const { code, argument } = error
    return argument === undefined ? { code } : { code, argument }
  }
  throw new Error('expected a PapoError, but nothing was thrown')
}

export const B = 2
export const T = 3
export const V = 5
export const N = B * T

/** Repeatable numbers in (-1, 1). */
export function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed))
}

function logProbs(seed: number): Float32Array {
  return numbers(N, seed).map((x) => -1.5 + 0.5 * x)
}

/** Inputs of a call in which every argument is there: 2 responses of 3 tokens, 5 words. */
export function lossInputs() {
  return {
    logits: Tensor.from(numbers(N * V, 1), { shape: [B, T, V] }),
    maskedLogits: Tensor.from(numbers(N * V, 2), { shape: [B, T, V] }),
    tokens: Tensor.from(Int32Array.of(0, 4, 2, 1, 3, 0), { shape: [B, T] }),
    responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
    oldLogProbs: logProbs(3),
    refLogProbs: logProbs(4),
    advantages: Float32Array.of(0.7, -1.1),
    tokenWeights: Float32Array.of(1, 0.5),
    perceptionWeights: Float32Array.of(1, 2),
    sftMask: Uint8Array.of(1, 0),
  } satisfies LossFromLogitsInputs
}

/** Inputs as JavaScript may pass them: anything under any name. */
export type Loose = Record<string, unknown>

export function asInputs(inputs: Loose): LossFromLogitsInputs {
  return inputs as unknown as LossFromLogitsInputs
}

/** A copy of every array in use behind these values, to be compared after a call. */
export function snapshot(values: Loose): Record<string, number[]> {
  const copies: Record<string, number[]> = {}
  for (const [name, value] of Object.entries(values)) {
    const data = arrayOf(value)
    if (data !== undefined && data.length > 0) copies[name] = Array.from(data)
  }
  return copies
}

function arrayOf(value: unknown): TypedArray | undefined {
  if (value instanceof Tensor) return value.disposed ? undefined : value.data
  return ArrayBuffer.isView(value) && 'length' in value ? (value as TypedArray) : undefined
}

/** The values of a tensor as plain numbers. */
export function values(tensor: Tensor | undefined): number[] {
  if (tensor === undefined) throw new Error('expected a tensor, got none')
  return Array.from(tensor.data)
}

/** Moves the buffer behind a typed array away, as postMessage does. */
export function detach(data: TypedArray): void {
  structuredClone(data.buffer, { transfer: [data.buffer as ArrayBuffer] })
}
