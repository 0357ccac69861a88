import { invalid } from '../errors'
import { describeTensor, elementsOf } from '../tensor'
import type { Tensor } from '../tensor'
import { requireSide } from './patch-grid'

/** In the order of papo_image_layout. */
export const imageLayouts = ['interleaved', 'planar'] as const
export type ImageLayout = (typeof imageLayouts)[number]

export interface ImageSizeOptions {
  /** Images or video frames; needed where image is a bare array of several. */
  frames?: number
  /** Pixels; needed where image is a bare array. */
  height?: number
  /** Pixels; needed where image is a bare array. */
  width?: number
  /** Default: what the other sizes leave. */
  channels?: number
}

export interface ImageSize {
  readonly frames: number
  readonly height: number
  readonly width: number
  readonly channels: number
}

const sizeNames = ['frames', 'height', 'width', 'channels'] as const

/** What the shape of the image and the options say, which must agree. */
export function imageSize(
  image: Tensor,
  layout: ImageLayout,
  options: ImageSizeOptions,
): ImageSize {
  const known = image.shape.length === 1 ? {} : sizeOfShape(image, layout)
  const frames = requireSide('frames', options.frames, known.frames ?? 1)
  const height = requireSide('height', options.height, known.height)
  const width = requireSide('width', options.width, known.width)
  const left = elementsOf(image.shape) / (frames * height * width)
  const channels = requireSide(
    'channels',
    options.channels,
    known.channels ?? Math.max(1, Math.floor(left)),
  )
  const size = { frames, height, width, channels }
  const agrees = sizeNames.every((name) => (known[name] ?? size[name]) === size[name])
  if (agrees && left === channels) return size
  throw invalid(
    'ERR_INVALID_SHAPE',
    'image',
    `[${imageShape(size, layout, frames > 1).join(', ')}]`,
    describeTensor(image),
  )
}

function sizeOfShape(image: Tensor, layout: ImageLayout): Partial<ImageSize> {
  const { shape } = image
  if (shape.length > 4)
    throw invalid('ERR_INVALID_SHAPE', 'image', '2 to 4 dimensions', describeTensor(image))
  if (shape.length === 2) return { frames: 1, height: shape[0]!, width: shape[1]!, channels: 1 }
  const frames = shape.length === 4 ? shape[0]! : 1
  const [a, b, c] = shape.slice(-3) as [number, number, number]
  return layout === 'planar'
    ? { frames, channels: a, height: b, width: c }
    : { frames, height: a, width: b, channels: c }
}

/** With all dimensions: [frames, height, width, channels] or [frames, channels, height, width]. */
export function imageShape(size: ImageSize, layout: ImageLayout, withFrames: boolean): number[] {
  const { frames, height, width, channels } = size
  const image = layout === 'planar' ? [channels, height, width] : [height, width, channels]
  return withFrames ? [frames, ...image] : image
}
