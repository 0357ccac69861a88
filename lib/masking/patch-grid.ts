import { requireInteger } from '../options'

/** Largest side, channel and frame count and patch size: keeps products inside 2^53. */
export const largestSide = 2 ** 20

/** The authors' patch side in pixels (arXiv 2507.06448). */
const defaultPatchSize = 14

export interface CellOptions {
  /** Side of a patch, in pixels. Default 14; Qwen3-VL has 16. */
  patchSize?: number
  /**
   * Patches along a side of what is masked as one. Default 1. 2: the 2 x 2 patches that a model
   * merges into one visual token, so that a token is masked whole or not at all.
   */
  mergeSize?: number
}

/** Cells of mergeSize x mergeSize patches from the top-left; those at the edges may be partial. */
export interface CellGrid {
  readonly patchSize: number
  readonly mergeSize: number
  /** ceil(height / (mergeSize * patchSize)) */
  readonly rows: number
  /** ceil(width / (mergeSize * patchSize)) */
  readonly columns: number
}

export function requireSide(name: string, value: unknown, initial?: number): number {
  return requireInteger(name, value, initial, 1, largestSide)
}

export function cellGrid(height: number, width: number, options: CellOptions): CellGrid {
  const patchSize = requireSide('patchSize', options.patchSize, defaultPatchSize)
  const mergeSize = requireSide('mergeSize', options.mergeSize, 1)
  const side = patchSize * mergeSize
  return {
    patchSize,
    mergeSize,
    rows: Math.ceil(height / side),
    columns: Math.ceil(width / side),
  }
}
