// Properties of valid calls, over random shapes, dtypes and numbers.
import fc from 'fast-check'

import {
  Engine,
  groupAdvantages,
  instructionSets,
  lossFromLogits,
  reinforcePlusPlusAdvantages,
  Tensor,
  tokenLogProbs,
} from '../lib'
import type { LossFromLogitsInputs, LossFromLogitsResult, TypedArray } from '../lib'
import { numbers } from './support'

const budget = { seed: 20250707, numRuns: 100 }

// --- random calls ------------------------------------------------------------------------------------

interface Batch {
  readonly B: number
  readonly T: number
  readonly V: number
  readonly seed: number
}

const batches = fc.record({
  B: fc.integer({ min: 1, max: 4 }),
  T: fc.integer({ min: 1, max: 5 }),
  V: fc.integer({ min: 1, max: 70 }),
  seed: fc.integer({ min: 1, max: 1e6 }),
})
const profileNames = fc.constantFrom('papoG', 'papoExact', 'grpo', 'dapo', 'gspo', 'cispo')

/** Numbers of a batch, response after response. */
interface BatchValues {
  readonly logits: Float32Array
  readonly maskedLogits: Float32Array
  readonly tokens: Int32Array
  readonly responseMask: Uint8Array
  readonly oldLogProbs: Float32Array
  readonly refLogProbs: Float32Array
  readonly advantages: Float32Array
}

function valuesOf({ B, T, V, seed }: Batch): BatchValues {
  const N = B * T
  const logits = numbers(N * V, seed).map((x) => 4 * x)
  const perToken = (salt: number) => numbers(N, seed + salt).map((x) => -Math.log(V) - 1 + 0.3 * x)
  return {
    logits,
    maskedLogits: numbers(N * V, seed + 1).map((x, i) => logits[i]! + x),
    tokens: Int32Array.from({ length: N }, (_, i) => (seed * 31 + i * 7) % V),
    responseMask: Uint8Array.from({ length: N }, (_, i) => Number((seed + i) % 4 !== 0)),
    oldLogProbs: perToken(2),
    refLogProbs: perToken(3),
    advantages: numbers(B, seed + 4),
  }
}

/** Each array of the values under a shape, logits with the vocabulary behind it. */
function inputsOf(values: BatchValues, shape: readonly number[], V: number): LossFromLogitsInputs {
  const matrix = (data: TypedArray) => Tensor.from(data, { shape: [...shape, V] })
  const vector = (data: TypedArray) => Tensor.from(data, { shape })
  return {
    logits: matrix(values.logits),
    maskedLogits: matrix(values.maskedLogits),
    tokens: vector(values.tokens),
    responseMask: vector(values.responseMask),
    oldLogProbs: vector(values.oldLogProbs),
    refLogProbs: vector(values.refLogProbs),
    advantages: values.advantages,
  }
}

/** The arrays of a result by name. */
function arrays(result: LossFromLogitsResult): [string, number[]][] {
  return Object.entries(result).flatMap(([name, value]) =>
    value instanceof Tensor ? [[name, Array.from(value.data)] as [string, number[]]] : [],
  )
}

// --- shapes ------------------------------------------------------------------------------------------

const bytesOf: Record<string, number> = { float32: 4, float16: 2, bfloat16: 2, float64: 8 }

test('a tensor shows its elements, whatever its shape, stride and dtype', () => {
  const dtypes = fc.constantFrom('float32', 'float16', 'bfloat16', 'float64', 'int32', 'uint8')
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
  const round = fc.property(shapes, dtypes, fc.nat(3), fc.boolean(), (shape, dtype, gap, full) => {
    const columns = shape[shape.length - 1]!
    const rows = shape.reduce((product, n) => product * n, 1) / columns
    const rowStride = columns + gap
    const length = full ? rows * rowStride : (rows - 1) * rowStride + columns
    const { data } = Tensor.zeros([length], dtype)
    // 0x3c00 + k is 1 + k/1024 in float16 and in bfloat16 a small number: both exact in float32.
    for (let i = 0; i < length; i++) data[i] = bytesOf[dtype] === 2 ? 0x3c00 + i : i % 256
    const tensor = Tensor.from(data, { shape, dtype, rowStride })
    expect(tensor.shape).toEqual(shape)
    expect(tensor.data).toBe(data)
    const seen = tensor.toFloat32Array()
    const all = Tensor.from(data, { dtype }).toFloat32Array()
    for (let row = 0, i = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, i++)
        if (seen[i] !== all[row * rowStride + column]) throw new Error(`element ${i}`)
    expect(seen.length).toBe(rows * columns)
  })
  fc.assert(round, budget)
})

test('[B, T, V], [N, V] with cuSeqlens and padded rows are the same call', () => {
  const same = fc.property(batches, profileNames, fc.nat(5), (batch, profile, gap) => {
    const { B, T, V } = batch
    const N = B * T
    const values = valuesOf(batch)
    const cube = lossFromLogits(inputsOf(values, [B, T], V), profile)
    const cuSeqlens = Int32Array.from({ length: B + 1 }, (_, b) => b * T)
    const packed = lossFromLogits({ ...inputsOf(values, [N], V), cuSeqlens }, profile)
    expect(arrays(packed)).toEqual(arrays(cube))
    expect(packed.metrics).toEqual(cube.metrics)
    const padded = Tensor.from(spread(values.logits, V, V + gap), {
      shape: [B, T, V],
      rowStride: V + gap,
    })
    const strided = lossFromLogits({ ...inputsOf(values, [B, T], V), logits: padded }, profile)
    expect(arrays(strided)).toEqual(arrays(cube))
  })
  fc.assert(same, budget)
})

/** Rows with NaN between them. */
function spread(data: Float32Array, columns: number, stride: number): Float32Array {
  const out = new Float32Array((data.length / columns) * stride).fill(NaN)
  for (let row = 0; row * columns < data.length; row++)
    out.set(data.subarray(row * columns, (row + 1) * columns), row * stride)
  return out
}

// --- gradients in place, log-probs alone -------------------------------------------------------------

test('in place, into given tensors and anew are the same gradients', () => {
  const same = fc.property(batches, profileNames, (batch, profile) => {
    const { B, T, V } = batch
    const fresh = lossFromLogits(inputsOf(valuesOf(batch), [B, T], V), profile)
    const logitsGrad = Tensor.zeros([B, T, V])
    logitsGrad.data.fill(7)
    const given = lossFromLogits(inputsOf(valuesOf(batch), [B, T], V), profile, { logitsGrad })
    const own = inputsOf(valuesOf(batch), [B, T], V)
    const inPlace = lossFromLogits(own, profile, { gradient: 'inPlace' })
    expect(given.logitsGrad).toBe(logitsGrad)
    expect(inPlace.logitsGrad).toBe(own.logits)
    expect(arrays(given)).toEqual(arrays(fresh))
    expect(arrays(inPlace)).toEqual(arrays(fresh))
  })
  fc.assert(same, budget)
})

test('the loss and tokenLogProbs give the same log-probs', () => {
  const same = fc.property(batches, (batch) => {
    const { B, T, V } = batch
    const inputs = inputsOf(valuesOf(batch), [B, T], V)
    const { logits, tokens, responseMask } = inputs
    const alone = tokenLogProbs({ logits, tokens, responseMask: responseMask! })
    expect(alone.logProbs.data).toEqual(lossFromLogits(inputs).logProbs.data)
  })
  fc.assert(same, budget)
})

// --- responses in another order ----------------------------------------------------------------------

function permuted<Data extends TypedArray>(data: Data, order: readonly number[]): Data {
  const size = data.length / order.length
  const out = data.slice() as Data
  order.forEach((from, to) => {
    out.set(data.subarray(from * size, (from + 1) * size), to * size)
  })
  return out
}

const orders = batches.chain((batch) =>
  fc.tuple(
    fc.constant(batch),
    fc.shuffledSubarray(
      Array.from({ length: batch.B }, (_, b) => b),
      { minLength: batch.B },
    ),
  ),
)

test('responses in another order have the same values, bit by bit', () => {
  const same = fc.property(orders, profileNames, ([batch, order], profile) => {
    const { B, T, V } = batch
    const values = valuesOf(batch)
    const moved = Object.fromEntries(
      Object.entries(values).map(([name, data]) => [name, permuted(data, order)]),
    ) as unknown as BatchValues
    const before = lossFromLogits(inputsOf(values, [B, T], V), profile)
    const after = lossFromLogits(inputsOf(moved, [B, T], V), profile)
    const expected = arrays(before).map(([name, data]) => {
      return [name, Array.from(permuted(Float32Array.from(data), order))]
    })
    expect(arrays(after)).toEqual(expected)
    // A sum in another order, in float64.
    expect(Math.abs(after.loss - before.loss) <= 1e-14 * B * T).toBe(true)
  })
  fc.assert(same, budget)
})

test('rewards in another order have the same advantages, bit by bit', () => {
  const estimators = fc.constantFrom('grpo', 'drGrpo', 'rloo')
  const pairs = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer()), {
    minLength: 1,
    maxLength: 12,
  })
  // Two of each id next to each other, so that no order changes the order of a group's sum.
  const same = fc.property(pairs, estimators, fc.integer(), (list, estimator, seed) => {
    const distinct = [...new Map(list.map(([reward, id]) => [id, reward]))]
    const rewards = distinct.flatMap(([, reward]) => [reward, reward + 1])
    const groupIds = distinct.flatMap(([id]) => [id, id])
    const order = distinct.map((_, i) => i).sort((a, b) => ((a * seed) % 7) - ((b * seed) % 7))
    const options = { estimator, scale: 'group' } as const
    const before = groupAdvantages(Float32Array.from(rewards), Int32Array.from(groupIds), options)
    const after = groupAdvantages(
      permuted(Float32Array.from(rewards), order),
      permuted(Int32Array.from(groupIds), order),
      options,
    )
    expect(after.data).toEqual(permuted(before.data, order))
  })
  fc.assert(same, budget)
})

test('per-token advantages of [B, T] are those of [N] with cuSeqlens', () => {
  const same = fc.property(batches, ({ B, T, seed }) => {
    fc.pre(B * T >= 2)
    const data = numbers(B * T, seed)
    const responseMask = new Uint8Array(B * T).fill(1)
    const cuSeqlens = Int32Array.from({ length: B + 1 }, (_, b) => b * T)
    const square = reinforcePlusPlusAdvantages({
      rewards: Tensor.from(data, { shape: [B, T] }),
      responseMask: Tensor.from(responseMask, { shape: [B, T] }),
    })
    const packed = reinforcePlusPlusAdvantages({ rewards: data, responseMask, cuSeqlens })
    expect(packed.advantages.data).toEqual(square.advantages.data)
    expect(packed.returns.data).toEqual(square.returns.data)
  })
  fc.assert(same, budget)
})

// --- engines -----------------------------------------------------------------------------------------

// Of values in float32, log-probs of about 10 and exponentials of their differences.
const isNear = (x: number, exact: number) => Math.abs(x - exact) <= 2e-5 * (1 + Math.abs(exact))

function toDouble(inputs: LossFromLogitsInputs): LossFromLogitsInputs {
  const entries = Object.entries(inputs).map(([name, value]) => {
    if (value instanceof Tensor && value.dtype === 'float32')
      return [name, Tensor.from(Float64Array.from(value.data), { shape: value.shape })]
    return [name, value instanceof Float32Array ? Float64Array.from(value) : value]
  })
  return Object.fromEntries(entries) as LossFromLogitsInputs
}

test('every engine agrees with the reference', () => {
  using reference = Engine.open({ instructionSet: 'reference', threads: 1 })
  for (const instructionSet of instructionSets()) {
    if (instructionSet === 'reference') continue
    using engine = Engine.open({ instructionSet, threads: 2 })
    const agree = fc.property(batches, profileNames, (batch, profile) => {
      const { B, T, V } = batch
      const inputs = inputsOf(valuesOf(batch), [B, T], V)
      const ours = lossFromLogits(inputs, profile, { engine })
      const exact = lossFromLogits(toDouble(inputs), profile, { engine: reference })
      expect(isNear(ours.loss, exact.loss)).toBe(true)
      const expected = new Map(arrays(exact))
      for (const [name, data] of arrays(ours)) {
        const worst = data.findIndex((x, i) => !isNear(x, expected.get(name)![i]!))
        expect([name, worst]).toEqual([name, -1])
      }
    })
    fc.assert(agree, budget)
  }
})
