import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import { defaultEngine, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { invalid } from '../errors'
import { putVector } from '../loss/inputs'
import { addon, slotNames } from '../native'
import { requireBoolean, requireKeys } from '../options'
import { describeTensor, elementsOf, makeTensor, tensorData, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { patchGrid, requireSide } from './patch-grid'

export interface MaskPatchesOptions {
  /** uint8, one value per patch of the grid, row by row: 1 = black. See {@link randomPatchMask}. */
  patchMask: TensorLike
  /** Pixels; needed where image is a bare array. */
  height?: number
  /** Pixels; needed where image is a bare array. */
  width?: number
  /** Default: what height and width leave. */
  channels?: number
  /** Side of a patch, in pixels. Default 14. */
  patchSize?: number
  /** true: image itself is blackened. Default false: a new tensor. */
  inPlace?: boolean
  engine?: Engine
}

interface ImageSize {
  readonly height: number
  readonly width: number
  readonly channels: number
}

const optionNames = new Set([
  'patchMask',
  'height',
  'width',
  'channels',
  'patchSize',
  'inPlace',
  'engine',
])
const layoutOfCall = new DescriptorLayout(slotNames.maskPatches)

type MaskCall = Descriptor<(typeof slotNames.maskPatches)[number]>

/**
 * The masked image of PAPO (arXiv 2507.06448): all channels of the chosen patches, alpha included,
 * become 0. The grid starts at the top-left; patches at the right and bottom edges may be partial.
 *
 * @param image uint8 [height, width, channels] or [height, width], channels innermost
 * @returns the masked image, in the shape of image; image itself where inPlace
 * @throws PapoError with the argument's name
 */
export function maskPatches(image: TensorLike, options: MaskPatchesOptions): Tensor {
  return runNow(prepareMaskPatches(image, options))
}

function prepareMaskPatches(image: TensorLike, options: MaskPatchesOptions): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const source = toTensor('image', image)
  const size = imageSize(source, options)
  const { patchSize, rows, columns } = patchGrid(size.height, size.width, options.patchSize)
  const handle = engineHandle(options.engine ?? defaultEngine())
  const call: MaskCall = new Descriptor(layoutOfCall)
  const patchMask = toTensor('patchMask', options.patchMask)
  if (elementsOf(patchMask.shape) !== rows * columns)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'patchMask',
      `[${rows}, ${columns}]`,
      describeTensor(patchMask),
    )
  putVector(call, 'patchMask', patchMask, 'uint8')
  const masked = putImages(call, source, size, requireBoolean('inPlace', options.inPlace, false))
  return {
    descriptor: call,
    run: (jobs) => addon.maskPatches(handle, { ...size, patchSize }, call.slots, call.shapes, jobs),
    finish: () => masked,
  }
}

function imageSize(image: Tensor, options: MaskPatchesOptions): ImageSize {
  const [height, width, channels] = image.shape.length === 1 ? [] : [...image.shape, 1]
  const size = {
    height: requireSide('height', options.height, height),
    width: requireSide('width', options.width, width),
    channels: 0,
  }
  const left = elementsOf(image.shape) / (size.height * size.width)
  size.channels = requireSide(
    'channels',
    options.channels,
    channels ?? Math.max(1, Math.floor(left)),
  )
  const agrees =
    image.shape.length === 1 ||
    (size.height === height && size.width === width && size.channels === channels)
  if (image.shape.length > 3 || !agrees || left !== size.channels)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'image',
      `[${size.height}, ${size.width}, ${size.channels}]`,
      describeTensor(image),
    )
  return size
}

function putImages(call: MaskCall, image: Tensor, size: ImageSize, inPlace: boolean): Tensor {
  const pixels = size.height * size.width
  const { channels } = size
  const { shape, dtype } = image
  const data = tensorData(image, 'image')
  if (dtype !== 'uint8') throw invalid('ERR_INVALID_DTYPE', 'image', 'uint8', describeTensor(image))
  if (shape.length > 1 && image.rowStride !== shape[shape.length - 1])
    throw invalid(
      'ERR_INVALID_SHAPE',
      'image',
      'pixels without gaps',
      `rowStride ${image.rowStride}`,
    )
  const out = inPlace ? data : call.allocate('image', 'uint8', pixels * channels)
  call.matrix('image', data, 'uint8', pixels, channels, channels)
  call.matrix('out', out, 'uint8', pixels, channels, channels)
  if (inPlace) return image
  const outShape = shape.length === 1 ? [size.height, size.width, channels] : shape
  return makeTensor(out, 'uint8', outShape, outShape[outShape.length - 1]!)
}
