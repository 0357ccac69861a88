// Patch grids of several images or videos in one matrix of rows, and the masks that belong to them.
import { copyNow } from '../copy'
import type { CopySide } from '../copy'
import type { Descriptor } from '../descriptor'
import type { Engine } from '../engine'
import { describe, invalid } from '../errors'
import { part, wrongDevice } from '../storage'
import type { Storage } from '../storage'
import { describeTensor, elementsOf, tensorData, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'

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
  const data = call.allocateOnHost(slot, 'int32', 3 * grids.length)
  data.set(grids.flat())
  call.onHost(slot, data, 'int32', grids.length, 3)
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
  for (const { tensor } of list)
    if (tensor.device !== call.engine.device)
      throw wrongDevice(slot, call.engine.device, tensor.device)
  const cells = patchesOf(cellGrids)
  const all = call.allocate(slot, 'uint8', cells)
  const write = (mask: Vector, at: number) => writePart(all, at, mask, call.engine)
  if (list.length === cellGrids.length) fillFromList(slot, list, cellGrids, write)
  else if (!Array.isArray(masks)) fillFromVector(slot, list[0]!, cellGrids, write)
  else throw invalid('ERR_INVALID_SHAPE', slot, `${grids.length} masks`, `${list.length}`)
  call.vector(slot, all, 'uint8', cells)
}

/** Values without gaps. */
interface Vector {
  readonly data: Storage
  readonly begin: number
  readonly length: number
}

interface MaskValues extends Vector {
  readonly tensor: Tensor
  readonly shape: readonly number[]
}

function maskValues(argument: string, value: TensorLike): MaskValues {
  const tensor = toTensor(argument, value)
  const { shape, dtype, rowStride } = tensor
  const data = tensorData(tensor, argument)
  if (dtype !== 'uint8')
    throw invalid('ERR_INVALID_DTYPE', argument, 'uint8', describeTensor(tensor))
  if (shape.length > 1 && rowStride !== shape[shape.length - 1])
    throw invalid('ERR_INVALID_SHAPE', argument, 'values without gaps', `rowStride ${rowStride}`)
  return { tensor, shape, data, begin: 0, length: elementsOf(shape) }
}

function writePart(all: Storage, at: number, mask: Vector, engine: Engine): void {
  const side = (data: Storage, begin: number): CopySide => ({
    storage: part(data, 'uint8', begin, mask.length),
    dtype: 'uint8',
    shape: [mask.length],
    rowStride: mask.length,
  })
  copyNow(side(mask.data, mask.begin), side(all, at), engine)
}

function fillFromList(
  argument: string,
  masks: readonly MaskValues[],
  grids: readonly GridThw[],
  write: (mask: Vector, at: number) => void,
): void {
  let at = 0
  grids.forEach(([t, h, w], i) => {
    const mask = masks[i]!
    const [once, every] = [
      [h, w],
      [t, h, w],
    ] as const
    const shapes = [once, every, [h * w], [t * h * w]]
    if (!shapes.some((shape) => String(shape) === String(mask.shape)))
      throw invalid(
        'ERR_INVALID_SHAPE',
        argument,
        `[${once.join(', ')}] or [${every.join(', ')}]`,
        describeTensor(mask.tensor),
      )
    for (const end = at + t * h * w; at < end; at += mask.length) write(mask, at)
  })
}

function fillFromVector(
  argument: string,
  mask: MaskValues,
  grids: readonly GridThw[],
  write: (mask: Vector, at: number) => void,
): void {
  const whole = patchesOf(grids)
  const once = grids.reduce((sum, [, h, w]) => sum + h * w, 0)
  const { length } = mask
  if (mask.shape.length !== 1 || (length !== whole && length !== once))
    throw invalid(
      'ERR_INVALID_SHAPE',
      argument,
      `[${whole}] or [${once}]`,
      describeTensor(mask.tensor),
    )
  let begin = 0
  const masks = grids.map(([t, h, w]) => {
    const length = mask.length === whole ? t * h * w : h * w
    begin += length
    return { ...mask, shape: [length], begin: begin - length, length }
  })
  fillFromList(argument, masks, grids, write)
}
