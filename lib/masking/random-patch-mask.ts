import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import { defaultEngine, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { describe, invalid } from '../errors'
import { newPerToken } from '../loss/results'
import { addon, slotNames } from '../native'
import { requireInteger, requireKeys, requireNumber } from '../options'
import type { Tensor } from '../tensor'
import { patchGrid, requireSide } from './patch-grid'

export interface RandomPatchMaskOptions {
  /** Of the image, in pixels. */
  height: number
  /** Of the image, in pixels. */
  width: number
  /** Side of a patch, in pixels. Default 14. */
  patchSize?: number
  /** Probability of a patch to be masked, 0 to 1. Default 0.6. */
  ratio?: number
  /** 0 to 2^64 - 1 (a number up to 2^53 - 1). */
  seed: number | bigint
  /** Number of the prompt, as seed. Rollouts of one prompt share a mask. Default 0. */
  prompt?: number | bigint
  /** Number of the image within the prompt, below 2^32. Default 0. */
  image?: number
  engine?: Engine
}

const optionNames = new Set([
  'height',
  'width',
  'patchSize',
  'ratio',
  'seed',
  'prompt',
  'image',
  'engine',
])
const layoutOfCall = new DescriptorLayout(slotNames.randomPatchMask)

/**
 * A mask of the patch grid in which each patch is 1 (black) with probability ratio, independently,
 * as PAPO corrupts its images (arXiv 2507.06448). Philox 4x32-10 keyed by the seed and counted by
 * patch, image and prompt: the mask depends on nothing else, so every batch split gives the same.
 *
 * @returns uint8 [ceil(height / patchSize), ceil(width / patchSize)]
 * @throws PapoError ERR_INVALID_OPTION
 *
 * @example
 * const patchMask = randomPatchMask({ height, width, seed: 7, prompt: promptIndex })
 * const masked = maskPatches(Tensor.from(pixels, { shape: [height, width, 3] }), { patchMask })
 */
export function randomPatchMask(options: RandomPatchMaskOptions): Tensor {
  return runNow(prepareRandomPatchMask(options))
}

function prepareRandomPatchMask(options: RandomPatchMaskOptions): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const height = requireSide('height', options.height)
  const width = requireSide('width', options.width)
  const { rows, columns } = patchGrid(height, width, options.patchSize)
  const settings = {
    seed: requireUint64('seed', options.seed),
    prompt: requireUint64('prompt', options.prompt ?? 0),
    image: requireInteger('image', options.image, 0, 0, 2 ** 32 - 1),
    ratio: requireNumber('ratio', options.ratio, 0.6, 0, 1),
  }
  const handle = engineHandle(options.engine ?? defaultEngine())
  const call = new Descriptor<'patchMask'>(layoutOfCall)
  const shape = [rows, columns]
  const mask = newPerToken(call, 'patchMask', { rows: rows * columns, shape }, 'uint8')
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
