import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import { engineFor, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { invalid } from '../errors'
import { putVector } from '../loss/inputs'
import { addon, slotNames } from '../native'
import { requireKeys, requireOneOf } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { describeTensor, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { putDestination, putInput } from './destination'
import type { DestinationOptions, RowView } from './destination'
import { putFill } from './fill'
import type { Fill } from './fill'
import { imageLayouts, imageShape, imageSize } from './image-size'
import type { ImageLayout, ImageSize, ImageSizeOptions } from './image-size'
import { cellGrid } from './patch-grid'
import type { CellGrid, CellOptions } from './patch-grid'

export interface MaskPatchesOptions extends CellOptions, DestinationOptions, ImageSizeOptions {
  /**
   * uint8, one value per cell of the grid, row by row: 1 = masked. [rows, columns] for all frames,
   * or [frames, rows, columns]. See {@link randomPatchMask} and {@link saliencyPatchMask}.
   */
  patchMask: TensorLike
  /** 'interleaved' (default): channels are the last dimension; 'planar': the first of an image. */
  layout?: ImageLayout
  /**
   * Value of masked elements in the image's dtype, or one for each channel; default 0. Black after
   * normalisation is -mean / std of each channel.
   */
  fill?: Fill
  engine?: Engine
}

const optionNames = new Set([
  'patchMask',
  'layout',
  'frames',
  'height',
  'width',
  'channels',
  'patchSize',
  'mergeSize',
  'fill',
  'out',
  'inPlace',
  'engine',
])
const layoutOfCall = new DescriptorLayout(slotNames.maskPatches)

type MaskCall = Descriptor<(typeof slotNames.maskPatches)[number]>

/**
 * The masked image of PAPO (arXiv 2507.06448): all channels of the chosen patches, alpha included,
 * become the fill, as in the authors' code; all other bits are copied. The grid starts at the
 * top-left; patches at the right and bottom edges may be partial.
 *
 * @param image uint8, float32, float16, bfloat16 or float64: [height, width],
 * [height, width, channels] or [frames, height, width, channels]; planar [channels, height, width]
 * or [frames, channels, height, width]. Where the last dimension is the width, its rows may be
 * padded (rowStride).
 * @returns the masked image, in the shape of image; out or image itself where those were asked for
 * @throws PapoError with the argument's name
 *
 * @example
 * const patchMask = randomPatchMask({ height, width, seed, prompt })
 * const masked = maskPatches(Tensor.from(pixels, { shape: [height, width, 3] }), { patchMask })
 */
export function maskPatches(image: TensorLike, options: MaskPatchesOptions): Tensor {
  return runNow(prepareMaskPatches(image, options))
}

/** {@link maskPatches} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function maskPatchesAsync(
  image: TensorLike,
  options: Queued<MaskPatchesOptions>,
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareMaskPatches(image, rest), signal)
}

function prepareMaskPatches(image: TensorLike, options: MaskPatchesOptions): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const source = toTensor('image', image)
  const layout = requireOneOf('layout', options.layout, imageLayouts)
  const size = imageSize(source, layout, options)
  const grid = cellGrid(size.height, size.width, options)
  const engine = engineFor(options.engine, source)
  const handle = engineHandle(engine)
  const call: MaskCall = new Descriptor(layoutOfCall, engine)
  putPatchMask(call, toTensor('patchMask', options.patchMask), size.frames, grid)
  putFill(call, 'fill', options.fill, size.channels)
  const masked = putImages(call, source, layout, size, options)
  const { patchSize, mergeSize } = grid
  const settings = { ...size, layout: imageLayouts.indexOf(layout), patchSize, mergeSize }
  return {
    descriptor: call,
    run: (jobs) => addon.maskPatches(handle, settings, call.slots, call.shapes, jobs),
    finish: () => masked,
  }
}

function putPatchMask(call: MaskCall, mask: Tensor, frames: number, grid: CellGrid): void {
  const { rows, columns } = grid
  const shapes = [[rows * columns], [rows, columns], [frames * rows * columns]]
  const fits = [...shapes, [frames, rows, columns]].some(
    (shape) => String(shape) === String(mask.shape),
  )
  if (!fits) {
    const perFrame = frames > 1 ? ` or [${frames}, ${rows}, ${columns}]` : ''
    const expected = `[${rows}, ${columns}]${perFrame}`
    throw invalid('ERR_INVALID_SHAPE', 'patchMask', expected, describeTensor(mask))
  }
  putVector(call, 'patchMask', mask, 'uint8')
}

function putImages(
  call: MaskCall,
  image: Tensor,
  layout: ImageLayout,
  size: ImageSize,
  options: MaskPatchesOptions,
): Tensor {
  const { frames, height, width, channels } = size
  const isPlanar = layout === 'planar'
  const columns = isPlanar ? width : width * channels
  const isFlat = image.shape.length === 1
  const shape = isFlat ? imageShape(size, layout, options.frames !== undefined) : image.shape
  const strideOf = (argument: string, tensor: Tensor) => {
    if (tensor.shape.length === 1) return columns
    const endsWithWidth = isPlanar || tensor.shape.length === 2
    return endsWithWidth ? tensor.rowStride : contiguousRow(argument, tensor, columns)
  }
  const view: RowView = {
    tensor: image,
    rows: frames * (isPlanar ? channels : 1) * height,
    columns,
    rowStride: strideOf('image', image),
  }
  putInput(call, 'image', view)
  return putDestination(call, 'out', view, shape, strideOf, options)
}

// The rowStride of an interleaved image lies between its pixels.
function contiguousRow(argument: string, tensor: Tensor, columns: number): number {
  if (tensor.rowStride === tensor.shape[tensor.shape.length - 1]) return columns
  throw invalid(
    'ERR_INVALID_SHAPE',
    argument,
    'pixels without gaps',
    `rowStride ${tensor.rowStride}`,
  )
}
