import { Engine, instructionSets, maskPatches, randomPatchMask, Tensor } from '../lib'
import type { DType, ImageLayout, MaskPatchesOptions, TensorLike, TypedArray } from '../lib'
import { refusal, values } from './support'

interface Size {
  readonly frames: number
  readonly height: number
  readonly width: number
  readonly channels: number
}

const arrays = {
  uint8: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
} as const
type ImageDType = keyof typeof arrays
const dtypes = Object.keys(arrays) as ImageDType[]
const layouts: readonly ImageLayout[] = ['interleaved', 'planar']

/** Elements that are all different from 0 and, in 8 bits, seldom equal. */
function pixels(dtype: ImageDType, count: number): TypedArray {
  return new arrays[dtype](count).map((_: number, i: number) => 1 + ((i * 7919) % 251))
}

function shapeOf({ frames, height, width, channels }: Size, layout: ImageLayout): number[] {
  return layout === 'planar' ? [frames, channels, height, width] : [frames, height, width, channels]
}

interface Masking {
  readonly size: Size
  readonly layout: ImageLayout
  readonly side: number
  readonly mask: Uint8Array
  /** As stored. */
  readonly fill: readonly number[]
}

/** The definition, pixel by pixel. */
function expected(image: TypedArray, { size, layout, side, mask, fill }: Masking): number[] {
  const { frames, height, width, channels } = size
  const columns = Math.ceil(width / side)
  const cells = Math.ceil(height / side) * columns
  const isShared = mask.length === cells
  const out = Array.from(image)
  for (let f = 0; f < frames; f++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const cell = Math.floor(y / side) * columns + Math.floor(x / side)
        if (mask[(isShared ? 0 : f * cells) + cell] === 0) continue
        for (let c = 0; c < channels; c++) {
          const at =
            layout === 'planar'
              ? ((f * channels + c) * height + y) * width + x
              : ((f * height + y) * width + x) * channels + c
          out[at] = fill[c % fill.length]!
        }
      }
  return out
}

/** Of long arrays: toEqual takes seconds for them. */
function firstDifference(actual: TypedArray, wanted: readonly number[]): number {
  if (actual.length !== wanted.length) return Math.min(actual.length, wanted.length)
  return wanted.findIndex((value, i) => actual[i] !== value)
}

function someMask(cells: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: cells }, (_, i) => ((i + 1) * (seed + 3) * 2654435761) >>> 31)
}

// Partial cells at either edge, one pixel, patches above the image, rows beyond a tile of the kernel.
const sizes: readonly (Size & { side: number })[] = [
  { frames: 1, height: 1, width: 1, channels: 1, side: 14 },
  { frames: 1, height: 1, width: 1, channels: 3, side: 1 },
  { frames: 1, height: 29, width: 43, channels: 3, side: 14 },
  { frames: 1, height: 28, width: 42, channels: 3, side: 14 },
  { frames: 2, height: 17, width: 33, channels: 4, side: 16 },
  { frames: 3, height: 5, width: 7, channels: 2, side: 1 },
  { frames: 2, height: 9, width: 3, channels: 1, side: 28 },
  { frames: 1, height: 3, width: 6001, channels: 3, side: 2 },
  { frames: 1, height: 2, width: 3, channels: 20_011, side: 2 },
]

const cases = dtypes.flatMap((dtype) =>
  layouts.flatMap((layout) =>
    sizes.map(({ side, ...size }, seed) => ({ dtype, layout, size, side, seed })),
  ),
)

describe('against a loop over pixels:', () => {
  test.each(cases)(
    '$dtype $layout $size in cells of $side',
    ({ dtype, layout, size, side, seed }) => {
      const { frames, height, width, channels } = size
      const data = pixels(dtype, frames * height * width * channels)
      const image = Tensor.from(data, { dtype, shape: shapeOf(size, layout) })
      const cells = Math.ceil(height / side) * Math.ceil(width / side)
      const before = data.slice()
      for (const count of [cells, frames * cells]) {
        const mask = someMask(count, seed)
        const masked = maskPatches(image, { layout, patchSize: side, patchMask: mask })
        const wanted = expected(data, { size, layout, side, mask, fill: [0] })
        expect(firstDifference(masked.data, wanted)).toBe(-1)
        expect(masked).toMatchObject({ dtype, shape: image.shape })
      }
      expect(Buffer.from(data.buffer).equals(Buffer.from(before.buffer))).toBe(true)
    },
  )

  // 1 and 2 as float16, bfloat16 and themselves.
  const stored: Record<ImageDType, readonly [number, number]> = {
    uint8: [1, 2],
    float16: [0x3c00, 0x4000],
    bfloat16: [0x3f80, 0x4000],
    float32: [1, 2],
    float64: [1, 2],
  }

  test.each(cases)('$dtype $layout $size filled, in place and into out', (given) => {
    const { dtype, layout, size, side, seed } = given
    const { frames, height, width, channels } = size
    const count = frames * height * width * channels
    const data = pixels(dtype, count)
    const [one, two] = stored[dtype]
    const numbers = Array.from({ length: channels }, (_, c) => 1 + (c % 2))
    const fill = numbers.map((number) => (number === 1 ? one : two))
    const mask = someMask(Math.ceil(height / side) * Math.ceil(width / side), seed)
    const wanted = expected(data, { size, layout, side, mask, fill })
    const shape = shapeOf(size, layout)
    const options = { layout, patchSize: side, patchMask: mask, fill: numbers }

    // Sentinels before and after the destination.
    const memory = new arrays[dtype](count + 16).fill(77)
    const out = Tensor.from(memory.subarray(8, 8 + count), { dtype, shape })
    expect(maskPatches(Tensor.from(data, { dtype, shape }), { ...options, out })).toBe(out)
    expect(firstDifference(out.data, wanted)).toBe(-1)
    expect([...memory.subarray(0, 8), ...memory.subarray(8 + count)]).toEqual(Array(16).fill(77))

    const own = Tensor.from(data.slice(), { dtype, shape })
    expect(maskPatches(own, { ...options, inPlace: true })).toBe(own)
    expect(firstDifference(own.data, wanted)).toBe(-1)
  })
})

test('random sizes give what the loop gives, with any engine', () => {
  let state = 12345
  const upTo = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return 1 + ((state >>> 8) % limit)
  }
  const engines = instructionSets().map((instructionSet) =>
    Engine.open({ instructionSet, threads: 3 }),
  )
  for (let round = 0; round < 150; round++) {
    const size = { frames: upTo(3), height: upTo(70), width: upTo(90), channels: upTo(5) }
    const [patchSize, mergeSize] = [upTo(20), upTo(3)]
    const layout = layouts[upTo(2) - 1]!
    const dtype = dtypes[upTo(dtypes.length) - 1]!
    const { frames, height, width, channels } = size
    const side = patchSize * mergeSize
    const engine = engines[upTo(engines.length) - 1]!
    const grid = { height, width, patchSize, mergeSize, engine }
    const patchMask = randomPatchMask({ ...grid, frames, seed: round, ratio: upTo(9) / 10 })
    const data = pixels(dtype, frames * height * width * channels)
    const image = Tensor.from(data, { dtype, shape: shapeOf(size, layout) })
    const masked = maskPatches(image, { layout, patchSize, mergeSize, patchMask, engine })
    const mask = patchMask.data as Uint8Array
    const wanted = expected(data, { size, layout, side, mask, fill: [0] })
    expect(firstDifference(masked.data, wanted)).toBe(-1)
  }
  for (const engine of engines) engine.dispose()
})

test('a large image gives the same bytes with any number of threads', () => {
  const [height, width] = [1400, 1120] // above 4 MB, where threads share the work
  const image = Tensor.from(pixels('uint8', height * width * 3), { shape: [height, width, 3] })
  const patchMask = randomPatchMask({ height, width, seed: 3 })
  const masked = [1, 2, 5].map((threads) => {
    using engine = Engine.open({ threads })
    return Buffer.from(maskPatches(image, { patchMask, fill: [1, 2, 3], engine }).data.buffer)
  })
  const size = { frames: 1, height, width, channels: 3 }
  const mask = patchMask.data as Uint8Array
  const masking = { size, layout: 'interleaved', side: 14, mask, fill: [1, 2, 3] } as const
  expect(masked[0]!.equals(Buffer.from(expected(image.data, masking)))).toBe(true)
  expect(masked[1]!.equals(masked[0]!)).toBe(true)
  expect(masked[2]!.equals(masked[0]!)).toBe(true)
})

describe('pixels', () => {
  test('NaN and signed zeros outside the mask keep their bits, and none come from inside it', () => {
    const bits = Uint32Array.of(0x7fc00123, 0x80000000, 0xff800001, 0x7fc00123)
    const image = Tensor.from(new Float32Array(bits.buffer), { shape: [1, 4] })
    const masked = maskPatches(image, { patchSize: 1, patchMask: Uint8Array.of(0, 0, 0, 1) })
    const kept = new Uint32Array((masked.data as Float32Array).buffer)
    expect(Array.from(kept)).toEqual([0x7fc00123, 0x80000000, 0xff800001, 0])
  })

  test('a fill of -0 stays one', () => {
    const image = Tensor.from(Float32Array.of(3), { shape: [1, 1] })
    const masked = maskPatches(image, { patchMask: Uint8Array.of(1), fill: -0 })
    expect(Object.is(values(masked)[0], -0)).toBe(true)
  })

  test('a fill is rounded to the dtype', () => {
    const image = (dtype: DType) => Tensor.zeros([1, 1], dtype)
    const filled = (dtype: DType, fill: number) =>
      values(maskPatches(image(dtype), { patchMask: Uint8Array.of(1), fill }))
    expect(filled('float32', 0.1)).toEqual([Math.fround(0.1)])
    expect(filled('float64', 0.1)).toEqual([0.1])
    expect(filled('float16', 65504)).toEqual([0x7bff])
    expect(filled('bfloat16', 1.0039)).toEqual([0x3f80])
  })

  test('padded rows are read and written where they are', () => {
    const [height, width, rowStride] = [3, 5, 8]
    const mask = { patchSize: 2, patchMask: Uint8Array.of(1, 0, 0, 0, 0, 1) }
    const data = new Uint8Array(height * rowStride).fill(9)
    const padded = Tensor.from(data, { shape: [height, width], rowStride })
    const compact = [0, 0, 9, 9, 9, 0, 0, 9, 9, 9, 9, 9, 9, 9, 0]
    expect(values(maskPatches(padded, mask))).toEqual(compact)
    const memory = new Uint8Array(height * rowStride).fill(77)
    const out = Tensor.from(memory, { shape: [height, width], rowStride })
    maskPatches(padded, { ...mask, out })
    const gap = Array(rowStride - width).fill(77)
    expect(Array.from(memory)).toEqual(
      [0, 5, 10].flatMap((i) => [...compact.slice(i, i + 5), ...gap]),
    )
  })

  test('bare arrays come back with all dimensions', () => {
    const options = { height: 3, width: 4, patchMask: Uint8Array.of(1) }
    const shape = (changed: Partial<MaskPatchesOptions>) =>
      maskPatches(new Uint8Array(24), { ...options, ...changed }).shape
    expect(shape({})).toEqual([3, 4, 2])
    expect(shape({ layout: 'planar' })).toEqual([2, 3, 4])
    expect(shape({ frames: 2 })).toEqual([2, 3, 4, 1])
    expect(shape({ frames: 2, layout: 'planar' })).toEqual([2, 1, 3, 4])
  })

  test('a flat destination is shaped as the image', () => {
    const memory = new Uint8Array(6).fill(5)
    const image = Tensor.from(new Uint8Array(6).fill(9), { shape: [1, 2, 3] })
    const masked = maskPatches(image, { patchMask: Uint8Array.of(0), out: memory })
    expect(masked.shape).toEqual([1, 2, 3])
    expect(masked.data).toBe(memory)
    expect(Array.from(memory)).toEqual(Array(6).fill(9))
  })
})

describe('refuses', () => {
  const image = () => Tensor.from(new Float32Array(60).fill(9), { shape: [2, 3, 5, 2] })
  const half = () => Tensor.from(new Uint16Array(60), { dtype: 'float16', shape: [2, 3, 5, 2] })
  const bytes = () => Tensor.from(new Uint8Array(60).fill(9), { shape: [2, 3, 5, 2] })
  const options = { patchSize: 2, patchMask: new Uint8Array(12).fill(1) }

  test.each([
    ['another layout', image(), { layout: 'NCHW' }, 'ERR_INVALID_OPTION', 'layout'],
    ['a merge of 0', image(), { mergeSize: 0 }, 'ERR_INVALID_OPTION', 'mergeSize'],
    ['a mask of other cells', image(), { mergeSize: 2 }, 'ERR_INVALID_SHAPE', 'patchMask'],
    [
      'a mask on its side',
      image(),
      { patchMask: Tensor.zeros([3, 2], 'uint8') },
      'ERR_INVALID_SHAPE',
      'patchMask',
    ],
    ['frames that are not there', image(), { frames: 3 }, 'ERR_INVALID_SHAPE', 'image'],
    ['channels of the other layout', image(), { channels: 3 }, 'ERR_INVALID_SHAPE', 'image'],
    ['a fill of three', image(), { fill: [1, 2, 3] }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill of none', image(), { fill: [] }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill of NaN', image(), { fill: NaN }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill of text', image(), { fill: '0' }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill beyond float32', image(), { fill: 1e39 }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill beyond float16', half(), { fill: 65520 }, 'ERR_INVALID_OPTION', 'fill'],
    ['a fill beyond uint8', bytes(), { fill: 256 }, 'ERR_INVALID_OPTION', 'fill'],
    ['a broken fill of uint8', bytes(), { fill: [1, 0.5] }, 'ERR_INVALID_OPTION', 'fill'],
    ['a negative fill of uint8', bytes(), { fill: -1 }, 'ERR_INVALID_OPTION', 'fill'],
    ['out of another dtype', image(), { out: bytes() }, 'ERR_INVALID_DTYPE', 'out'],
    ['out of another shape', image(), { out: new Float32Array(59) }, 'ERR_INVALID_SHAPE', 'out'],
    [
      'out with the same elements in another shape',
      image(),
      { out: Tensor.zeros([2, 5, 3, 2]) },
      'ERR_INVALID_SHAPE',
      'out',
    ],
    ['out in place', image(), { out: image(), inPlace: true }, 'ERR_INVALID_ARGUMENT', 'out'],
    [
      'a mask of 2',
      image(),
      { patchMask: new Uint8Array(12).fill(2) },
      'ERR_INVALID_VALUE',
      'patchMask',
    ],
  ])('%s', (_, source, changed, code, argument) => {
    const changedOptions = { out: undefined, ...options, ...changed } as MaskPatchesOptions
    const before = values(source)
    expect(refusal(() => maskPatches(source as TensorLike, changedOptions))).toEqual({
      code,
      argument,
    })
    expect(values(source)).toEqual(before)
  })

  test('a destination that overlaps the image, before anything is written', () => {
    const memory = new Float32Array(61).fill(9)
    const shape = [2, 3, 5, 2]
    const source = Tensor.from(memory.subarray(0, 60), { shape })
    const out = Tensor.from(memory.subarray(1), { shape })
    expect(refusal(() => maskPatches(source, { ...options, out })).code).toBe('ERR_OVERLAP')
    expect(Array.from(memory)).toEqual(Array(61).fill(9))
  })

  test('sizes whose product no buffer holds', () => {
    const large = { frames: 2 ** 20, height: 2 ** 20, width: 2 ** 20, channels: 2 ** 20 }
    expect(refusal(() => maskPatches(new Uint8Array(16), { ...options, ...large }))).toEqual({
      code: 'ERR_INVALID_SHAPE',
      argument: 'image',
    })
    expect(
      refusal(() => maskPatches(new Uint8Array(16), { ...options, height: 2 ** 20 + 1 })),
    ).toEqual({
      code: 'ERR_INVALID_OPTION',
      argument: 'height',
    })
  })
})
