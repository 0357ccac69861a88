import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import { engineFor, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { describe, invalid } from '../errors'
import { newPerToken } from '../loss/results'
import { addon, slotNames } from '../native'
import { requireInteger, requireKeys, requireNumber } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import type { Tensor } from '../tensor'
import { cellGrid, requireSide } from './patch-grid'
import type { CellOptions } from './patch-grid'

/** Of one image or video. */
export interface MaskedSize {
  /** Of the image, in pixels. */
  height: number
  /** Of the image, in pixels. */
  width: number
  /** Frames that get a mask each. Default: one mask, without a dimension for frames. */
  frames?: number
}

/** What the masks of all images of a prompt have in common. */
export interface RandomPatchMasksOptions extends CellOptions {
  /** Probability of a cell to be masked, 0 to 1. Default 0.6. */
  ratio?: number
  /** 0 to 2^64 - 1 (a number up to 2^53 - 1). */
  seed: number | bigint
  /** Number of the prompt, as seed. Rollouts of one prompt share a mask. Default 0. */
  prompt?: number | bigint
  engine?: Engine
}

export interface RandomPatchMaskOptions extends MaskedSize, RandomPatchMasksOptions {
  /** Number of the image within the prompt, below 2^32. Default 0. */
  image?: number
}

const sizeNames = ['height', 'width', 'frames']
const commonNames = ['patchSize', 'mergeSize', 'ratio', 'seed', 'prompt', 'engine']
const optionNames = new Set([...sizeNames, ...commonNames, 'image'])
const optionNamesOfBatch = new Set(commonNames)
const namesOfSize = new Set(sizeNames)
const layoutOfCall = new DescriptorLayout(slotNames.randomPatchMask)

/**
 * A mask of the patch grid in which each patch is 1 (masked) with probability ratio, independently,
 * as PAPO corrupts its images (arXiv 2507.06448). With mergeSize there is one draw for each cell.
 *
 * Philox 4x32-10 (Salmon et al. 2011) keyed by the seed and counted by cell, image and prompt: the
 * mask depends on nothing else, so every batch split and machine gives the same. Frames continue
 * the count, so the first frame of a video has the mask of a still image.
 *
 * @returns uint8 [rows, columns] of cells with side mergeSize · patchSize, partial ones included;
 * [frames, rows, columns] with frames
 * @throws PapoError ERR_INVALID_OPTION, ERR_INVALID_SHAPE (2^31 cells or more)
 *
 * @example
 * const patchMask = randomPatchMask({ height, width, seed: 7, prompt: promptIndex })
 * const masked = maskPatches(Tensor.from(pixels, { shape: [height, width, 3] }), { patchMask })
 */
export function randomPatchMask(options: RandomPatchMaskOptions): Tensor {
  return runNow(prepareRandomPatchMask(options))
}

/** {@link randomPatchMask} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function randomPatchMaskAsync(
  options: Queued<RandomPatchMaskOptions>,
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareRandomPatchMask(rest), signal)
}

/**
 * The masks of all images of one prompt: {@link randomPatchMask} with image 0, 1, 2, ...
 *
 * @throws PapoError as {@link randomPatchMask}; ERR_INVALID_ARGUMENT (images is no list of sizes)
 */
export function randomPatchMasks(
  images: readonly MaskedSize[],
  options: RandomPatchMasksOptions,
): Tensor[] {
  requireKeys('options', options, optionNamesOfBatch)
  if (!Array.isArray(images))
    throw invalid('ERR_INVALID_ARGUMENT', 'images', 'a list of sizes', describe(images))
  return (images as readonly MaskedSize[]).map((size, image) => {
    requireKeys('images', size, namesOfSize)
    return randomPatchMask({ ...options, ...size, image })
  })
}

function prepareRandomPatchMask(options: RandomPatchMaskOptions): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const height = requireSide('height', options.height)
  const width = requireSide('width', options.width)
  const frames = requireSide('frames', options.frames, 1)
  const { rows, columns } = cellGrid(height, width, options)
  const settings = {
    seed: requireUint64('seed', options.seed),
    prompt: requireUint64('prompt', options.prompt ?? 0),
    image: requireInteger('image', options.image, 0, 0, 2 ** 32 - 1),
    ratio: requireNumber('ratio', options.ratio, 0.6, 0, 1),
  }
  const shape = options.frames === undefined ? [rows, columns] : [frames, rows, columns]
  const cells = frames * rows * columns
  // The counter of a cell has 32 bits; the addon would refuse it too, but after the allocation.
  if (cells >= 2 ** 31)
    throw invalid('ERR_INVALID_SHAPE', 'patchMask', 'fewer than 2^31 cells', `${cells}`)
  const engine = engineFor(options.engine)
  const handle = engineHandle(engine)
  const call = new Descriptor<'patchMask'>(layoutOfCall, engine)
  const mask = newPerToken(call, 'patchMask', { rows: cells, shape }, 'uint8')
  return {
    descriptor: call,
    run: (jobs) => addon.randomPatchMask(handle, settings, call.slots, call.shapes, jobs),
    finish: () => mask,
  }
}

function requireUint64(name: string, value: unknown): bigint {
  const wide = Number.isSafeInteger(value) ? BigInt(value as number) : value
  if (typeof wide === 'bigint' && wide >= 0n && wide < 1n << 64n) return wide
  throw invalid('ERR_INVALID_OPTION', name, 'a whole number from 0 to 2^64 - 1', describe(value))
}
