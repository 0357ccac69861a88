import { lossFromLogits, lossFromLogProbs, profiles, Tensor, tokenLogProbs } from '../lib'
import type {
  LossFromLogitsOptions,
  LossFromLogProbsInputs,
  ObjectiveInput,
  TokenLogProbsOptions,
} from '../lib'
import {
  asInputs,
  B,
  detach,
  lossInputs,
  N,
  numbers,
  refusal,
  snapshot,
  T,
  V,
  values,
} from './support'
import type { Loose } from './support'

// Uses every input of lossInputs(), and lets gradient through both branches.
const everything: ObjectiveInput = { profile: 'papoExact', sftCoef: 0.1 }

function disposed(): Tensor {
  const tensor = Tensor.zeros([N])
  tensor.dispose()
  return tensor
}

function detached(): Float32Array {
  const data = new Float32Array(N)
  detach(data)
  return data
}

describe('lossFromLogits refuses', () => {
  const table: [string, Loose, string, string][] = [
    // not a tensor
    ['a plain array', { logits: [1, 2] }, 'ERR_INVALID_ARGUMENT', 'logits'],
    ['null', { tokens: null }, 'ERR_INVALID_ARGUMENT', 'tokens'],
    ['a string', { oldLogProbs: 'abc' }, 'ERR_INVALID_ARGUMENT', 'oldLogProbs'],
    ['missing logits', { logits: undefined }, 'ERR_INVALID_ARGUMENT', 'logits'],
    ['missing tokens', { tokens: undefined }, 'ERR_INVALID_ARGUMENT', 'tokens'],
    ['missing advantages', { advantages: undefined }, 'ERR_INVALID_ARGUMENT', 'advantages'],
    ['a misspelt input', { oldLogprobs: numbers(N, 1) }, 'ERR_INVALID_ARGUMENT', 'oldLogprobs'],
    [
      'both kinds of masked branch',
      { maskedLogProbs: numbers(N, 1) },
      'ERR_INVALID_ARGUMENT',
      'maskedLogits',
    ],
    ['no masked branch', { maskedLogits: undefined }, 'ERR_INVALID_ARGUMENT', 'maskedLogits'],
    ['no sftMask', { sftMask: undefined }, 'ERR_INVALID_ARGUMENT', 'sftMask'],
    // dtype
    ['float64 logits', { logits: new Float64Array(N * V) }, 'ERR_INVALID_DTYPE', 'logits'],
    ['int32 logits', { logits: new Int32Array(N * V) }, 'ERR_INVALID_DTYPE', 'logits'],
    [
      '16-bit logits of no dtype',
      { logits: new Uint16Array(N * V) },
      'ERR_INVALID_DTYPE',
      'logits',
    ],
    [
      'other masked logits',
      { maskedLogits: new Float64Array(N * V) },
      'ERR_INVALID_DTYPE',
      'maskedLogits',
    ],
    ['float tokens', { tokens: new Float32Array(N) }, 'ERR_INVALID_DTYPE', 'tokens'],
    ['a float mask', { responseMask: new Float32Array(N) }, 'ERR_INVALID_DTYPE', 'responseMask'],
    ['float64 log-probs', { oldLogProbs: new Float64Array(N) }, 'ERR_INVALID_DTYPE', 'oldLogProbs'],
    ['a BigInt64Array', { tokens: new BigInt64Array(N) }, 'ERR_INVALID_DTYPE', 'tokens'],
    // shape
    ['an empty batch', { tokens: new Int32Array(0) }, 'ERR_INVALID_SHAPE', 'tokens'],
    ['short logits', { logits: new Float32Array(N * V - 1) }, 'ERR_INVALID_SHAPE', 'logits'],
    ['logits of other rows', { logits: Tensor.zeros([N + 1, V]) }, 'ERR_INVALID_SHAPE', 'logits'],
    [
      'logits of four dimensions',
      { logits: Tensor.zeros([1, B, T, V]) },
      'ERR_INVALID_SHAPE',
      'logits',
    ],
    [
      'another vocabulary',
      { maskedLogits: Tensor.zeros([N, V + 1]) },
      'ERR_INVALID_SHAPE',
      'maskedLogits',
    ],
    [
      'tokens of three dimensions',
      { tokens: Tensor.zeros([1, B, T], 'int32') },
      'ERR_INVALID_SHAPE',
      'tokens',
    ],
    ['a short mask', { responseMask: new Uint8Array(N - 1) }, 'ERR_INVALID_SHAPE', 'responseMask'],
    [
      'a transposed tensor',
      { oldLogProbs: Tensor.zeros([T, B]) },
      'ERR_INVALID_SHAPE',
      'oldLogProbs',
    ],
    [
      'values with gaps',
      { refLogProbs: Tensor.from(new Float32Array(8), { shape: [B, T], rowStride: 4 }) },
      'ERR_INVALID_SHAPE',
      'refLogProbs',
    ],
    [
      'advantages of another length',
      { advantages: numbers(4, 1) },
      'ERR_INVALID_SHAPE',
      'advantages',
    ],
    [
      'weights of another length',
      { tokenWeights: numbers(N + 1, 1) },
      'ERR_INVALID_SHAPE',
      'tokenWeights',
    ],
    ['cuSeqlens of one number', { cuSeqlens: [0] }, 'ERR_INVALID_SHAPE', 'cuSeqlens'],
    // values
    [
      'a token below 0',
      { tokens: Int32Array.of(0, -1, 2, 1, 3, 0) },
      'ERR_INVALID_VALUE',
      'tokens',
    ],
    ['a token of V', { tokens: Int32Array.of(0, V, 2, 1, 3, 0) }, 'ERR_INVALID_VALUE', 'tokens'],
    [
      'a mask of 2',
      { responseMask: Uint8Array.of(1, 2, 1, 1, 1, 1) },
      'ERR_INVALID_VALUE',
      'responseMask',
    ],
    ['an sftMask of 2', { sftMask: Uint8Array.of(2, 0) }, 'ERR_INVALID_VALUE', 'sftMask'],
    ['cuSeqlens that end early', { cuSeqlens: [0, 2, 5] }, 'ERR_INVALID_VALUE', 'cuSeqlens'],
    ['cuSeqlens that start late', { cuSeqlens: [1, 2, 6] }, 'ERR_INVALID_VALUE', 'cuSeqlens'],
    [
      'cuSeqlens that fall',
      {
        cuSeqlens: [0, 4, 3, 6],
        advantages: numbers(3, 1),
        tokenWeights: undefined,
        perceptionWeights: undefined,
        sftMask: new Uint8Array(3),
      },
      'ERR_INVALID_VALUE',
      'cuSeqlens',
    ],
    ['broken cuSeqlens', { cuSeqlens: [0, 2.5, 6] }, 'ERR_INVALID_VALUE', 'cuSeqlens'],
    ['cuSeqlens of text', { cuSeqlens: '0,3,6' }, 'ERR_INVALID_ARGUMENT', 'cuSeqlens'],
    // lifetime
    ['a disposed tensor', { oldLogProbs: disposed() }, 'ERR_DISPOSED', 'oldLogProbs'],
    ['a detached array', { refLogProbs: detached() }, 'ERR_DETACHED', 'refLogProbs'],
  ]

  test.each(table)('%s', (_, changed, code, argument) => {
    const inputs: Loose = { ...lossInputs(), ...changed }
    const logitsGrad = Tensor.from(new Float32Array(N * V).fill(7), { shape: [N, V] })
    const before = snapshot({ ...inputs, logitsGrad })
    expect(refusal(() => lossFromLogits(asInputs(inputs), everything, { logitsGrad }))).toEqual({
      code,
      argument,
    })
    expect(snapshot({ ...inputs, logitsGrad })).toEqual(before)
  })

  test.each(['inputs', null, undefined, [1], new Float32Array(3)])('%p as inputs', (inputs) => {
    expect(refusal(() => lossFromLogits(inputs as never))).toEqual({
      code: 'ERR_INVALID_ARGUMENT',
      argument: 'inputs',
    })
  })

  test('a tensor that lost its buffer after it was made', () => {
    const data = new Float32Array(N * V)
    const logits = Tensor.from(data, { shape: [B, T, V] })
    detach(data)
    expect(refusal(() => lossFromLogits({ ...lossInputs(), logits }))).toEqual({
      code: 'ERR_DETACHED',
      argument: 'logits',
    })
  })

  test('advantages per token that leave the responses open', () => {
    const { logits, maskedLogits } = lossInputs()
    const flat = {
      logits: Tensor.from(logits.data, { shape: [N, V] }),
      maskedLogits: Tensor.from(maskedLogits.data, { shape: [N, V] }),
      tokens: new Int32Array(N),
      advantages: numbers(N, 1),
    }
    const expected = { code: 'ERR_INVALID_SHAPE', argument: 'cuSeqlens' }
    expect(refusal(() => lossFromLogits(flat))).toEqual(expected)
    expect(lossFromLogits({ ...flat, cuSeqlens: [0, N] }).metrics.responseCount).toBe(1)
  })
})

describe('options of lossFromLogits: refuses', () => {
  const policyOnly = profiles.papoG
  const table: [string, Loose, ObjectiveInput, string, string][] = [
    ['an unknown option', { gradients: 'none' }, everything, 'ERR_INVALID_OPTION', 'gradients'],
    ['an unknown gradient mode', { gradient: 'old' }, everything, 'ERR_INVALID_OPTION', 'gradient'],
    ['perToken of no boolean', { perToken: 1 }, everything, 'ERR_INVALID_OPTION', 'perToken'],
    ['gradNorm of no boolean', { gradNorm: 'yes' }, everything, 'ERR_INVALID_OPTION', 'gradNorm'],
    [
      'gradNorm without gradient',
      { gradNorm: true, gradient: 'none' },
      everything,
      'ERR_INVALID_OPTION',
      'gradNorm',
    ],
    [
      'a destination of another shape',
      { logitsGrad: Tensor.zeros([N, V + 1]) },
      everything,
      'ERR_INVALID_SHAPE',
      'logitsGrad',
    ],
    [
      'a destination of another dtype',
      { logitsGrad: Tensor.zeros([N, V], 'float16') },
      everything,
      'ERR_INVALID_DTYPE',
      'logitsGrad',
    ],
    [
      'a destination that is in place',
      { gradient: 'inPlace', logitsGrad: Tensor.zeros([N, V]) },
      everything,
      'ERR_INVALID_ARGUMENT',
      'logitsGrad',
    ],
    [
      'a destination without gradient',
      { gradient: 'none', logitsGrad: Tensor.zeros([N, V]) },
      everything,
      'ERR_INVALID_ARGUMENT',
      'logitsGrad',
    ],
    [
      'a destination where no gradient flows',
      { maskedLogitsGrad: Tensor.zeros([N, V]) },
      policyOnly,
      'ERR_INVALID_ARGUMENT',
      'maskedLogitsGrad',
    ],
  ]

  test.each(table)('%s', (_, options, objective, code, argument) => {
    const inputs = lossInputs()
    const before = snapshot({ ...inputs, ...options })
    const call = () => lossFromLogits(inputs, objective, options as LossFromLogitsOptions)
    expect(refusal(call)).toEqual({ code, argument })
    expect(snapshot({ ...inputs, ...options })).toEqual(before)
  })
})

describe('memory that overlaps', () => {
  const memory = () => numbers(2 * N * V, 1)
  const at = (data: Float32Array, offset: number) =>
    Tensor.from(data.subarray(offset, offset + N * V), { shape: [N, V] })

  test.each([
    ['a gradient that begins inside the logits', 1],
    ['a gradient that ends inside the logits', N * V - 1],
  ])('%s', (_, offset) => {
    const data = memory()
    const before = Array.from(data)
    const inputs = { ...lossInputs(), logits: at(data, 0) }
    expect(
      refusal(() => lossFromLogits(inputs, everything, { logitsGrad: at(data, offset) })),
    ).toEqual({ code: 'ERR_OVERLAP', argument: 'logitsGrad' })
    expect(Array.from(data)).toEqual(before)
  })

  test('a gradient on the logits of the other branch', () => {
    const inputs = lossInputs()
    const before = snapshot(inputs)
    expect(
      refusal(() => lossFromLogits(inputs, everything, { logitsGrad: inputs.maskedLogits })),
    ).toEqual({ code: 'ERR_OVERLAP', argument: 'logitsGrad' })
    expect(snapshot(inputs)).toEqual(before)
  })

  test('one memory for both gradients', () => {
    const logitsGrad = Tensor.zeros([N, V])
    const options = { logitsGrad, maskedLogitsGrad: logitsGrad }
    expect(refusal(() => lossFromLogits(lossInputs(), everything, options)).code).toBe(
      'ERR_OVERLAP',
    )
  })

  test('in place where both branches are the same logits', () => {
    const { logits, ...rest } = lossInputs()
    const inputs = { ...rest, logits, maskedLogits: logits }
    const before = snapshot(inputs)
    expect(refusal(() => lossFromLogits(inputs, everything, { gradient: 'inPlace' })).code).toBe(
      'ERR_OVERLAP',
    )
    expect(snapshot(inputs)).toEqual(before)
  })

  test('inputs may share memory among themselves', () => {
    const inputs = lossInputs()
    const result = lossFromLogits({ ...inputs, refLogProbs: inputs.oldLogProbs }, everything)
    expect(result.loss).not.toBeNaN()
  })
})

describe('lossFromLogProbs refuses', () => {
  const inputs = () => ({
    logProbs: Tensor.from(numbers(N, 1), { shape: [B, T] }),
    maskedLogProbs: numbers(N, 2),
    advantages: numbers(B, 3),
  })
  const table: [string, Loose, ObjectiveInput, string, string][] = [
    ['missing log-probs', { logProbs: undefined }, 'papoG', 'ERR_INVALID_ARGUMENT', 'logProbs'],
    [
      'no masked branch',
      { maskedLogProbs: undefined },
      'papoG',
      'ERR_INVALID_ARGUMENT',
      'maskedLogProbs',
    ],
    ['logits', { logits: numbers(N * V, 1) }, 'papoG', 'ERR_INVALID_ARGUMENT', 'logits'],
    [
      'no exact KL',
      {},
      { perceptionKlEstimator: 'exact' },
      'ERR_INVALID_ARGUMENT',
      'exactPerceptionKl',
    ],
    ['no entropies', {}, { entropyEstimator: 'exact' }, 'ERR_INVALID_ARGUMENT', 'entropies'],
    [
      'no entropies to choose by',
      {},
      { topEntropyFraction: 0.5 },
      'ERR_INVALID_ARGUMENT',
      'entropies',
    ],
    ['a matrix', { logProbs: Tensor.zeros([B, T, V]) }, 'papoG', 'ERR_INVALID_SHAPE', 'logProbs'],
    [
      'a short branch',
      { maskedLogProbs: numbers(N - 1, 1) },
      'papoG',
      'ERR_INVALID_SHAPE',
      'maskedLogProbs',
    ],
    ['float64', { logProbs: new Float64Array(N) }, 'papoG', 'ERR_INVALID_DTYPE', 'logProbs'],
  ]

  test.each(table)('%s', (_, changed, objective, code, argument) => {
    const changedInputs = { ...inputs(), ...changed } as LossFromLogProbsInputs
    expect(refusal(() => lossFromLogProbs(changedInputs, objective))).toEqual({ code, argument })
  })

  test('gradient options, which belong to logits', () => {
    const options = { gradient: 'none' } as object
    expect(refusal(() => lossFromLogProbs(inputs(), 'papoG', options))).toEqual({
      code: 'ERR_INVALID_OPTION',
      argument: 'gradient',
    })
  })

  test('but no masked branch is needed where nothing weighs it', () => {
    const { maskedLogProbs: _, ...rest } = inputs()
    const result = lossFromLogProbs(rest, 'grpo')
    expect(result.maskedLogProbs).toBeUndefined()
    expect(result.maskedLogProbsGrad).toBeUndefined()
  })
})

describe('tokenLogProbs refuses', () => {
  test.each([
    ['a temperature of 0', {}, { temperature: 0 }, 'ERR_INVALID_OPTION', 'temperature'],
    ['a NaN temperature', {}, { temperature: NaN }, 'ERR_INVALID_OPTION', 'temperature'],
    ['an unknown option', {}, { entropy: true }, 'ERR_INVALID_OPTION', 'entropy'],
    ['an unknown input', { mask: 1 }, {}, 'ERR_INVALID_ARGUMENT', 'mask'],
    ['a token of V', { tokens: new Int32Array(N).fill(V) }, {}, 'ERR_INVALID_VALUE', 'tokens'],
    ['a short mask', { responseMask: new Uint8Array(2) }, {}, 'ERR_INVALID_SHAPE', 'responseMask'],
  ])('%s', (_, changed, options, code, argument) => {
    const { logits, tokens } = lossInputs()
    const inputs = { logits, tokens, ...changed }
    const call = () => tokenLogProbs(inputs, options as TokenLogProbsOptions)
    expect(refusal(call)).toEqual({ code, argument })
  })

  test('nothing else: a masked row may hold any token', () => {
    const { logits } = lossInputs()
    const tokens = Int32Array.of(0, 1, 2, 3, 4, -7)
    const responseMask = Uint8Array.of(1, 1, 1, 1, 1, 0)
    const { logProbs } = tokenLogProbs({ logits, tokens, responseMask })
    expect(values(logProbs)[N - 1]).toBe(0)
  })
})
