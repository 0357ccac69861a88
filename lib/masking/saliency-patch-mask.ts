import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import type { DType } from '../dtype'
import { engineFor, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { invalid } from '../errors'
import { newPerToken } from '../loss/results'
import { addon, slotNames } from '../native'
import { requireInteger, requireKeys, requireNumber } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { describeTensor, tensorData, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { largestSide, requireSide } from './patch-grid'

export interface SaliencyPatchMaskOptions {
  /** Share of the cells of a frame to mask, 0 to 1: round(ratio · cells), half up. Default 0.6. */
  ratio?: number
  /** How many cells of a frame to mask, instead of ratio. */
  count?: number
  /** Patches along a side of a cell, whose saliency is the mean of its patches. Default 1. */
  mergeSize?: number
  engine?: Engine
}

const optionNames = new Set(['ratio', 'count', 'mergeSize', 'engine'])
const dtypes: readonly DType[] = ['float32', 'float16', 'bfloat16', 'float64']
const layoutOfCall = new DescriptorLayout(slotNames.saliencyPatchMask)

/**
 * A mask of the most salient patches: the semantic masking of PAPO (arXiv 2507.06448), whose authors
 * take the attention of DINOv2 that a patch receives; here any saliency of the caller's. The paper
 * masks the top k and does not say how k is rounded.
 *
 * In each frame exactly that many cells are masked; of equally salient ones those that come first,
 * row by row. Infinite values are ordered like any other.
 *
 * @param saliency float32, float16, bfloat16 or float64, one value per patch: [rows, columns],
 * [frames, rows, columns], or [patches] without mergeSize
 * @returns uint8, 1 = masked; in the shape of saliency, rows and columns divided by mergeSize and
 * rounded up
 * @throws PapoError ERR_INVALID_VALUE where the saliency of a cell is NaN, and as usual
 */
export function saliencyPatchMask(
  saliency: TensorLike,
  options: SaliencyPatchMaskOptions = {},
): Tensor {
  return runNow(prepareSaliencyPatchMask(saliency, options))
}

/** {@link saliencyPatchMask} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function saliencyPatchMaskAsync(
  saliency: TensorLike,
  options: Queued<SaliencyPatchMaskOptions> = {},
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareSaliencyPatchMask(saliency, rest), signal)
}

function prepareSaliencyPatchMask(
  saliency: TensorLike,
  options: SaliencyPatchMaskOptions,
): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const tensor = toTensor('saliency', saliency)
  const mergeSize = requireSide('mergeSize', options.mergeSize, 1)
  const size = patchesOf(tensor, mergeSize)
  const { frames, height, width } = size
  const [rows, columns] = [Math.ceil(height / mergeSize), Math.ceil(width / mergeSize)]
  const settings = { ...size, mergeSize, count: requireCount(options, rows * columns) }
  const engine = engineFor(options.engine, tensor)
  const handle = engineHandle(engine)
  const call = new Descriptor<(typeof slotNames.saliencyPatchMask)[number]>(layoutOfCall, engine)
  const stride = tensor.shape.length === 1 ? width : tensor.rowStride
  const data = tensorData(tensor, 'saliency')
  call.matrix('saliency', data, tensor.dtype, frames * height, width, stride)
  const shape = [frames, rows, columns].slice(-tensor.shape.length)
  const layout = { rows: frames * rows * columns, shape }
  const mask = newPerToken(call, 'patchMask', layout, 'uint8')
  return {
    descriptor: call,
    run: (jobs) => addon.saliencyPatchMask(handle, settings, call.slots, call.shapes, jobs),
    finish: () => mask,
  }
}

interface SaliencySize {
  readonly frames: number
  readonly height: number
  readonly width: number
}

function patchesOf(tensor: Tensor, mergeSize: number): SaliencySize {
  const { shape, dtype } = tensor
  if (!dtypes.includes(dtype))
    throw invalid('ERR_INVALID_DTYPE', 'saliency', dtypes.join(', '), describeTensor(tensor))
  const [width, height = 1, frames = 1] = [...shape].reverse() as [number, number?, number?]
  const isTooLarge = shape.some((side) => side > largestSide)
  // A vector does not say which patches are neighbours.
  if (shape.length > 3 || isTooLarge || (shape.length === 1 && mergeSize > 1))
    throw invalid(
      'ERR_INVALID_SHAPE',
      'saliency',
      `[rows, columns] or [frames, rows, columns], each at most ${largestSide}`,
      describeTensor(tensor),
    )
  return { frames, height, width }
}

function requireCount({ ratio, count }: SaliencyPatchMaskOptions, cells: number): number {
  if (count === undefined) return Math.round(requireNumber('ratio', ratio, 0.6, 0, 1) * cells)
  if (ratio !== undefined)
    throw invalid('ERR_INVALID_ARGUMENT', 'count', 'none where ratio is given', 'both')
  return requireInteger('count', count, undefined, 0, cells)
}
