import path from 'node:path'

import load from 'node-gyp-build'
import type { TypedArray } from './dtype'
import { PapoError } from './errors'
import type { PapoErrorCode } from './errors'
import { metricNames, optionRows } from './loss/objective-table'
import { mending, packageRoot } from './package'

/** The engine object of the addon; owns native memory until dispose() or collection. */
export interface NativeEngine {
  instructionSet(): string
  threads(): number
  /** cudaStream_t; 0n on the CPU */
  stream(): bigint
  /** Waits for the stream and throws what only the device could see. */
  synchronize(): void
  /** Bytes free and bytes in all, of the device. */
  memoryInfo(): [free: number, total: number]
  dispose(): void
}

/** A piece of a device's memory, which lives as long as an object or a queued call holds it. */
export interface NativeMemory {
  pointer(): bigint
  /** papo_tensor.device */
  device(): number
  /** Sets all bytes to 0, and returns when that is done. */
  clear(engine: NativeEngine): void
  /** What another process opens it with. */
  share(engine: NativeEngine): { handle: Uint8Array; offset: number }
  dispose(): void
}

export interface NativeEvent {
  wait(engine: NativeEngine): void
  synchronize(): void
  elapsedSince(earlier: NativeEvent): number
  dispose(): void
}

/** Calls of this thread that wait or run in the queue of a device. */
export interface NativeJobs {
  /** Whether the call had not begun; it never will then, and settled() is not called for it. */
  cancel(job: number): boolean
}

/** papo_cuda_driver of papo.h; versions are 1000 * major + 10 * minor, 0 and '' stand for none. */
export interface NativeCudaDriver {
  readonly runtimeVersion: number
  readonly driverVersion: number
  readonly state: 'ready' | 'absent' | 'incomplete' | 'failed'
  readonly result: number
  readonly function: string
  readonly message: string
  readonly deviceCount: number
  readonly devices: readonly {
    readonly name: string
    readonly major: number
    readonly minor: number
    readonly memory: number
  }[]
}

export type Slots = readonly (TypedArray | NativeMemory | undefined)[]

/**
 * What bindings/node/addon.cpp exports: the whole native surface. Not public.
 *
 * slots: the tensors of a call in the order of the lists below; shapes: rows, columns, rowStride
 * and dtype of each. Computations run at once, or are queued where jobs is given and return the
 * number of the job. Errors are plain, with a `code`; see fromNative().
 */
export interface Addon {
  readonly abiVersion: number
  readonly version: string
  readonly metricCount: number
  readonly layout: Readonly<Record<string, readonly string[]>>
  readonly Engine: new (
    device: number,
    instructionSet: string | undefined,
    threads: number,
    stream?: bigint,
  ) => NativeEngine
  readonly DeviceMemory: {
    new (kind: 'pool' | 'shareable', engine: NativeEngine, bytes: number): NativeMemory
    /** Somebody else's memory, checked with the driver and never freed. */
    new (kind: 'pointer', engine: NativeEngine, bytes: number, pointer: bigint): NativeMemory
    /** Another process's memory. */
    new (
      kind: 'imported',
      engine: NativeEngine,
      bytes: number,
      handle: Uint8Array,
      offset: number,
    ): NativeMemory
    /** A part that keeps the whole alive. */
    new (kind: 'view', memory: NativeMemory, bytes: number, offset: number): NativeMemory
  }
  /** The point behind everything that the engine was given by now. */
  readonly Event: new (
    engine: NativeEngine,
  ) => NativeEvent
  readonly Jobs: new (
    settled: (job: number, code: PapoErrorCode | undefined, message: string | undefined) => void,
  ) => NativeJobs
  instructionSets(): string[]
  loss(
    engine: NativeEngine,
    objective: Float64Array,
    slots: Slots,
    shapes: Float64Array,
    cuSeqlens: BigInt64Array | undefined,
    responses: number,
    gradNorm: boolean,
    jobs?: NativeJobs,
  ): number | undefined
  tokenLogProbs(
    engine: NativeEngine,
    temperature: number,
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  advantages(
    engine: NativeEngine,
    settings: {
      readonly estimator: number
      readonly scale: number
      readonly epsilon: number
      readonly discount: number
      readonly responses: number
    },
    slots: Slots,
    shapes: Float64Array,
    cuSeqlens: BigInt64Array | undefined,
    jobs?: NativeJobs,
  ): number | undefined
  maskPatches(
    engine: NativeEngine,
    settings: {
      readonly layout: number
      readonly frames: number
      readonly height: number
      readonly width: number
      readonly channels: number
      readonly patchSize: number
      readonly mergeSize: number
    },
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  maskPatchRows(
    engine: NativeEngine,
    settings: { readonly unit: number; readonly mergeSize: number },
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  randomPatchMask(
    engine: NativeEngine,
    settings: {
      readonly seed: bigint
      readonly prompt: bigint
      readonly image: number
      readonly ratio: number
    },
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  saliencyPatchMask(
    engine: NativeEngine,
    settings: {
      readonly frames: number
      readonly height: number
      readonly width: number
      readonly mergeSize: number
      readonly count: number
    },
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  /** Between two tensors of one shape and dtype, at least one of them on the engine's device. */
  copy(
    engine: NativeEngine,
    slots: Slots,
    shapes: Float64Array,
    jobs?: NativeJobs,
  ): number | undefined
  /** Zeroed host memory that the engine's device copies from and to without a detour. */
  pinnedBuffer(engine: NativeEngine, bytes: number): ArrayBuffer
  /** A hint to the system for a new array that has not been written yet. */
  preferHugePages(data: TypedArray): void
  /** Fastest first, also those that this processor cannot run; features: with commas. */
  compiledInstructionSets(): { name: string; features: string; usable: boolean }[]
  /** Looks for the NVIDIA driver and initialises it. */
  cudaDriver(): NativeCudaDriver
}

/** The tensors of each call, in the order of the structs of papo.h. */
export const slotNames = {
  loss: [
    'logits',
    'maskedLogits',
    'logProbs',
    'maskedLogProbs',
    'entropies',
    'maskedEntropies',
    'exactPerceptionKl',
    'tokens',
    'rowIndex',
    'responseMask',
    'oldLogProbs',
    'refLogProbs',
    'advantages',
    'tokenWeights',
    'perceptionWeights',
    'sftMask',
    'metrics',
    'logitsGrad',
    'maskedLogitsGrad',
    'outLogProbs',
    'outMaskedLogProbs',
    'outEntropies',
    'outMaskedEntropies',
    'ratios',
    'refKlPerToken',
    'perceptionKlPerToken',
    'logProbsGrad',
    'maskedLogProbsGrad',
    'entropiesGrad',
    'maskedEntropiesGrad',
    'exactPerceptionKlGrad',
  ],
  tokenLogProbs: [
    'logits',
    'tokens',
    'rowIndex',
    'responseMask',
    'logProbs',
    'entropies',
    'logSumExps',
  ],
  advantages: ['rewards', 'groupIds', 'baselines', 'responseMask', 'advantages', 'returns'],
  maskPatches: ['image', 'patchMask', 'fill', 'out'],
  maskPatchRows: ['rows', 'gridThw', 'patchMask', 'fill', 'out'],
  randomPatchMask: ['patchMask'],
  saliencyPatchMask: ['saliency', 'patchMask'],
  copy: ['source', 'destination'],
} as const

const abiVersion = 1

function notFound(what: string, cause?: unknown): PapoError {
  return new PapoError(
    'ERR_ADDON_NOT_FOUND',
    [
      `papo-kernels has no usable native binary for ${process.platform}-${process.arch}.`,
      `- ${mending.scripts}:`,
      ...mending.scriptCommands.map((command) => `    ${command}`),
      `- ${mending.build}.`,
      '- npx papo-kernels doctor says what is missing here.',
      `(${what})`,
    ].join('\n'),
    { cause },
  )
}

// A binary left behind by another version would read the arguments in another order; it is found
// out here and not by its results.
function requireSameLayout(addon: Addon): Addon {
  const expected: Record<string, readonly string[]> = {
    objective: optionRows.map((row) => row.name),
    ...slotNames,
  }
  const fits =
    addon.abiVersion === abiVersion &&
    addon.metricCount === metricNames.length &&
    Object.keys(expected).every((name) => String(addon.layout[name]) === String(expected[name]))
  if (!fits) throw notFound(`the binary found is of another version, ${addon.version}`)
  return addon
}

function loadAddon(): Addon {
  let binary: unknown
  try {
    // For tests: another build of the addon, as npm run build:simt makes one.
    const file = process.env['PAPO_KERNELS_ADDON']
    binary = file ? require(path.resolve(file)) : load(packageRoot)
  } catch (cause) {
    throw notFound(cause instanceof Error ? cause.message.trim() : String(cause), cause)
  }
  return requireSameLayout(binary as Addon)
}

export const addon = loadAddon()
