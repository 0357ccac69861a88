// Patch grids of several images or videos in one matrix of rows, and the masks that belong to them.
import type { Descriptor } from '../descriptor'
import type { TypedArray } from '../dtype'
import { describe, invalid } from '../errors'
import { describeTensor, elementsOf, tensorData, toTensor } from '../tensor'
import type { TensorLike } from '../tensor'

/** Frame groups (1 for an image), and rows and columns of patches: Qwen's image_grid_thw. */
export type GridThw = readonly [t: number, h: number, w: number]

/** Grids whose h and w are multiples of mergeSize. */
export function requireGrids(value: unknown, mergeSize: number): readonly GridThw[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalid('ERR_INVALID_OPTION', 'gridThw', 'a list of [t, h, w]', describe(value))
  for (const [i, grid] of value.entries()) {
    const fits =
      Array.isArray(grid) &&
      grid.length === 3 &&
      grid.every((side) => Number.isSafeInteger(side) && side >= 1 && side < 2 ** 31) &&
      grid[1] % mergeSize === 0 &&
      grid[2] % mergeSize === 0
    if (!fits)
      throw invalid(
        'ERR_INVALID_OPTION',
        'gridThw',
        `[t, h, w] with h and w multiples of ${mergeSize}`,
        `${Array.isArray(grid) ? `[${grid.map(describe).join(', ')}]` : describe(grid)} at index ${i}`,
      )
  }
  return value as readonly GridThw[]
}

export function patchesOf(grids: readonly GridThw[]): number {
  return grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0)
}

export function putGrids<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  grids: readonly GridThw[],
): void {
  const data = call.allocate(slot, 'int32', 3 * grids.length)
  data.set(grids.flat())
  call.matrix(slot, data, 'int32', grids.length, 3, 3)
}

/**
 * Puts a value for each patch, or token of side x side patches, of every frame group of every image.
 * A mask that is given once for an image with several frame groups is repeated for each of them.
 */
export function putMasks<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  masks: TensorLike | readonly TensorLike[],
  grids: readonly GridThw[],
  side: number,
): void {
  const cellGrids = grids.map(([t, h, w]) => [t, h / side, w / side] as const)
  const list = Array.isArray(masks)
    ? (masks as readonly TensorLike[]).map((mask) => maskValues(slot, mask))
    : [maskValues(slot, masks as TensorLike)]
  const all = call.allocate(slot, 'uint8', patchesOf(cellGrids))
  if (list.length === cellGrids.length) fillFromList(slot, list, cellGrids, all)
  else if (!Array.isArray(masks)) fillFromVector(slot, list[0]!, cellGrids, all)
  else throw invalid('ERR_INVALID_SHAPE', slot, `${grids.length} masks`, `${list.length}`)
  call.vector(slot, all, 'uint8', all.length)
}

interface MaskValues {
  readonly shape: readonly number[]
  readonly data: TypedArray
  readonly text: string
}

function maskValues(argument: string, value: TensorLike): MaskValues {
  const tensor = toTensor(argument, value)
  const { shape, dtype, rowStride } = tensor
  const data = tensorData(tensor, argument)
  const text = describeTensor(tensor)
  if (dtype !== 'uint8') throw invalid('ERR_INVALID_DTYPE', argument, 'uint8', text)
  if (shape.length > 1 && rowStride !== shape[shape.length - 1])
    throw invalid('ERR_INVALID_SHAPE', argument, 'values without gaps', `rowStride ${rowStride}`)
  return { shape, data, text }
}

function fillFromList(
  argument: string,
  masks: readonly MaskValues[],
  grids: readonly GridThw[],
  all: TypedArray,
): void {
  let at = 0
  grids.forEach(([t, h, w], i) => {
    const { shape, data, text } = masks[i]!
    const [once, every] = [
      [h, w],
      [t, h, w],
    ] as const
    const fits = [once, every, [h * w], [t * h * w]].some((s) => String(s) === String(shape))
    if (!fits)
      throw invalid(
        'ERR_INVALID_SHAPE',
        argument,
        `[${once.join(', ')}] or [${every.join(', ')}]`,
        text,
      )
    const values = data.subarray(0, elementsOf(shape))
    for (let end = at + t * h * w; at < end; at += values.length) all.set(values, at)
  })
}

function fillFromVector(
  argument: string,
  { shape, data, text }: MaskValues,
  grids: readonly GridThw[],
  all: TypedArray,
): void {
  const once = grids.reduce((sum, [, h, w]) => sum + h * w, 0)
  if (shape.length !== 1 || (data.length !== all.length && data.length !== once))
    throw invalid('ERR_INVALID_SHAPE', argument, `[${all.length}] or [${once}]`, text)
  const isWhole = data.length === all.length
  let from = 0
  const masks = grids.map(([t, h, w]) => {
    const length = isWhole ? t * h * w : h * w
    from += length
    return { shape: [length], data: data.subarray(from - length, from), text }
  })
  fillFromList(argument, masks, grids, all)
}
