import { requireInteger } from '../options'

/** Largest image side, channel count and patch size: keeps every product inside 2^53. */
const limit = 2 ** 20

/** The authors' patch side in pixels (arXiv 2507.06448). */
export const defaultPatchSize = 14

/** Patches of patchSize x patchSize pixels from the top-left; those at the edges may be partial. */
export interface PatchGrid {
  readonly patchSize: number
  /** ceil(height / patchSize) */
  readonly rows: number
  /** ceil(width / patchSize) */
  readonly columns: number
}

export function requireSide(name: string, value: unknown, initial?: number): number {
  return requireInteger(name, value, initial, 1, limit)
}

export function patchGrid(height: number, width: number, patchSizeOption: unknown): PatchGrid {
  const patchSize = requireSide('patchSize', patchSizeOption, defaultPatchSize)
  return {
    patchSize,
    rows: Math.ceil(height / patchSize),
    columns: Math.ceil(width / patchSize),
  }
}
