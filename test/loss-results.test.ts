import { Engine, lossFromLogits, lossFromLogProbs, Tensor, tokenLogProbs } from '../lib'
import type { LossSummary, ObjectiveInput } from '../lib'
import { B, lossInputs, N, numbers, snapshot, T, V, values } from './support'

const both: ObjectiveInput = { profile: 'papoExact', sftCoef: 0.1 }

describe('results have', () => {
  test('the shape of the tokens, and the gradients that of the logits', () => {
    const result = lossFromLogits(lossInputs(), both)
    expect(result.logProbs).toMatchObject({ dtype: 'float32', shape: [B, T] })
    expect(result.logitsGrad).toMatchObject({ dtype: 'float32', shape: [B, T, V] })
    expect(result.maskedLogitsGrad).toMatchObject({ dtype: 'float32', shape: [B, T, V] })
  })

  test('every tensor where both branches have gradients', () => {
    const {
      loss: _,
      terms,
      weightedTerms,
      metrics,
      ...tensors
    } = lossFromLogits(lossInputs(), both)
    expect(Object.keys(terms)).toEqual(Object.keys(weightedTerms))
    expect(metrics.tokenCount).toBe(N - 1)
    expect(Object.keys(tensors).sort()).toEqual([
      'entropies',
      'entropiesGrad',
      'exactPerceptionKlGrad',
      'logProbs',
      'logProbsGrad',
      'logitsGrad',
      'maskedEntropies',
      'maskedEntropiesGrad',
      'maskedLogProbs',
      'maskedLogProbsGrad',
      'maskedLogitsGrad',
      'perceptionKlPerToken',
      'ratios',
      'refKlPerToken',
    ])
  })

  test('no masked gradient where the masked branch is a constant', () => {
    const result = lossFromLogits(lossInputs(), 'papoG')
    expect(result.maskedLogitsGrad).toBeUndefined()
    expect(values(result.maskedLogProbsGrad)).toEqual(new Array(N).fill(0))
  })

  test('no per-token values with perToken: false, and the same rest', () => {
    const full = lossFromLogits(lossInputs(), both)
    const { loss, terms, weightedTerms, metrics, ...tensors } = lossFromLogits(lossInputs(), both, {
      perToken: false,
    })
    expect(Object.keys(tensors).sort()).toEqual(['logitsGrad', 'maskedLogitsGrad'])
    expect({ loss, terms, weightedTerms, metrics }).toEqual(summary(full))
    expect(values(tensors.logitsGrad)).toEqual(values(full.logitsGrad))
  })

  test('the sum of the weighted terms as loss', () => {
    const { loss, weightedTerms } = lossFromLogits(lossInputs(), { lossScale: 0.5 })
    const sum = Object.values(weightedTerms).reduce((total, term) => total + term, 0)
    expect(Math.abs(loss - 0.5 * sum)).toBeLessThanOrEqual(1e-12)
  })

  test('no memory in common with later results', () => {
    const first = lossFromLogits(lossInputs(), both)
    const before = [first.loss, first.metrics.policy, ...values(first.logProbs)]
    lossFromLogits({ ...lossInputs(), advantages: Float32Array.of(-3, 4) }, both)
    expect([first.loss, first.metrics.policy, ...values(first.logProbs)]).toEqual(before)
  })
})

function summary({ loss, terms, weightedTerms, metrics }: LossSummary): LossSummary {
  return { loss, terms, weightedTerms, metrics }
}

describe('gradients', () => {
  const reference = lossFromLogits(lossInputs(), both)

  test('leave the inputs as they were', () => {
    const inputs = lossInputs()
    const before = snapshot(inputs)
    lossFromLogits(inputs, both)
    expect(snapshot(inputs)).toEqual(before)
  })

  test('in place are the same bits, where the logits were', () => {
    const inputs = lossInputs()
    const { logits, maskedLogits, ...others } = inputs
    const before = snapshot(others)
    const result = lossFromLogits(inputs, both, { gradient: 'inPlace' })
    expect(result.logitsGrad).toBe(logits)
    expect(result.maskedLogitsGrad).toBe(maskedLogits)
    expect(values(logits)).toEqual(values(reference.logitsGrad))
    expect(values(maskedLogits)).toEqual(values(reference.maskedLogitsGrad))
    expect(snapshot(others)).toEqual(before)
  })

  test('in place leave a constant masked branch alone', () => {
    const inputs = lossInputs()
    const before = values(inputs.maskedLogits)
    lossFromLogits(inputs, 'papoG', { gradient: 'inPlace' })
    expect(values(inputs.maskedLogits)).toEqual(before)
  })

  test('go where the caller says, with a row stride of its own', () => {
    const data = new Float32Array(N * (V + 2)).fill(7)
    const logitsGrad = Tensor.from(data, { shape: [N, V], rowStride: V + 2 })
    const result = lossFromLogits(lossInputs(), both, { logitsGrad })
    expect(result.logitsGrad).toBe(logitsGrad)
    expect(Array.from(logitsGrad.toFloat32Array())).toEqual(values(reference.logitsGrad))
    const gaps = Array.from(data).filter((_, i) => i % (V + 2) >= V)
    expect(gaps).toEqual(new Array(2 * N).fill(7))
  })

  test('given the logits as destination are in place', () => {
    const inputs = lossInputs()
    lossFromLogits(inputs, both, { logitsGrad: inputs.logits })
    expect(values(inputs.logits)).toEqual(values(reference.logitsGrad))
  })

  test('are not computed with none', () => {
    const inputs = lossInputs()
    const before = snapshot(inputs)
    const result = lossFromLogits(inputs, both, { gradient: 'none' })
    expect(result.logitsGrad).toBeUndefined()
    expect(result.maskedLogitsGrad).toBeUndefined()
    expect(result.loss).toBe(reference.loss)
    expect(snapshot(inputs)).toEqual(before)
  })

  test('have their norm in the metrics when asked', () => {
    expect(reference.metrics.gradNorm).toBeNaN()
    const { metrics } = lossFromLogits(lossInputs(), both, { gradNorm: true })
    const all = [...values(reference.logitsGrad), ...values(reference.maskedLogitsGrad)]
    const norm = Math.sqrt(all.reduce((sum, x) => sum + x * x, 0))
    expect(norm).toBeGreaterThan(0)
    expect(Math.abs(metrics.gradNorm / norm - 1)).toBeLessThanOrEqual(1e-6)
  })
})

describe('the same tokens in another form give the same bits', () => {
  const padded = lossFromLogits(lossInputs(), both)

  function expectSame(inputs: Parameters<typeof lossFromLogits>[0]): void {
    const result = lossFromLogits(inputs, both)
    expect(summary(result)).toEqual(summary(padded))
    expect(values(result.logProbs)).toEqual(values(padded.logProbs))
    expect(values(result.logitsGrad)).toEqual(values(padded.logitsGrad))
  }

  test('[N, V] with responses from the advantages', () => {
    const { logits, maskedLogits, tokens, ...rest } = lossInputs()
    expectSame({
      ...rest,
      logits: Tensor.from(logits.data, { shape: [N, V] }),
      maskedLogits: Tensor.from(maskedLogits.data, { shape: [N, V] }),
      tokens: tokens.data,
    })
  })

  test('bare arrays', () => {
    const { logits, maskedLogits, tokens, ...rest } = lossInputs()
    expectSame({
      ...rest,
      logits: logits.data,
      maskedLogits: maskedLogits.data,
      tokens: tokens.data,
    })
  })

  test('cuSeqlens, as numbers or Int32Array', () => {
    const { tokens, ...rest } = lossInputs()
    expectSame({ ...rest, tokens: tokens.data, cuSeqlens: [0, T, N] })
    expectSame({ ...rest, tokens: tokens.data, cuSeqlens: Int32Array.of(0, T, N) })
  })

  test('values per token instead of per response', () => {
    const { advantages, tokenWeights, ...rest } = lossInputs()
    const spread = (perResponse: Float32Array) =>
      Float32Array.from({ length: N }, (_, i) => perResponse[Math.floor(i / T)] ?? NaN)
    expectSame({ ...rest, advantages: spread(advantages), tokenWeights: spread(tokenWeights) })
  })

  test('padded logits rows, which are not read between the rows', () => {
    const { logits, ...rest } = lossInputs()
    const data = new Float32Array(N * (V + 3)).fill(NaN)
    for (let row = 0; row < N; ++row)
      data.set(logits.data.subarray(row * V, (row + 1) * V), row * (V + 3))
    expectSame({ ...rest, logits: Tensor.from(data, { shape: [B, T, V], rowStride: V + 3 }) })
  })

  test('memory on a SharedArrayBuffer', () => {
    const { logits, ...rest } = lossInputs()
    const data = new Float32Array(new SharedArrayBuffer(4 * N * V))
    data.set(logits.data)
    expectSame({ ...rest, logits: Tensor.from(data, { shape: [B, T, V] }) })
  })
})

test('cuSeqlens with unequal and empty responses weigh responses, not rows', () => {
  const { tokens, advantages: _a, tokenWeights: _t, perceptionWeights: _p, ...rest } = lossInputs()
  const inputs = {
    ...rest,
    tokens: tokens.data,
    sftMask: Uint8Array.of(1, 0, 0),
    advantages: Float32Array.of(0.5, 9, -1),
    cuSeqlens: [0, 2, 2, N],
  }
  const result = lossFromLogits(inputs, both)
  expect(result.metrics.responseCount).toBe(3)
  const empty = { ...inputs, advantages: Float32Array.of(0.5, -9, -1) }
  expect(lossFromLogits(empty, both).loss).toBe(result.loss)
})

describe('rows that do not count', () => {
  test('all of them: loss 0 and zero gradients', () => {
    const inputs = { ...lossInputs(), responseMask: new Uint8Array(N) }
    const result = lossFromLogits(inputs, both)
    expect(result.loss).toBe(0)
    expect(result.metrics.tokenCount).toBe(0)
    expect(values(result.logitsGrad)).toEqual(new Array(N * V).fill(0))
    expect(values(result.maskedLogitsGrad)).toEqual(new Array(N * V).fill(0))
  })

  test('are not read: NaN and wild tokens there change nothing', () => {
    const expected = lossFromLogits(lossInputs(), both)
    const inputs = lossInputs()
    for (const tensor of [inputs.logits, inputs.maskedLogits]) tensor.data.fill(NaN, (N - 1) * V)
    inputs.tokens.data[N - 1] = -1
    inputs.oldLogProbs[N - 1] = NaN
    const result = lossFromLogits(inputs, both)
    expect(summary(result)).toEqual(summary(expected))
    expect(values(result.logitsGrad)).toEqual(values(expected.logitsGrad))
  })

  test('NaN in a row that counts reaches the loss and is counted', () => {
    const inputs = lossInputs()
    inputs.logits.data[1] = NaN
    const result = lossFromLogits(inputs, both)
    expect(result.loss).toBeNaN()
    expect(result.metrics.nonFiniteRows).toBe(1)
  })
})

describe('dtypes', () => {
  test.each(['float16', 'bfloat16'] as const)('%s logits have gradients of %s', (dtype) => {
    const bits = { float16: 0x3c00, bfloat16: 0x3f80 }[dtype] // 1
    const half = () => {
      const data = new Uint16Array(N * V)
      for (let row = 0; row < N; ++row) data[row * V] = bits
      return Tensor.from(data, { dtype, shape: [B, T, V] })
    }
    const full = () => Tensor.from(half().toFloat32Array(), { shape: [B, T, V] })
    const inputs = lossInputs()
    const low = lossFromLogits({ ...inputs, logits: half(), maskedLogits: half() }, both)
    const high = lossFromLogits({ ...inputs, logits: full(), maskedLogits: full() }, both)
    expect(low.loss).toBe(high.loss)
    expect(low.logitsGrad).toMatchObject({ dtype, shape: [B, T, V] })
    const expected = values(high.logitsGrad)
    const largest = Math.max(...expected.map(Math.abs))
    expect(largest).toBeGreaterThan(0)
    low.logitsGrad!.toFloat32Array().forEach((gradient, i) => {
      const error = Math.abs(gradient - expected[i]!)
      expect(error <= 2 ** -8 * largest).toBe(true)
    })
  })

  test('a Float16Array is taken as its bits', () => {
    // Node 24 has the class; before it, any view with its tag will do.
    class Float16Array extends Uint16Array {
      override get [Symbol.toStringTag](): never {
        return 'Float16Array' as never
      }
    }
    const data = new Float16Array(4).fill(0x3c00)
    const tensor = Tensor.from(data)
    expect(tensor.dtype).toBe('float16')
    expect(tensor.data.buffer).toBe(data.buffer)
    expect(Array.from(tensor.toFloat32Array())).toEqual([1, 1, 1, 1])
  })

  test('the reference engine takes and gives float64', () => {
    using engine = Engine.open({ instructionSet: 'reference' })
    const inputs = lossInputs()
    const double = (data: ArrayLike<number>) => Float64Array.from(data)
    const wide = {
      ...inputs,
      logits: Tensor.from(double(inputs.logits.data), { shape: [B, T, V] }),
      maskedLogits: Tensor.from(double(inputs.maskedLogits.data), { shape: [B, T, V] }),
      oldLogProbs: double(inputs.oldLogProbs),
      refLogProbs: double(inputs.refLogProbs),
      advantages: double(inputs.advantages),
      tokenWeights: double(inputs.tokenWeights),
      perceptionWeights: double(inputs.perceptionWeights),
    }
    const result = lossFromLogits(wide, both, { engine })
    expect(result.logProbs.dtype).toBe('float64')
    expect(result.logitsGrad?.dtype).toBe('float64')
    const fast = lossFromLogits(inputs, both)
    expect(Math.abs(result.loss - fast.loss)).toBeLessThanOrEqual(1e-5 * Math.abs(result.loss))
  })
})

describe('the two loss functions agree', () => {
  const inputs = lossInputs()
  const fromLogits = lossFromLogits(inputs, both)
  const { logits: _l, maskedLogits: _m, tokens: _t, ...tokenInputs } = inputs

  test('given the statistics that tokenLogProbs computes', () => {
    const { logits, maskedLogits, tokens, responseMask } = inputs
    const image = tokenLogProbs({ logits, tokens, responseMask }, { entropies: true })
    const masked = tokenLogProbs({ logits: maskedLogits, tokens, responseMask })
    expect(image.logProbs).toMatchObject({ dtype: 'float32', shape: [B, T] })
    expect(values(image.logProbs)).toEqual(values(fromLogits.logProbs))
    expect(values(image.entropies)).toEqual(values(fromLogits.entropies))
    expect(values(masked.logProbs)).toEqual(values(fromLogits.maskedLogProbs))
    expect(masked.entropies).toBeUndefined()

    const { logProbs } = image
    const maskedLogProbs = masked.logProbs
    const sampled = lossFromLogProbs({ ...tokenInputs, logProbs, maskedLogProbs }, 'papoPaper')
    const expected = lossFromLogits(inputs, 'papoPaper')
    expect(sampled.loss).toBe(expected.loss)
    expect(values(sampled.logProbsGrad)).toEqual(values(expected.logProbsGrad))
    expect(values(sampled.maskedLogProbsGrad)).toEqual(values(expected.maskedLogProbsGrad))
  })

  test('and a temperature divides the logits', () => {
    const { logits, tokens } = inputs
    const halved = Tensor.from(
      Float32Array.from(logits.data, (x) => x / 2),
      { shape: [B, T, V] },
    )
    const cool = tokenLogProbs({ logits, tokens }, { temperature: 2 })
    expect(values(cool.logSumExps)).toEqual(
      values(tokenLogProbs({ logits: halved, tokens }).logSumExps),
    )
  })
})

test('perToken: false spares lossFromLogProbs its tensors too', () => {
  const inputs = {
    logProbs: numbers(N, 1),
    maskedLogProbs: numbers(N, 2),
    advantages: numbers(B, 3),
  }
  const full = lossFromLogProbs(inputs)
  const lean = lossFromLogProbs(inputs, 'papoG', { perToken: false })
  expect(lean.loss).toBe(full.loss)
  expect(lean.logProbsGrad).toBeUndefined()
  expect(full.logProbsGrad.shape).toEqual([N])
})
