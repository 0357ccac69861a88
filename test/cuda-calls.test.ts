// Every computation on tensors of a device, against the engine of the CPU. See cuda-support.ts.
import * as papo from '../lib'
import { Engine, Tensor } from '../lib'
import type { LossFromLogitsInputs, ObjectiveInput } from '../lib'
import { tolerances } from '../lib/golden/compare'
import { describeOnDevice, distance, hostValues, inputsOnDevice, onDevice } from './cuda-support'
import { B, lossInputs, N, numbers, refusal, T, V } from './support'

const { loss: lossTolerance, logProb, gradient } = tolerances.float32
const near = Math.max(lossTolerance.absolute, lossTolerance.relative, logProb.absolute)

type Result = Readonly<Record<string, unknown>>

/** Every tensor and number of a result, by name. */
function numbersOf(result: object, prefix = ''): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const [name, value] of Object.entries(result as Result)) {
    if (value instanceof Tensor) found.set(prefix + name, hostValues(value))
    else if (typeof value === 'number') found.set(prefix + name, [value])
    else if (value && typeof value === 'object')
      for (const [inner, list] of numbersOf(value, `${name}.`)) found.set(inner, list)
  }
  return found
}

/** Names of what differs by more than the tolerances of the reference cases. */
function differences(actual: object, expected: object): string[] {
  const [ours, theirs] = [numbersOf(actual), numbersOf(expected)]
  expect([...ours.keys()]).toEqual([...theirs.keys()])
  return [...theirs].flatMap(([name, values]) => {
    const bound = name.endsWith('Grad') ? gradient.relative : near
    const worst = distance(ours.get(name)!, values)
    return worst <= bound ? [] : [`${name}: ${worst}`]
  })
}

const packed = () => ({
  ...lossInputs(),
  tokens: Tensor.from(Int32Array.of(0, 4, 2, 1, 3, 0)),
  cuSeqlens: [0, 2, N],
})

const byRow = () => ({ ...packed(), rowIndex: Int32Array.of(5, 0, 0, 3, 1, 2) })

const objectives: readonly (readonly [string, ObjectiveInput, () => LossFromLogitsInputs])[] = [
  ['papoG', 'papoG', lossInputs],
  ['both gradients', { profile: 'papoExact', perceptionGradient: 'both' }, lossInputs],
  ['sequence ratios', 'gspo', packed],
  ['rows by index', { profile: 'papoD', perceptionGradient: 'both' }, byRow],
  ['a supervised term', { profile: 'papoG', sftCoef: 0.5 }, lossInputs],
]

describeOnDevice('the loss on a device', () => {
  test.each(objectives)('%s: values, metrics and gradients', async (_, objective, make) => {
    const expected = papo.lossFromLogits(make(), objective, { gradNorm: true })
    const inputs = inputsOnDevice(make())
    const actual = papo.lossFromLogits(inputs, objective, { gradNorm: true })
    expect(differences(actual, expected)).toEqual([])
    for (const value of Object.values(actual))
      if (value instanceof Tensor) expect(value.device).toBe('cuda:0')
    const later = await papo.lossFromLogitsAsync(inputs, objective, { gradNorm: true })
    expect(numbersOf(later)).toEqual(numbersOf(actual))
  })

  test('gradients in place, and into tensors given', () => {
    const objective = { profile: 'papoExact', perceptionGradient: 'both' } as const
    const expected = papo.lossFromLogits(lossInputs(), objective)
    const inputs = inputsOnDevice(lossInputs())
    const logitsGrad = Tensor.empty([B, T, V], 'float32', { device: 'cuda:0' })
    const maskedLogitsGrad = Tensor.empty([B, T, V], 'float32', { device: 'cuda:0' })
    const into = papo.lossFromLogits(inputs, objective, { logitsGrad, maskedLogitsGrad })
    expect(into.logitsGrad).toBe(logitsGrad)
    const inPlace = papo.lossFromLogits(inputs, objective, { gradient: 'inPlace' })
    expect(inPlace.logitsGrad).toBe(inputs.logits)
    for (const result of [into, inPlace]) expect(differences(result, expected)).toEqual([])
  })

  test('bfloat16 logits', () => {
    const bits = new Uint16Array(numbers(N * V, 4).buffer).filter((_, i) => i % 2 === 1)
    const logits = Tensor.from(bits, { dtype: 'bfloat16', shape: [B, T, V] })
    const { tokens, advantages } = lossInputs()
    const host = { logits, tokens, advantages }
    const options = { gradient: 'none' } as const
    const expected = papo.lossFromLogits(host, 'grpo', options)
    expect(
      differences(papo.lossFromLogits(inputsOnDevice(host), 'grpo', options), expected),
    ).toEqual([])
  })

  test('from log-probs', async () => {
    const inputs = {
      logProbs: Tensor.from(
        numbers(N, 5).map((x) => x - 2),
        { shape: [B, T] },
      ),
      maskedLogProbs: numbers(N, 6).map((x) => x - 2),
      oldLogProbs: numbers(N, 7).map((x) => x - 2),
      responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
      advantages: Float32Array.of(1, -1),
    }
    const expected = papo.lossFromLogProbs(inputs)
    expect(differences(papo.lossFromLogProbs(inputsOnDevice(inputs)), expected)).toEqual([])
    const later = await papo.lossFromLogProbsAsync(inputsOnDevice(inputs))
    expect(differences(later, expected)).toEqual([])
  })

  test('token log-probs', async () => {
    const { logits, tokens, responseMask } = lossInputs()
    const host = { logits, tokens, responseMask }
    const options = { entropies: true, temperature: 0.7 }
    const expected = papo.tokenLogProbs(host, options)
    expect(differences(papo.tokenLogProbs(inputsOnDevice(host), options), expected)).toEqual([])
    const later = await papo.tokenLogProbsAsync(inputsOnDevice(host), options)
    expect(differences(later, expected)).toEqual([])
  })
})

describeOnDevice('advantages on a device', () => {
  const rewards = () => numbers(8, 1)
  const groupIds = () => Int32Array.of(0, 0, 5, 5, -1, -1, 0, 5)

  test.each(['grpo', 'drGrpo', 'rloo'] as const)('%s', async (estimator) => {
    const expected = papo.groupAdvantages(rewards(), groupIds(), { estimator })
    const args = [onDevice(rewards()), onDevice(groupIds()), { estimator }] as const
    for (const actual of [papo.groupAdvantages(...args), await papo.groupAdvantagesAsync(...args)])
      expect(differences({ actual }, { actual: expected })).toEqual([])
  })

  test('remax and REINFORCE++', async () => {
    const baselines = numbers(8, 2)
    const actual = papo.remaxAdvantages(onDevice(rewards()), onDevice(baselines))
    expect(hostValues(actual)).toEqual(hostValues(papo.remaxAdvantages(rewards(), baselines)))
    const inputs = {
      rewards: numbers(N, 1),
      responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
      cuSeqlens: [0, 2, N],
    }
    const expected = papo.reinforcePlusPlusAdvantages(inputs)
    const later = await papo.reinforcePlusPlusAdvantagesAsync(inputsOnDevice(inputs))
    expect(differences(later, expected)).toEqual([])
  })
})

describeOnDevice('masking on a device', () => {
  const size = { height: 30, width: 40, patchSize: 14 }
  const seeds = { ...size, seed: 7, ratio: 0.5 }

  test('random and salient patches are those of the CPU', async () => {
    using engine = Engine.open({ device: 'cuda:0' })
    const mask = papo.randomPatchMask({ ...seeds, engine })
    expect(mask.device).toBe('cuda:0')
    expect(hostValues(mask)).toEqual(hostValues(papo.randomPatchMask(seeds)))
    const saliency = Tensor.from(numbers(24, 3), { shape: [4, 6] })
    const expected = hostValues(papo.saliencyPatchMask(saliency, { count: 3, mergeSize: 2 }))
    const actual = papo.saliencyPatchMask(onDevice(saliency), { count: 3, mergeSize: 2 })
    expect(hostValues(actual)).toEqual(expected)
    const later = await papo.randomPatchMaskAsync({ ...seeds, engine })
    expect(hostValues(later)).toEqual(hostValues(mask))
  })

  test('pixels, to new memory, to memory given, and in place', async () => {
    const { height, width, patchSize } = size
    const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => i % 251)
    const image = Tensor.from(pixels, { shape: [height, width, 3] })
    const patchMask = papo.randomPatchMask(seeds)
    const fill = [1, 2, 3]
    const expected = hostValues(papo.maskPatches(image, { patchMask, patchSize, fill }))
    const options = { patchMask: onDevice(patchMask), patchSize, fill }
    const there = onDevice(image)
    const out = Tensor.empty([pixels.length], 'uint8', { device: 'cuda:0' })
    const given = papo.maskPatches(there, { ...options, out })
    expect(given.shape).toEqual([height, width, 3])
    out.dispose()
    expect(hostValues(given)).toEqual(expected)
    expect(hostValues(papo.maskPatches(there, options))).toEqual(expected)
    expect(hostValues(await papo.maskPatchesAsync(there, options))).toEqual(expected)
    expect(papo.maskPatches(there, { ...options, inPlace: true })).toBe(there)
    expect(hostValues(there)).toEqual(expected)
  })

  test('patch rows, with masks of any form', async () => {
    const rows = Tensor.from(numbers(20 * 6, 1), { shape: [20, 6] })
    const gridThw = [
      [2, 2, 2],
      [1, 2, 2],
      [2, 2, 2],
    ] as const
    const masks = [
      Tensor.from(Uint8Array.of(1, 0, 0, 1), { shape: [2, 2] }),
      Tensor.from(Uint8Array.of(0, 1, 1, 0), { shape: [2, 2] }),
      Tensor.from(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1), { shape: [2, 2, 2] }),
    ]
    const there = onDevice(rows)
    const forms = [masks, Uint8Array.of(1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0)]
    for (const patchMask of forms) {
      const expected = hostValues(papo.maskPatchRows(rows, { gridThw, patchMask }))
      const moved = Array.isArray(patchMask)
        ? patchMask.map((m) => onDevice(m))
        : onDevice(patchMask as Uint8Array)
      const options = { gridThw, patchMask: moved }
      expect(hostValues(papo.maskPatchRows(there, options))).toEqual(expected)
      expect(hostValues(await papo.maskPatchRowsAsync(there, options))).toEqual(expected)
    }
  })
})

describeOnDevice('devices are not mixed', () => {
  const mismatch = (argument: string) => ({ code: 'ERR_DEVICE_MISMATCH', argument })
  const names = Object.keys(lossInputs()) as (keyof ReturnType<typeof lossInputs>)[]

  test.each(names)('%s on the host, the others on the device', (name) => {
    using engine = Engine.open({ device: 'cuda:0' })
    const inputs = { ...inputsOnDevice(lossInputs()), [name]: lossInputs()[name] }
    const body = () => papo.lossFromLogits(inputs, { profile: 'papoG', sftCoef: 1 }, { engine })
    expect(refusal(body)).toEqual(mismatch(name))
    expect(body).toThrow("tensor.to('cuda:0')")
  })

  test.each(names)('%s on the device, the others on the host', (name) => {
    using engine = Engine.open({ threads: 1 })
    const inputs = { ...lossInputs(), [name]: inputsOnDevice(lossInputs())[name] }
    const body = () => papo.lossFromLogits(inputs, { profile: 'papoG', sftCoef: 1 }, { engine })
    expect(refusal(body)).toEqual(mismatch(name))
  })

  test('destinations and masks', () => {
    const inputs = inputsOnDevice(lossInputs())
    const logitsGrad = Tensor.zeros([B, T, V])
    const options = { logitsGrad }
    expect(refusal(() => papo.lossFromLogits(inputs, 'papoG', options))).toEqual(
      mismatch('logitsGrad'),
    )
    const image = onDevice(new Uint8Array(12), [2, 2, 3])
    const patchMask = Uint8Array.of(1)
    expect(refusal(() => papo.maskPatches(image, { patchMask }))).toEqual(mismatch('patchMask'))
    const out = Tensor.zeros([2, 2, 3], 'uint8')
    const there = { patchMask: onDevice(patchMask), out }
    expect(refusal(() => papo.maskPatches(image, there))).toEqual(mismatch('out'))
    const rows = { gridThw: [[1, 2, 2]] as const, patchMask: [new Uint8Array(4)] }
    expect(refusal(() => papo.maskPatchRows(onDevice(new Float32Array(8), [4, 2]), rows))).toEqual(
      mismatch('patchMask'),
    )
  })

  test('functions of plain TypeScript take arrays of the host', () => {
    const lengths = onDevice(Int32Array.of(3, 4))
    const body = () => papo.overlongMask(lengths, { maxLength: 3 })
    expect(refusal(body).code).toBe('ERR_DEVICE_MISMATCH')
  })
})

describeOnDevice('what only the device can see', () => {
  test.each<[string, keyof LossFromLogitsInputs, () => Tensor]>([
    [
      'a token id outside the vocabulary',
      'tokens',
      () => onDevice(Int32Array.of(0, 4, V, 1, 3, 0)),
    ],
    ['a mask value of 2', 'responseMask', () => onDevice(Uint8Array.of(1, 1, 2, 1, 1, 0))],
  ])('%s is refused, and nothing is written', async (_, name, make) => {
    const inputs = { ...inputsOnDevice(lossInputs()), [name]: make() }
    const logitsGrad = onDevice(numbers(N * V, 9), [B, T, V])
    const before = hostValues(logitsGrad)
    const host = { ...lossInputs(), [name]: Tensor.from(make().to('cpu').data) }
    const expected = { code: 'ERR_INVALID_VALUE', argument: name }
    expect(refusal(() => papo.lossFromLogits(host, 'papoG'))).toEqual(expected)
    expect(refusal(() => papo.lossFromLogits(inputs, 'papoG', { logitsGrad }))).toEqual(expected)
    await expect(papo.lossFromLogitsAsync(inputs, 'papoG', { logitsGrad })).rejects.toMatchObject(
      expected,
    )
    expect(hostValues(logitsGrad)).toEqual(before)
    const right = inputsOnDevice(lossInputs())
    expect(Number.isFinite(papo.lossFromLogits(right, 'papoG').loss)).toBe(true)
  })

  test('messages are those of the CPU', () => {
    const tokens = () => Int32Array.of(0, 4, -3, 1, 99, 0)
    const message = (inputs: LossFromLogitsInputs) => {
      try {
        papo.lossFromLogits(inputs)
      } catch (error) {
        return (error as Error).message
      }
      return undefined
    }
    const expected = message({ ...lossInputs(), tokens: tokens() })
    expect(expected).toContain('tokens')
    expect(message({ ...inputsOnDevice(lossInputs()), tokens: onDevice(tokens()) })).toBe(expected)
  })
})
