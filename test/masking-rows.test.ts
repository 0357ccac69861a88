import { Engine, instructionSets, maskPatchRows, randomPatchMasks, Tensor } from '../lib'
import type { GridThw, MaskPatchRowsOptions, TensorLike } from '../lib'
import { refusal, values } from './support'

/**
 * Row of each patch, by building the rows as the processor does: a patch grid, cut into merge x merge
 * blocks, which follow each other.
 */
function rowOfPatch([t, h, w]: GridThw, merge: number): number[] {
  const rows = new Array<number>(t * h * w)
  let row = 0
  for (let group = 0; group < t; group++)
    for (let top = 0; top < h; top += merge)
      for (let left = 0; left < w; left += merge)
        for (let y = 0; y < merge; y++)
          for (let x = 0; x < merge; x++) rows[(group * h + top + y) * w + left + x] = row++
  return rows
}

const total = (grids: readonly GridThw[]) => grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0)

/** Element i is i + 1: different from every fill, and it says where it comes from. */
function matrix(patches: number, features: number): Tensor {
  const data = Float32Array.from({ length: patches * features }, (_, i) => i + 1)
  return Tensor.from(data, { shape: [patches, features] })
}

/** masks: a value for each patch of every frame group of each image, row-major. */
function expected(
  rows: Tensor,
  grids: readonly GridThw[],
  masks: readonly (readonly number[])[],
  merge: number,
  fill: readonly number[],
): number[] {
  const features = rows.shape[1]!
  const out = values(rows)
  let first = 0
  grids.forEach((grid, image) => {
    rowOfPatch(grid, merge).forEach((row, patch) => {
      if (masks[image]![patch] === 0) return
      for (let i = 0; i < features; i++)
        out[(first + row) * features + i] = fill[Math.floor((i * fill.length) / features)]!
    })
    first += total([grid])
  })
  return out
}

function someMask(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((i + 1) * (seed + 3) * 2654435761) >>> 31)
}

test('rows of a 4 x 4 grid are its 2 x 2 blocks', () => {
  const patchMask = Uint8Array.of(0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
  const masked = maskPatchRows(matrix(16, 1), { gridThw: [[1, 4, 4]], patchMask })
  const rows = Array.from({ length: 16 }, (_, i) => i + 1)
  for (const row of [4, 5, 9]) rows[row] = 0
  expect(values(masked)).toEqual(rows)
})

const grids: readonly (readonly GridThw[])[] = [
  [[1, 2, 2]],
  [[1, 6, 12]],
  [[3, 4, 6]],
  [
    [1, 6, 6],
    [4, 12, 6],
    [2, 6, 18],
  ],
]
const cases = grids.flatMap((gridThw) => [1, 2, 3].map((mergeSize) => ({ gridThw, mergeSize })))
const possible = cases.filter(({ gridThw, mergeSize }) =>
  gridThw.every(([, h, w]) => h % mergeSize === 0 && w % mergeSize === 0),
)

describe.each(possible)('grids $gridThw merged by $mergeSize', ({ gridThw, mergeSize }) => {
  const patches = total(gridThw)
  const features = 6
  const rows = matrix(patches, features)
  const fill = [-1, -2, -3]
  const every = gridThw.map((grid, i) => someMask(total([grid]), i))
  const wanted = expected(
    rows,
    gridThw,
    every.map((m) => Array.from(m)),
    mergeSize,
    fill,
  )

  test('a mask for each frame group, as a list, as tensors and as one vector', () => {
    const flat = Uint8Array.from(every.flatMap((mask) => Array.from(mask)))
    const tensors = every.map((mask, i) => Tensor.from(mask, { shape: gridThw[i]! }))
    for (const patchMask of [every, tensors, flat]) {
      const masked = maskPatchRows(rows, { gridThw, patchMask, mergeSize, fill })
      expect(values(masked)).toEqual(wanted)
      expect(masked).toMatchObject({ dtype: 'float32', shape: [patches, features] })
    }
  })

  test('one mask for all frame groups, as a list and as one vector', () => {
    const once = gridThw.map(([, h, w], i) => someMask(h * w, i + 5))
    const repeated = once.map((mask, i) =>
      Array.from({ length: gridThw[i]![0] }, () => Array.from(mask)).flat(),
    )
    const flat = Uint8Array.from(once.flatMap((mask) => Array.from(mask)))
    const want = expected(rows, gridThw, repeated, mergeSize, [0])
    for (const patchMask of [once, flat])
      expect(values(maskPatchRows(rows, { gridThw, patchMask, mergeSize }))).toEqual(want)
  })

  test('a mask of tokens masks all of their patches', () => {
    const tokens = gridThw.map(([t, h, w], i) => {
      const shape = [t, h / mergeSize, w / mergeSize]
      return Tensor.from(someMask(shape[0]! * shape[1]! * shape[2]!, i), { shape })
    })
    const asPatches = gridThw.map(([t, h, w], i) =>
      Array.from({ length: t * h * w }, (_, patch) => {
        const [y, x] = [Math.floor(patch / w), patch % w]
        const across = w / mergeSize
        // h / mergeSize rows of tokens a frame group: y counts on through the groups.
        return tokens[i]!.data[Math.floor(y / mergeSize) * across + Math.floor(x / mergeSize)]!
      }),
    )
    const masked = maskPatchRows(rows, { gridThw, patchMask: tokens, mergeSize, unit: 'token' })
    expect(values(masked)).toEqual(expected(rows, gridThw, asPatches, mergeSize, [0]))
  })

  test('into out and in place, between sentinels, with any engine', () => {
    for (const instructionSet of instructionSets()) {
      using engine = Engine.open({ instructionSet, threads: 2 })
      const options = { gridThw, patchMask: every, mergeSize, fill, engine }
      const memory = new Float32Array(patches * features + 8).fill(77)
      const out = Tensor.from(memory.subarray(4, -4), { shape: rows.shape })
      expect(maskPatchRows(rows, { ...options, out })).toBe(out)
      expect(values(out)).toEqual(wanted)
      const around = [...memory.subarray(0, 4), ...memory.subarray(-4)]
      expect(around).toEqual(Array(8).fill(77))
      const own = Tensor.from((rows.data as Float32Array).slice(), { shape: rows.shape })
      expect(maskPatchRows(own, { ...options, inPlace: true })).toBe(own)
      expect(values(own)).toEqual(wanted)
    }
  })
})

test('masks of randomPatchMasks fit, in patches and in tokens', () => {
  const gridThw: GridThw[] = [
    [1, 10, 14],
    [3, 6, 8],
  ]
  const sizes = gridThw.map(([frames, height, width]) => ({ frames, height, width }))
  const rows = matrix(total(gridThw), 3)
  for (const [unit, mergeSize] of [
    ['patch', 1],
    ['token', 2],
  ] as const) {
    const patchMask = randomPatchMasks(sizes, { patchSize: 1, mergeSize, seed: 9 })
    const masked = values(maskPatchRows(rows, { gridThw, patchMask, unit }))
    const share = masked.filter((x) => x === 0).length / masked.length
    const ones = patchMask.flatMap((mask) => values(mask))
    expect(share).toBeCloseTo(ones.reduce((sum, x) => sum + x, 0) / ones.length, 12)
  }
})

test('many rows give the same with any number of threads', () => {
  const gridThw: GridThw[] = [
    [1, 80, 64],
    [2, 20, 30],
  ]
  const rows = matrix(total(gridThw), 192) // above 4 MB, where threads share the work
  const masks = gridThw.map((grid, i) => someMask(total([grid]), i))
  const wanted = expected(
    rows,
    gridThw,
    masks.map((m) => Array.from(m)),
    2,
    [-1, -2, -3],
  )
  for (const threads of [1, 3]) {
    using engine = Engine.open({ threads })
    const masked = maskPatchRows(rows, { gridThw, patchMask: masks, fill: [-1, -2, -3], engine })
    const bytes = Buffer.from((masked.data as Float32Array).buffer)
    expect(bytes.equals(Buffer.from(Float32Array.from(wanted).buffer))).toBe(true)
  }
})

test('padded rows are written where they are', () => {
  const memory = new Float32Array(4 * 5).fill(77)
  const out = Tensor.from(memory, { shape: [4, 3], rowStride: 5 })
  const patchMask = Uint8Array.of(0, 1, 0, 0)
  maskPatchRows(matrix(4, 3), { gridThw: [[1, 2, 2]], patchMask, out })
  const gap = [77, 77]
  const rows = [1, 2, 3, ...gap, 0, 0, 0, ...gap, 7, 8, 9, ...gap, 10, 11, 12, ...gap]
  expect(Array.from(memory)).toEqual(rows)
})

describe('refuses', () => {
  const rows = () => matrix(24, 6)
  const options = { gridThw: [[1, 4, 6]], patchMask: new Uint8Array(24).fill(1) }

  test.each([
    ['no grids', { gridThw: undefined }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['an empty list', { gridThw: [] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['a flat grid', { gridThw: [1, 4, 6] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['a grid of two', { gridThw: [[4, 6]] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['a grid of 0', { gridThw: [[0, 4, 6]] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['a grid of halves', { gridThw: [[1, 4.5, 6]] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['a grid beyond 31 bits', { gridThw: [[1, 4, 2 ** 31]] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['sides that do not merge', { gridThw: [[1, 3, 8]] }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['other sides that do not merge', { mergeSize: 4 }, 'ERR_INVALID_OPTION', 'gridThw'],
    ['fewer rows than patches', { gridThw: [[2, 4, 6]] }, 'ERR_INVALID_SHAPE', 'rows'],
    ['more rows than patches', { gridThw: [[1, 2, 6]] }, 'ERR_INVALID_SHAPE', 'rows'],
    ['a merge of 0', { mergeSize: 0 }, 'ERR_INVALID_OPTION', 'mergeSize'],
    ['another unit', { unit: 'pixel' }, 'ERR_INVALID_OPTION', 'unit'],
    ['no mask', { patchMask: undefined }, 'ERR_INVALID_ARGUMENT', 'patchMask'],
    ['a mask of patches as tokens', { unit: 'token' }, 'ERR_INVALID_SHAPE', 'patchMask'],
    [
      'two masks',
      { patchMask: [new Uint8Array(24), new Uint8Array(24)] },
      'ERR_INVALID_SHAPE',
      'patchMask',
    ],
    [
      'a mask on its side',
      { patchMask: Tensor.zeros([6, 4], 'uint8') },
      'ERR_INVALID_SHAPE',
      'patchMask',
    ],
    ['a float mask', { patchMask: new Float32Array(24) }, 'ERR_INVALID_DTYPE', 'patchMask'],
    ['a mask of 2', { patchMask: new Uint8Array(24).fill(2) }, 'ERR_INVALID_VALUE', 'patchMask'],
    ['four channels of six features', { fill: [1, 2, 3, 4] }, 'ERR_INVALID_SHAPE', 'fill'],
    ['an infinite fill', { fill: Infinity }, 'ERR_INVALID_OPTION', 'fill'],
    ['out of another shape', { out: Tensor.zeros([6, 24]) }, 'ERR_INVALID_SHAPE', 'out'],
    ['out in place', { out: rows(), inPlace: true }, 'ERR_INVALID_ARGUMENT', 'out'],
    ['an unknown option', { grid: 1 }, 'ERR_INVALID_OPTION', 'grid'],
  ])('%s', (_, changed, code, argument) => {
    const source = rows()
    const before = values(source)
    const changedOptions = { ...options, ...changed } as unknown as MaskPatchRowsOptions
    expect(refusal(() => maskPatchRows(source, changedOptions))).toEqual({ code, argument })
    expect(values(source)).toEqual(before)
  })

  test.each([
    ['rows of int32', Tensor.zeros([24, 6], 'int32'), 'ERR_INVALID_DTYPE'],
    ['three dimensions', Tensor.zeros([1, 24, 6]), 'ERR_INVALID_SHAPE'],
    ['a vector that has no whole rows', new Float32Array(25), 'ERR_INVALID_SHAPE'],
  ])('%s', (_, source, code) => {
    const refused = refusal(() => maskPatchRows(source as TensorLike, options as never))
    expect(refused).toEqual({ code, argument: 'rows' })
  })

  test('a destination that overlaps the rows', () => {
    const memory = new Float32Array(24 * 6 + 1)
    const source = Tensor.from(memory.subarray(1), { shape: [24, 6] })
    const out = Tensor.from(memory.subarray(0, -1), { shape: [24, 6] })
    const refused = refusal(() =>
      maskPatchRows(source, { ...(options as never as MaskPatchRowsOptions), out }),
    )
    expect(refused.code).toBe('ERR_OVERLAP')
  })
})
