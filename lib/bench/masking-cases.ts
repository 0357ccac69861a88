// Masking of an image as large as Qwen2.5-VL takes it, next to a copy of the same bytes.
import { maskPatches, maskPatchRows, randomPatchMask, Tensor } from '../index'
import type { Engine, GridThw } from '../index'
import type { CaseBase } from './cases'
import { place } from './place'
import type { CaseSubject } from './subjects'

/** copy: TypedArray.set, on a device copyTo; draw: the mask of randomPatchMask, and the image masked with it. */
type MaskingOperation = 'copy' | 'maskPatches' | 'draw+maskPatches' | 'maskPatchRows'

export interface MaskingCase extends CaseBase {
  readonly kind: 'masking'
  readonly operation: MaskingOperation
  readonly dtype: 'uint8' | 'float32'
  readonly layout: 'interleaved' | 'planar' | 'rows'
  readonly inPlace: boolean
}

// 1,003,520 pixels: 5,120 patches, 1,280 visual tokens.
export const [maskedHeight, maskedWidth, maskedChannels] = [1120, 896, 3]
const patchSize = 14
const [gridRows, gridColumns] = [maskedHeight / patchSize, maskedWidth / patchSize]
const gridThw: readonly GridThw[] = [[1, gridRows, gridColumns]]
// Black under the normalisation of Qwen2-VL: -mean / std.
const black = [-1.7923, -1.7521, -1.4802]

export function maskingCases(quick: boolean): MaskingCase[] {
  const bytes = [
    maskingCase('copy', 'uint8', 'interleaved'),
    maskingCase('maskPatches', 'uint8', 'interleaved'),
    maskingCase('maskPatches', 'uint8', 'interleaved', true),
    maskingCase('draw+maskPatches', 'uint8', 'interleaved'),
  ]
  if (quick) return bytes
  return [
    ...bytes,
    maskingCase('copy', 'float32', 'planar'),
    maskingCase('maskPatches', 'float32', 'interleaved'),
    maskingCase('maskPatches', 'float32', 'planar'),
    maskingCase('copy', 'float32', 'rows'),
    maskingCase('maskPatchRows', 'float32', 'rows'),
  ]
}

function maskingCase(
  operation: MaskingOperation,
  dtype: 'uint8' | 'float32',
  layout: MaskingCase['layout'],
  inPlace = false,
): MaskingCase {
  const shape = shapeOf(layout)
  const elements = shape.reduce((product, side) => product * side, 1)
  const where = operation === 'copy' ? '' : inPlace ? '/inPlace' : '/reused'
  return {
    kind: 'masking',
    name: `masking ${operation}${where} ${dtype} ${shape.join('x')}`,
    operation,
    dtype,
    layout,
    inPlace,
    rows: shape[0]!,
    vocabSize: elements / shape[0]!,
    branches: 1,
    bytes: 2 * elements * (dtype === 'uint8' ? 1 : 4), // read and written once
    flops: 0,
  }
}

function shapeOf(layout: MaskingCase['layout']): number[] {
  if (layout === 'planar') return [maskedChannels, maskedHeight, maskedWidth]
  if (layout === 'interleaved') return [maskedHeight, maskedWidth, maskedChannels]
  return [gridRows * gridColumns, maskedChannels * 2 * patchSize ** 2]
}

export interface MaskingInputs {
  readonly image: Tensor
  readonly patchMask: Tensor
}

/** slots: pairs of images, through which calls rotate. */
export function maskingSubject(
  benchCase: MaskingCase,
  engine: Engine,
  slots: number,
): CaseSubject & { readonly masking: MaskingInputs } {
  const shape = shapeOf(benchCase.layout)
  const pairs = Array.from({ length: slots }, (_, slot) => {
    const image = Tensor.zeros(shape, benchCase.dtype)
    // Pages that were never written are all one page of zeros, which caches hold.
    image.data.fill(1 + (slot % 200))
    const out = Tensor.zeros(shape, benchCase.dtype)
    out.data.fill(255)
    return { image: place(engine, image), out: place(engine, out) }
  })
  const size = { height: maskedHeight, width: maskedWidth, seed: 1 }
  const patchMask = randomPatchMask({ ...size, engine })
  const call = ({ image, out }: (typeof pairs)[number], seed: number): Tensor => {
    const fill = benchCase.dtype === 'uint8' ? {} : { fill: black }
    const target = benchCase.inPlace ? { inPlace: true } : { out }
    const options = { patchMask, engine, ...fill, ...target }
    switch (benchCase.operation) {
      case 'copy':
        if (engine.device === 'cpu') out.data.set(image.data)
        else image.copyTo(out, { engine })
        return out
      case 'maskPatchRows':
        return maskPatchRows(image, { ...options, gridThw })
      case 'draw+maskPatches':
        options.patchMask = randomPatchMask({ ...size, seed, engine })
        break
      default:
    }
    const layout = benchCase.layout === 'planar' ? 'planar' : 'interleaved'
    return maskPatches(image, { ...options, layout })
  }
  const first = pairs[0]!
  return {
    masking: { image: first.image, patchMask },
    run: (run) => void call(pairs[run % slots]!, run),
    prepare() {},
    result: () => ({ masked: call(first, 1) }),
  }
}
