import { runNow } from '../call'
import type { PreparedCall } from '../call'
import { Descriptor, DescriptorLayout } from '../descriptor'
import { engineFor, engineHandle } from '../engine'
import type { Engine } from '../engine'
import { invalid } from '../errors'
import { addon, slotNames } from '../native'
import { requireKeys, requireOneOf } from '../options'
import { runQueued, takeSignal } from '../queue'
import type { Queued } from '../queue'
import { describeTensor, elementsOf, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'
import { putDestination, putInput } from './destination'
import type { DestinationOptions, RowView } from './destination'
import { putFill } from './fill'
import type { Fill } from './fill'
import { requireSide } from './patch-grid'
import { patchesOf, putGrids, putMasks, requireGrids } from './patch-order'
import type { GridThw } from './patch-order'

export interface MaskPatchRowsOptions extends DestinationOptions {
  /** [t, h, w] of each image or video in the matrix: the processor's image_grid_thw. */
  gridThw: readonly GridThw[]
  /**
   * uint8, 1 = masked, row-major over the image and not in the order of the rows: for one image
   * [h, w] or [t, h, w]; for several a list of those, or all of them in one vector. Without t one
   * mask holds for every frame group. See unit.
   */
  patchMask: TensorLike | readonly TensorLike[]
  /**
   * What a value of patchMask stands for. 'patch' (default): one patch. 'token': the
   * mergeSize x mergeSize patches of one visual token, and the mask is [h / mergeSize, w / mergeSize].
   */
  unit?: 'patch' | 'token'
  /** Patches along a side of a visual token. Default 2; 1: rows are in the order of the image. */
  mergeSize?: number
  /** Value of masked elements, or one for each channel; default 0. Black is -mean / std. */
  fill?: Fill
  engine?: Engine
}

// In the order of papo_mask_unit.
const units = ['patch', 'token'] as const
const optionNames = new Set([
  'gridThw',
  'patchMask',
  'unit',
  'mergeSize',
  'fill',
  'out',
  'inPlace',
  'engine',
])
const layoutOfCall = new DescriptorLayout(slotNames.maskPatchRows)

/**
 * The masked image of PAPO (arXiv 2507.06448) after the processor of Qwen2-VL, Qwen2.5-VL or
 * Qwen3-VL, whose pixel_values have one patch in each row.
 *
 * Rows: images follow each other; within one the order is t, h / merge, w / merge, merge, merge, so
 * that the patches of a visual token are neighbours. Features of a row: channel, time, y, x, that is
 * 3 · 2 · 14 · 14 = 1176 for Qwen2.5-VL and 3 · 2 · 16 · 16 = 1536 for Qwen3-VL; a fill for each
 * channel goes to its third of the row.
 *
 * @param rows uint8, float32, float16, bfloat16 or float64 [patches, features]; rows may be padded
 * @returns the masked rows, in the shape of rows; out or rows itself where those were asked for
 * @throws PapoError with the argument's name
 */
export function maskPatchRows(rows: TensorLike, options: MaskPatchRowsOptions): Tensor {
  return runNow(prepareMaskPatchRows(rows, options))
}

/** {@link maskPatchRows} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function maskPatchRowsAsync(
  rows: TensorLike,
  options: Queued<MaskPatchRowsOptions>,
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareMaskPatchRows(rows, rest), signal)
}

function prepareMaskPatchRows(
  rows: TensorLike,
  options: MaskPatchRowsOptions,
): PreparedCall<Tensor> {
  requireKeys('options', options, optionNames)
  const mergeSize = requireSide('mergeSize', options.mergeSize, 2)
  const unit = requireOneOf('unit', options.unit, units)
  const grids = requireGrids(options.gridThw, mergeSize)
  const view = rowView(toTensor('rows', rows), patchesOf(grids))
  const engine = engineFor(options.engine, view.tensor)
  const handle = engineHandle(engine)
  const call = new Descriptor<(typeof slotNames.maskPatchRows)[number]>(layoutOfCall, engine)
  putInput(call, 'rows', view)
  putGrids(call, 'gridThw', grids)
  putMasks(call, 'patchMask', options.patchMask, grids, unit === 'token' ? mergeSize : 1)
  putFill(call, 'fill', options.fill)
  const shape = [view.rows, view.columns]
  const strideOf = (_: string, tensor: Tensor) => tensor.rowStride
  const masked = putDestination(call, 'out', view, shape, strideOf, options)
  const settings = { unit: units.indexOf(unit), mergeSize }
  return {
    descriptor: call,
    run: (jobs) => addon.maskPatchRows(handle, settings, call.slots, call.shapes, jobs),
    finish: () => masked,
  }
}

function rowView(tensor: Tensor, patches: number): RowView {
  const { shape } = tensor
  const isFlat = shape.length === 1
  const columns = isFlat ? elementsOf(shape) / patches : shape[1]!
  if (shape.length > 2 || !Number.isInteger(columns) || columns * patches !== elementsOf(shape))
    throw invalid(
      'ERR_INVALID_SHAPE',
      'rows',
      `[${patches}, features], as gridThw has patches`,
      describeTensor(tensor),
    )
  return { tensor, rows: patches, columns, rowStride: isFlat ? columns : tensor.rowStride }
}
