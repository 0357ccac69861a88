import {
  Engine,
  instructionSets,
  lossFromLogits,
  lossFromLogitsAsync,
  lossFromLogProbs,
  responseRowIndex,
  Tensor,
  tokenLogProbs,
} from '../lib'
import type { LossFromLogitsInputs, ObjectiveInput, PackedLengths, TypedArray } from '../lib'
import type { LossCase } from '../lib/golden/case'
import { ownCases, readCases } from '../lib/golden/read'
import { asInputs, B, lossInputs, N, numbers, refusal, snapshot, T, V, values } from './support'
import type { Loose } from './support'

const everything: ObjectiveInput = { profile: 'papoExact', sftCoef: 0.1 }

/** Copies row i of values to row index[i] of `rows` rows; the others are NaN. */
function scattered<Data extends TypedArray>(
  data: Data,
  columns: number,
  index: Int32Array,
  rows: number,
): Data {
  const out = data.constructor as new (length: number) => Data
  const target = new out(rows * columns).fill(NaN) as Data
  for (const [i, row] of index.entries())
    target.set(data.subarray(i * columns, (i + 1) * columns), row * columns)
  return target
}

/** Row index[i] of a gradient for each token i. */
function gathered(gradient: Tensor | undefined, columns: number, index: Int32Array): number[] {
  const data = values(gradient)
  return [...index].flatMap((row) => data.slice(row * columns, (row + 1) * columns))
}

const index = Int32Array.of(7, 0, 3, 8, 2, 5)
const R = 10

function scatteredInputs() {
  const inputs = lossInputs()
  const matrix = (tensor: Tensor) =>
    Tensor.from(scattered(tensor.data, V, index, R), { shape: [R, V] })
  return {
    ...inputs,
    logits: matrix(inputs.logits),
    maskedLogits: matrix(inputs.maskedLogits),
    rowIndex: index,
  } satisfies LossFromLogitsInputs
}

describe('a row index', () => {
  test.each(['inPlace', 'new', 'none'] as const)('gives what sliced rows give (%s)', (gradient) => {
    const options = { gradient, gradNorm: gradient !== 'none' }
    const sliced = lossFromLogits(lossInputs(), everything, options)
    const result = lossFromLogits(scatteredInputs(), everything, options)
    const { logitsGrad, maskedLogitsGrad, ...rest } = result
    const { logitsGrad: grad, maskedLogitsGrad: maskedGrad, ...expected } = sliced
    expect(rest).toEqual(expected)
    if (gradient === 'none') return
    expect(logitsGrad?.shape).toEqual([R, V])
    expect(gathered(logitsGrad, V, index)).toEqual(values(grad))
    expect(gathered(maskedLogitsGrad, V, index)).toEqual(values(maskedGrad))
    const unused = Int32Array.of(1, 4, 6, 9)
    expect(gathered(logitsGrad, V, unused)).toEqual(new Array(4 * V).fill(0))
    expect(gathered(maskedLogitsGrad, V, unused)).toEqual(new Array(4 * V).fill(0))
  })

  test('gives the results the shape of the tokens, whatever that of the logits', () => {
    const inputs = scatteredInputs()
    const logits = Tensor.from(inputs.logits.data, { shape: [2, R / 2, V] })
    const rowIndex = Tensor.from(index, { shape: [B, T] })
    const result = lossFromLogits({ ...inputs, logits, rowIndex }, everything)
    expect(result.logProbs.shape).toEqual([B, T])
    expect(result.logitsGrad?.shape).toEqual([2, R / 2, V])
    expect(values(result.logProbs)).toEqual(values(lossFromLogits(lossInputs()).logProbs))
  })

  test('works in a queued call', async () => {
    const result = await lossFromLogitsAsync(scatteredInputs(), everything)
    expect(result.loss).toBe(lossFromLogits(lossInputs(), everything).loss)
  })

  test('scores tokens, with a mask', () => {
    const { logits, tokens, responseMask } = lossInputs()
    const rowIndex = index.slice()
    rowIndex[5] = -100 // masked
    const options = { entropies: true, temperature: 0.7 }
    const inputs = { logits: scatteredInputs().logits, tokens, responseMask, rowIndex }
    expect(tokenLogProbs(inputs, options)).toEqual(
      tokenLogProbs({ logits, tokens, responseMask }, options),
    )
  })

  test('sums the gradients of the tokens that share a row', () => {
    const engine = Engine.open({ instructionSet: 'reference' })
    const rows = Float64Array.from(numbers(3 * V, 5))
    const rowIndex = Int32Array.of(1, 1, 2, 1, 2, 1)
    const sliced = Float64Array.from({ length: N * V }, (_, i) => {
      return rows[rowIndex[Math.floor(i / V)]! * V + (i % V)]!
    })
    const common = {
      tokens: Tensor.from(Int32Array.of(0, 4, 2, 0, 3, 1), { shape: [B, T] }),
      oldLogProbs: Float64Array.from(numbers(N, 3), (x) => -1.5 + 0.5 * x),
      advantages: Float64Array.of(0.7, -1.1),
    }
    const run = (data: Float64Array, count: number, extra: object) => {
      const logits = Tensor.from(data, { shape: [count, V] })
      const inputs = { ...common, logits, maskedLogits: logits, ...extra }
      return lossFromLogits(inputs, 'papoExact', { engine })
    }
    const shared = run(rows, 3, { rowIndex })
    const alone = run(sliced, N, {})
    engine.dispose()
    expect(shared.loss).toBe(alone.loss)
    const sums = new Array<number>(3 * V).fill(0)
    values(alone.logitsGrad).forEach((g, i) => {
      sums[rowIndex[Math.floor(i / V)]! * V + (i % V)]! += g
    })
    values(shared.logitsGrad).forEach((g, i) => {
      expect(Math.abs(g - sums[i]!)).toBeLessThanOrEqual(1e-15)
    })
    expect(Math.max(...sums.map(Math.abs))).toBeGreaterThan(0.01)
  })
})

describe('a row index is refused', () => {
  const table: [string, Loose, string, string][] = [
    ['below 0', { rowIndex: Int32Array.of(0, 1, -1, 3, 4, 5) }, 'ERR_INVALID_VALUE', 'rowIndex'],
    ['of R', { rowIndex: Int32Array.of(0, 1, R, 3, 4, 5) }, 'ERR_INVALID_VALUE', 'rowIndex'],
    ['too short', { rowIndex: new Int32Array(N - 1) }, 'ERR_INVALID_SHAPE', 'rowIndex'],
    ['transposed', { rowIndex: Tensor.zeros([T, B], 'int32') }, 'ERR_INVALID_SHAPE', 'rowIndex'],
    ['of floats', { rowIndex: new Float32Array(N) }, 'ERR_INVALID_DTYPE', 'rowIndex'],
    ['of 64-bit numbers', { rowIndex: new BigInt64Array(N) }, 'ERR_INVALID_DTYPE', 'rowIndex'],
    ['as a plain array', { rowIndex: [0, 1, 2, 3, 4, 5] }, 'ERR_INVALID_ARGUMENT', 'rowIndex'],
    ['as null', { rowIndex: null }, 'ERR_INVALID_ARGUMENT', 'rowIndex'],
    ['with flat logits', { logits: new Float32Array(R * V) }, 'ERR_INVALID_SHAPE', 'logits'],
    [
      'with other rows',
      { maskedLogits: Tensor.zeros([N, V]) },
      'ERR_INVALID_SHAPE',
      'maskedLogits',
    ],
  ]

  test.each(table)('%s', (_, changed, code, argument) => {
    const inputs: Loose = { ...scatteredInputs(), ...changed }
    const logitsGrad = Tensor.from(new Float32Array(R * V).fill(7), { shape: [R, V] })
    const before = snapshot({ ...inputs, logitsGrad })
    expect(refusal(() => lossFromLogits(asInputs(inputs), everything, { logitsGrad }))).toEqual({
      code,
      argument,
    })
    expect(snapshot({ ...inputs, logitsGrad })).toEqual(before)
  })

  test('by tokenLogProbs likewise', () => {
    const { logits, tokens } = scatteredInputs()
    const rowIndex = new Int32Array(N).fill(R)
    expect(refusal(() => tokenLogProbs({ logits, tokens, rowIndex }))).toEqual({
      code: 'ERR_INVALID_VALUE',
      argument: 'rowIndex',
    })
  })

  test('with log-probs, which have no rows', () => {
    const inputs = { logProbs: numbers(N, 1), advantages: numbers(2, 2), rowIndex: index }
    expect(refusal(() => lossFromLogProbs(inputs as never, 'grpo'))).toEqual({
      code: 'ERR_INVALID_ARGUMENT',
      argument: 'rowIndex',
    })
  })
})

describe('responseRowIndex', () => {
  const plain = ({
    rowIndex,
    positions,
    cuSeqlens,
    rows,
  }: ReturnType<typeof responseRowIndex>) => ({
    rowIndex: [...rowIndex],
    positions: [...positions],
    cuSeqlens: [...cuSeqlens],
    rows,
  })

  test('of prompts with one response each', () => {
    const lengths = { promptLengths: [3, 1], responseLengths: Int32Array.of(2, 3) }
    expect(plain(responseRowIndex(lengths))).toEqual({
      rowIndex: [2, 3, 5, 6, 7], // p p p a a p b b b
      positions: [3, 4, 6, 7, 8],
      cuSeqlens: [0, 2, 5],
      rows: 9,
    })
  })

  test('of a prompt that responses share, one of them empty', () => {
    const lengths = { promptLengths: [1, 2], responseLengths: [1, [2, 0, 3]] }
    expect(plain(responseRowIndex(lengths))).toEqual({
      rowIndex: [0, 3, 4, 3, 6, 7], // p a p p b b d d d
      positions: [1, 4, 5, 6, 7, 8],
      cuSeqlens: [0, 1, 3, 3, 6],
      rows: 9,
    })
  })

  const table: [string, unknown, string, string][] = [
    ['no object', undefined, 'ERR_INVALID_ARGUMENT', 'lengths'],
    ['an unknown key', { promptLength: [1] }, 'ERR_INVALID_ARGUMENT', 'promptLength'],
    ['no prompts', { responseLengths: [1] }, 'ERR_INVALID_ARGUMENT', 'promptLengths'],
    ['no responses', { promptLengths: [1] }, 'ERR_INVALID_ARGUMENT', 'responseLengths'],
    ['text', { promptLengths: '1', responseLengths: [1] }, 'ERR_INVALID_ARGUMENT', 'promptLengths'],
    [
      'a group of text',
      { promptLengths: [1], responseLengths: ['1'] },
      'ERR_INVALID_ARGUMENT',
      'responseLengths',
    ],
    [
      'other counts',
      { promptLengths: [1], responseLengths: [1, 2] },
      'ERR_INVALID_SHAPE',
      'responseLengths',
    ],
    [
      'an empty prompt',
      { promptLengths: [0], responseLengths: [1] },
      'ERR_INVALID_VALUE',
      'promptLengths',
    ],
    [
      'half a token',
      { promptLengths: [1], responseLengths: [[1, 0.5]] },
      'ERR_INVALID_VALUE',
      'responseLengths',
    ],
    [
      'a negative length',
      { promptLengths: [1], responseLengths: [-1] },
      'ERR_INVALID_VALUE',
      'responseLengths',
    ],
    [
      'more rows than int32 numbers',
      { promptLengths: [1], responseLengths: [2 ** 31 - 1] },
      'ERR_INVALID_VALUE',
      'lengths',
    ],
  ]
  test.each(table)('refuses %s', (_, lengths, code, argument) => {
    expect(refusal(() => responseRowIndex(lengths as PackedLengths))).toEqual({ code, argument })
  })
})

// The numbers of the authors' code, with the rows of logits at other places.
describe.each(instructionSets())('golden cases through a row index on %s', (instructionSet) => {
  const engine = Engine.open({ instructionSet })
  afterAll(() => engine.dispose())
  const real = (data: Float64Array) =>
    instructionSet === 'reference' ? data : Float32Array.from(data)
  const cases = readCases(ownCases).filter((golden): golden is LossCase => golden.kind === 'loss')

  test.each(cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    const { inputs, responses, tokensPerResponse, vocabSize, objective } = golden
    const tokens = responses * tokensPerResponse
    const rows = 2 * tokens + 1
    // Odd rows, from the last to the first.
    const rowIndex = Int32Array.from({ length: tokens }, (_, i) => rows - 2 - 2 * i)
    const shape = [responses, tokensPerResponse]
    const optional = (name: string, data: Float64Array | undefined) =>
      data === undefined ? {} : { [name]: real(data) }
    const common = {
      tokens: Tensor.from(Int32Array.from(inputs.tokens), { shape }),
      responseMask: Uint8Array.from(inputs.responseMask),
      advantages: real(golden.arrays.advantages ?? inputs.advantages ?? new Float64Array()),
      ...optional('oldLogProbs', inputs.oldLogProbs),
      ...optional('refLogProbs', inputs.refLogProbs),
      ...optional('perceptionWeights', inputs.perceptionWeights),
      ...(inputs.sftMask && { sftMask: Uint8Array.from(inputs.sftMask) }),
    }
    const run = (count: number, place: (data: Float64Array) => Float64Array, extra: object) => {
      const matrix = (data: Float64Array) =>
        Tensor.from(real(place(data)), { shape: [count, vocabSize] })
      return lossFromLogits(
        {
          ...common,
          logits: matrix(inputs.logits),
          ...(inputs.maskedLogits && { maskedLogits: matrix(inputs.maskedLogits) }),
          ...extra,
        },
        objective,
        { engine, gradNorm: true },
      )
    }
    const plain = run(tokens, (data) => data, {})
    const indexed = run(rows, (data) => scattered(data, vocabSize, rowIndex, rows), { rowIndex })
    const { logitsGrad, maskedLogitsGrad, ...rest } = indexed
    const { logitsGrad: grad, maskedLogitsGrad: maskedGrad, ...expected } = plain
    expect(rest).toEqual(expected)
    expect(gathered(logitsGrad, vocabSize, rowIndex)).toEqual(values(grad))
    if (maskedGrad !== undefined)
      expect(gathered(maskedLogitsGrad, vocabSize, rowIndex)).toEqual(values(maskedGrad))
  })
})
