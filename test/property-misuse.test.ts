// Whatever JavaScript passes, a function returns or throws a PapoError with a known code, and nothing
// of the caller's has changed then. Arguments of valid calls are replaced by anything at all.
import { inspect } from 'node:util'

import fc from 'fast-check'

import * as papo from '../lib'
import { Engine, PapoError, Tensor } from '../lib'
import type { TypedArray } from '../lib'
import { B, detach, lossInputs, N, numbers, T, V } from './support'
import type { Loose } from './support'

const codes = new Set([
  'ERR_INVALID_ARGUMENT',
  'ERR_INVALID_OPTION',
  'ERR_INVALID_DTYPE',
  'ERR_INVALID_SHAPE',
  'ERR_INVALID_VALUE',
  'ERR_OVERLAP',
  'ERR_DISPOSED',
  'ERR_DETACHED',
  'ERR_DEVICE_MISMATCH',
  'ERR_UNAVAILABLE',
  'ERR_OUT_OF_MEMORY',
])

const budget = { seed: 20250707, numRuns: 600 }

type Arguments = [Loose, ...unknown[]]

/** A function with arguments that it accepts; the names of the first ones are all it knows. */
interface Target {
  readonly name: string
  readonly valid: () => Arguments
  readonly run: (...args: Arguments) => unknown
}

const call = (name: string) =>
  (papo as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!

/** A function that takes objects: inputs, then an objective, then options. */
function ofObjects(name: string, valid: () => Arguments): Target {
  return { name, valid, run: call(name) }
}

const loose = (value: unknown) => Object(value) as Loose

/** A function whose first arguments are values of their own, here under names as well. */
function ofValues(name: string, names: readonly string[], valid: () => Arguments): Target {
  const run = (values: Loose, ...rest: unknown[]) =>
    call(name)(...names.map((key) => loose(values)[key]), ...rest)
  return { name, valid, run }
}

const like = ({ shape }: Tensor) => Tensor.zeros(shape)
const logProbInputs = () => ({
  logProbs: numbers(N, 5).map((x) => x - 2),
  maskedLogProbs: numbers(N, 6).map((x) => x - 2),
  entropies: numbers(N, 7).map((x) => x + 2),
  maskedEntropies: numbers(N, 8).map((x) => x + 2),
  exactPerceptionKl: numbers(N, 9).map((x) => x + 1),
  responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
  advantages: Float32Array.of(1, -1),
  cuSeqlens: [0, 2, N],
})

const targets: readonly Target[] = [
  ofObjects('lossFromLogits', () => {
    const inputs = {
      ...lossInputs(),
      maskedLogProbs: undefined,
      cuSeqlens: undefined,
      rowIndex: undefined,
    }
    const gradients = { logitsGrad: like(inputs.logits), maskedLogitsGrad: like(inputs.logits) }
    const options = { perToken: true, gradient: 'new', gradNorm: true, ...gradients }
    return [inputs, { profile: 'papoExact', perceptionGradient: 'both', sftCoef: 1 }, options]
  }),
  ofObjects('lossFromLogits', () => [lossInputs(), { profile: 'papoG' }, { gradient: 'inPlace' }]),
  ofObjects('lossFromLogProbs', () => [
    logProbInputs(),
    { profile: 'papoExact', refKlCoef: 0.1, dualClip: 'off' },
    { perToken: true },
  ]),
  ofObjects('tokenLogProbs', () => {
    const { logits, tokens, responseMask } = lossInputs()
    return [
      { logits, tokens, responseMask },
      { temperature: 0.5, entropies: true },
    ]
  }),
  ofValues('groupAdvantages', ['rewards', 'groupIds'], () => [
    { rewards: numbers(8, 1), groupIds: Int32Array.of(0, 0, 5, 5, -1, -1, 0, 5) },
    { estimator: 'grpo', scale: 'group', epsilon: 1e-6 },
  ]),
  ofValues('remaxAdvantages', ['rewards', 'baselines'], () => [
    { rewards: numbers(8, 1), baselines: numbers(8, 2) },
    {},
  ]),
  ofObjects('reinforcePlusPlusAdvantages', () => [
    { rewards: numbers(N, 1), responseMask: new Uint8Array(N).fill(1), cuSeqlens: [0, 2, N] },
    { discount: 0.9, epsilon: 1e-8 },
  ]),
  ofObjects('randomPatchMask', () => [
    { height: 30, width: 40, patchSize: 14, ratio: 0.5, seed: 1n, prompt: 2, image: 3 },
  ]),
  ofValues('maskPatches', ['image'], () => [
    { image: new Uint8Array(30).fill(9) },
    {
      patchMask: new Uint8Array(6).fill(1),
      height: 3,
      width: 5,
      channels: 2,
      patchSize: 2,
      inPlace: true,
    },
  ]),
  ofValues('maskPatches', ['image'], () => [
    { image: Tensor.zeros([2, 3, 4, 5], 'float16') },
    {
      patchMask: new Uint8Array(6).fill(1),
      layout: 'planar',
      patchSize: 2,
      fill: [1, 2, 3],
      mergeSize: 1,
      out: Tensor.zeros([2, 3, 4, 5], 'float16'),
    },
  ]),
  ofValues('maskPatchRows', ['rows'], () => [
    { rows: Tensor.zeros([20, 6]) },
    {
      gridThw: [
        [1, 2, 2],
        [2, 2, 4],
      ],
      patchMask: new Uint8Array(20).fill(1),
      unit: 'patch',
      mergeSize: 2,
      fill: [-1, 0.5, 2],
      out: Tensor.zeros([20, 6]),
    },
  ]),
  ofValues('randomPatchMasks', ['images'], () => [
    {
      images: [
        { height: 30, width: 40 },
        { height: 28, width: 28, frames: 2 },
      ],
    },
    { patchSize: 14, mergeSize: 2, ratio: 0.5, seed: 1n, prompt: 2 },
  ]),
  ofValues('saliencyPatchMask', ['saliency'], () => [
    { saliency: Tensor.from(numbers(12, 3), { shape: [3, 4] }) },
    { count: 1, ratio: undefined, mergeSize: 2 },
  ]),
  ofObjects('responseRowIndex', () => [{ promptLengths: [2, 3], responseLengths: [3, [1, 2]] }]),
  ofValues('selectGroups', ['metric', 'groupIds'], () => [
    { metric: numbers(6, 2), groupIds: Int32Array.of(1, 1, 2, 2, 3, 3) },
    { low: 0, high: 1, targetGroups: 2 },
  ]),
  ofValues('overlongPenalties', ['lengths'], () => [
    { lengths: Int32Array.of(1, 5, 9) },
    { maxLength: 8, cacheLength: 4, dtype: 'float64' },
  ]),
  ofValues('overlongMask', ['lengths'], () => [
    { lengths: Int32Array.of(1, 5, 9) },
    { maxLength: 8, finished: Uint8Array.of(1, 1, 0) },
  ]),
  ofObjects('perceptionSchedule', () => [
    { start: 0.02, end: 0, steps: 10, entropyCoef: 0.1, maskedEntropyCoef: 0.1, shape: 'cosine' },
  ]),
  {
    name: 'DynamicSampler',
    valid: () => [
      { targetGroups: 1, maxRounds: 1, fallback: 'keep', low: 0, high: 1 },
      Float32Array.of(0, 1, 0, 1),
      Int32Array.of(0, 0, 1, 1),
    ],
    run: (options, metric, groupIds) => {
      const sampler = new papo.DynamicSampler(options as never)
      sampler.add(metric as never, groupIds as never)
      papo.DynamicSampler.fromJSON(sampler.toJSON(), options as never).result()
    },
  },
  {
    name: 'AdaptiveKlController',
    valid: () => [{ start: 0.1, target: 0.2, horizon: 10 }, 0.3, 2],
    run: (options, kl, steps) =>
      new papo.AdaptiveKlController(options as never).update(kl as never, steps as never),
  },
  {
    name: 'CollapseMonitor',
    valid: () => [
      { window: 3, smoothing: 0.5, patience: 2, noise: 3 },
      { step: 0, metrics: { perceptionKl: 0.1, meanEntropy: 1 }, reward: 0.5 },
    ],
    run: (options, observation) =>
      new papo.CollapseMonitor(options as never).observe(observation as never),
  },
  ofObjects('resolveObjective', () => [{ profile: 'papoG', perceptionKlCoef: 0.1 }]),
  ofObjects('linearAnnealing', () => [{ start: 1, end: 0, steps: 3 }]),
  {
    name: 'Engine.open',
    valid: () => [{ device: 'cpu', instructionSet: 'portable', threads: 1 }],
    run: (options) => Engine.open(options).dispose(),
  },
  {
    name: 'Tensor.from',
    valid: () => [{ data: new Uint16Array(12) }, { dtype: 'float16', shape: [3, 2], rowStride: 4 }],
    run: (values, options) => Tensor.from(loose(values)['data'] as TypedArray, options as object),
  },
  {
    name: 'Tensor.zeros',
    valid: () => [{ shape: [2, 3], dtype: 'bfloat16' }],
    run: (values) =>
      Tensor.zeros(loose(values)['shape'] as number[], loose(values)['dtype'] as 'float32'),
  },
]

// --- anything --------------------------------------------------------------------------------------

const disposed = Tensor.zeros([N])
disposed.dispose()
const closed = Engine.open({ threads: 1 })
closed.dispose()

const arrays = [
  Float32Array,
  Float64Array,
  Uint16Array,
  Int32Array,
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  BigInt64Array,
] as const
const lengths = fc.constantFrom(0, 1, B, T, V, N, 2 * N, N * V, N * V + 1)
const values = fc.constantFrom(0, 1, 2, -1, 4, V, 0.5, 1e9, -1e9, NaN, Infinity)

const array = fc.tuple(fc.constantFrom(...arrays), lengths, values).map(([Kind, length, value]) => {
  if (Kind === BigInt64Array) return new BigInt64Array(length)
  return new (Kind as Float32ArrayConstructor)(length).fill(value)
})
const shared = lengths.map((length) => new Float32Array(new SharedArrayBuffer(4 * length)))
const detached = lengths.map((length) => {
  const data = new Float32Array(length)
  detach(data)
  return data
})
const resizable = lengths.map((length) => {
  const Resizable = ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer
  return new Float32Array(new Resizable(4 * length, { maxByteLength: 8 * length + 4 }))
})

const shapes = fc.constantFrom([N], [B, T], [N, V], [B, T, V], [B], [1, 1, 1, 1], [N, 1], [V, N])
const dtypes = fc.constantFrom('float32', 'float16', 'bfloat16', 'float64', 'int32', 'uint8')
const tensor = fc.tuple(shapes, dtypes, values).map(([shape, dtype, value]) => {
  const made = Tensor.zeros(shape, dtype as 'float32')
  made.data.fill(value)
  return made
})

// As functions, because fast-check prints values, which detached arrays do not survive.
const anything = fc
  .oneof(
    { arbitrary: array, weight: 3 },
    { arbitrary: tensor, weight: 3 },
    { arbitrary: fc.oneof(shared, detached, resizable), weight: 1 },
    {
      arbitrary: fc.constantFrom(disposed, closed, null, undefined, () => 1, Symbol('x')),
      weight: 1,
    },
    { arbitrary: fc.oneof(fc.double(), fc.integer(), fc.bigInt(), fc.boolean()), weight: 2 },
    { arbitrary: fc.array(fc.oneof(fc.integer(), fc.double()), { maxLength: 5 }), weight: 1 },
    {
      arbitrary: fc.anything({
        withTypedArray: true,
        withNullPrototype: true,
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSparseArray: true,
      }),
      weight: 2,
    },
  )
  .map((value: unknown) => () => value)

const objectiveNames = Object.keys(papo.profiles.papoG)

/** Changes of a valid call: in which argument, under which of its names or another, to what. */
const changes = fc.array(
  fc.record({ at: fc.nat(3), name: fc.nat(), other: fc.option(fc.string()), value: anything }),
  { minLength: 1, maxLength: 3 },
)

interface Change {
  readonly at: number
  readonly name: number
  readonly other: string | null
  readonly value: () => unknown
}

function change(args: unknown[], { at, name, other, value }: Change): void {
  if (at >= args.length || name % 11 === 0) {
    if (at > 0) args[at % (args.length + 1)] = value()
    return
  }
  const given = args[at]
  if (typeof given !== 'object' || given === null || given instanceof Tensor) return
  const isObjective = 'profile' in given
  const names = isObjective ? objectiveNames : [...Object.keys(given), 'engine']
  const key = other !== null && name % 5 === 0 ? other : names[name % names.length]!
  args[at] = { ...given, [key]: value() }
}

// --- what must hold ----------------------------------------------------------------------------------

/** Every byte of the caller's behind these arguments. */
function bytes(args: readonly unknown[]): Buffer {
  const given = args.flatMap((arg) =>
    typeof arg === 'object' && arg !== null && !ArrayBuffer.isView(arg) && !(arg instanceof Tensor)
      ? Object.values(arg)
      : [arg],
  )
  const arrays = given.flatMap((value) => {
    const data = value instanceof Tensor && !value.disposed ? dataOf(value) : value
    if (!ArrayBuffer.isView(data) || data.byteLength === 0) return []
    return [Buffer.from(data.buffer, data.byteOffset, data.byteLength)]
  })
  return Buffer.concat(arrays)
}

function dataOf(value: Tensor): unknown {
  try {
    return value.data
  } catch {
    return undefined
  }
}

test.each(targets.map((target, i) => [`${target.name} (${i})`, target] as const))(
  '%s takes anything',
  (_, { valid, run }) => {
    expect(() => run(...valid())).not.toThrow()
    let refused = 0
    fc.assert(
      fc.property(changes, (list) => {
        const args = valid()
        for (const one of list) change(args, one)
        const before = bytes(args)
        try {
          run(...args)
        } catch (error) {
          if (!(error instanceof PapoError))
            throw new Error(`of ${inspect(args)}`, { cause: error })
          refused++
          expect(codes).toContain(error.code)
          expect(error.message.length).toBeGreaterThan(5)
          expect(bytes(args).equals(before)).toBe(true)
        }
      }),
      budget,
    )
    expect(refused).toBeGreaterThan(budget.numRuns / 4)
  },
)
