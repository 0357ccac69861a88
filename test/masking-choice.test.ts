import {
  Engine,
  instructionSets,
  randomPatchMask,
  randomPatchMasks,
  saliencyPatchMask,
  Tensor,
} from '../lib'
import type {
  RandomPatchMaskOptions,
  RandomPatchMasksOptions,
  SaliencyPatchMaskOptions,
} from '../lib'
import { numbers, refusal, values } from './support'

describe('random masks', () => {
  test('are the masks of the published generator', () => {
    // Philox 4x32-10 in 64-bit integers, from the paper's definition.
    const word = (counter: readonly bigint[], key: bigint): bigint => {
      const low = (x: bigint) => x & 0xffffffffn
      let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint]
      let [k0, k1] = [low(key), key >> 32n]
      for (let round = 0; round < 10; round++) {
        const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2]
        ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, low(p1), (p0 >> 32n) ^ c3 ^ k1, low(p0)]
        k0 = low(k0 + 0x9e3779b9n)
        k1 = low(k1 + 0xbb67ae85n)
      }
      return c0
    }
    const [seed, prompt, image] = [(5n << 40n) + 9n, (3n << 33n) + 2n, 6]
    const mask = randomPatchMask({ height: 70, width: 84, seed, prompt, image, frames: 2 })
    const wanted = values(mask).map((_, i) => {
      const counter = [BigInt(i), BigInt(image), prompt & 0xffffffffn, prompt >> 32n]
      return Number(Number(word(counter, seed)) / 2 ** 32 < 0.6)
    })
    expect(mask.shape).toEqual([2, 5, 6])
    expect(values(mask)).toEqual(wanted)
  })

  test('have one draw for each merged cell', () => {
    const options = { height: 100, width: 150, seed: 4 }
    const merged = randomPatchMask({ ...options, mergeSize: 2 })
    expect(merged.shape).toEqual([4, 6])
    expect(values(merged)).toEqual(values(randomPatchMask({ ...options, patchSize: 28 })))
  })

  test('of frames begin with that of a still image and differ from frame to frame', () => {
    const options = { height: 140, width: 140, seed: 4 }
    const video = values(randomPatchMask({ ...options, frames: 3 }))
    const frame = (i: number) => video.slice(100 * i, 100 * (i + 1))
    expect(frame(0)).toEqual(values(randomPatchMask(options)))
    expect(frame(1)).not.toEqual(frame(0))
    expect(frame(2)).not.toEqual(frame(1))
    expect(randomPatchMask({ ...options, frames: 1 }).shape).toEqual([1, 10, 10])
  })

  test('of a prompt are the same in any split of the batch and in any engine', () => {
    const sizes = Array.from({ length: 6 }, (_, i) => ({
      height: 60 + 17 * i,
      width: 200 - 23 * i,
    }))
    const options = { seed: 11n, prompt: 5, mergeSize: 2 }
    const all = randomPatchMasks(sizes, options).map(values)
    for (const instructionSet of instructionSets()) {
      using engine = Engine.open({ instructionSet, threads: 1 })
      sizes.forEach((size, image) => {
        const single = randomPatchMask({ ...options, ...size, image, engine })
        expect(values(single)).toEqual(all[image])
      })
    }
    expect(randomPatchMasks([], options)).toEqual([])
  })

  test.each([
    ['frames of 0', { frames: 0 }, 'ERR_INVALID_OPTION', 'frames'],
    ['a merge of 1.5', { mergeSize: 1.5 }, 'ERR_INVALID_OPTION', 'mergeSize'],
    [
      'more cells than the counter has numbers for',
      { height: 2 ** 20, width: 2 ** 20, patchSize: 1 },
      'ERR_INVALID_SHAPE',
      'patchMask',
    ],
  ])('refuse %s', (_, changed, code, argument) => {
    const options = { height: 10, width: 10, seed: 0, ...changed } as RandomPatchMaskOptions
    expect(refusal(() => randomPatchMask(options))).toEqual({ code, argument })
  })

  test.each([
    ['no list', {}, {}, 'ERR_INVALID_ARGUMENT', 'images'],
    ['a size of text', ['10x10'], {}, 'ERR_INVALID_ARGUMENT', 'images'],
    ['a seed in a size', [{ height: 1, width: 1, seed: 1 }], {}, 'ERR_INVALID_OPTION', 'seed'],
    ['no height', [{ width: 1 }], {}, 'ERR_INVALID_OPTION', 'height'],
    ['an image among the options', [], { image: 1 }, 'ERR_INVALID_OPTION', 'image'],
  ])('of a batch refuse %s', (_, images, changed, code, argument) => {
    const options = { seed: 0, ...changed } as RandomPatchMasksOptions
    expect(refusal(() => randomPatchMasks(images as never, options))).toEqual({ code, argument })
  })
})

/** By sorting. */
function mostSalient(saliency: readonly number[], count: number): number[] {
  const order = saliency.map((_, i) => i).sort((a, b) => saliency[b]! - saliency[a]! || a - b)
  const mask = new Array<number>(saliency.length).fill(0)
  for (const i of order.slice(0, count)) mask[i] = 1
  return mask
}

describe('saliency masks', () => {
  const saliency = Tensor.from(numbers(63, 5), { shape: [7, 9] })

  test.each([0, 1, 2, 31, 62, 63])('hold the %i most salient patches', (count) => {
    const mask = saliencyPatchMask(saliency, { count })
    expect(mask).toMatchObject({ dtype: 'uint8', shape: [7, 9] })
    expect(values(mask)).toEqual(mostSalient(values(saliency), count))
  })

  test.each([
    [undefined, 6],
    [0, 0],
    [0.04, 0],
    [0.05, 1], // halves up
    [0.349, 3],
    [1, 10],
  ])('of ratio %p have %i of 10 cells', (ratio, count) => {
    const options = ratio === undefined ? {} : { ratio }
    const ones = values(saliencyPatchMask(numbers(10, 1), options)).filter((x) => x === 1)
    expect(ones).toHaveLength(count)
  })

  test('of equally salient patches take the first, and both zeros are equal', () => {
    const even = Float64Array.of(1, 0, -0, 1, 0, -0)
    expect(values(saliencyPatchMask(even, { count: 1 }))).toEqual([1, 0, 0, 0, 0, 0])
    expect(values(saliencyPatchMask(even, { count: 4 }))).toEqual([1, 1, 1, 1, 0, 0])
  })

  test('order infinities and subnormals', () => {
    const all = [5e-324, -Infinity, 0, Infinity, -5e-324, 1e308, -1e308]
    for (let count = 0; count <= all.length; count++)
      expect(values(saliencyPatchMask(Float64Array.from(all), { count }))).toEqual(
        mostSalient(all, count),
      )
  })

  test('random numbers with many ties give what sorting gives', () => {
    for (let round = 0; round < 60; round++) {
      const [rows, columns] = [1 + (round % 13), 1 + ((round * 5) % 17)]
      const steps = 1 + (round % 7)
      const data = numbers(rows * columns, round).map((x) => Math.round(x * steps) / steps)
      const tensor = Tensor.from(data, { shape: [rows, columns] })
      const count = (round * 31) % (data.length + 1)
      const mask = values(saliencyPatchMask(tensor, { count }))
      expect(mask).toEqual(mostSalient(Array.from(data), count))
    }
  })

  test('of frames choose in each of them', () => {
    const data = numbers(3 * 20, 8)
    const mask = saliencyPatchMask(Tensor.from(data, { shape: [3, 4, 5] }), { count: 7 })
    expect(mask.shape).toEqual([3, 4, 5])
    const frames = [0, 1, 2].map((f) => mostSalient([...data.subarray(20 * f, 20 * f + 20)], 7))
    expect(values(mask)).toEqual(frames.flat())
  })

  test('of merged cells go by their means, partial cells included', () => {
    const mask = saliencyPatchMask(saliency, { count: 5, mergeSize: 2 })
    const means = Array.from({ length: 20 }, (_, cell) => {
      const [top, left] = [2 * Math.floor(cell / 5), 2 * (cell % 5)]
      const inside = values(saliency).filter((_, i) => {
        const [y, x] = [Math.floor(i / 9), i % 9]
        return y >= top && y < top + 2 && x >= left && x < left + 2
      })
      return inside.reduce((sum, x) => sum + x, 0) / inside.length
    })
    expect(mask.shape).toEqual([4, 5])
    expect(values(mask)).toEqual(mostSalient(means, 5))
  })

  test('take every float dtype and padded rows, with any engine', () => {
    const bits = Uint16Array.of(0x3c00, 0x4000, 0x3800, 0xbc00) // 1, 2, 0.5, -1 as float16
    const half = Tensor.from(bits, { dtype: 'float16', shape: [2, 2] })
    const brain = Tensor.from(Uint16Array.of(0x3f80, 0x4000), { dtype: 'bfloat16' })
    const padded = Tensor.from(Float32Array.of(1, 9, 2, 9), { shape: [2, 1], rowStride: 2 })
    for (const instructionSet of instructionSets()) {
      using engine = Engine.open({ instructionSet })
      expect(values(saliencyPatchMask(half, { count: 2, engine }))).toEqual([1, 1, 0, 0])
      expect(values(saliencyPatchMask(brain, { count: 1, engine }))).toEqual([0, 1])
      expect(values(saliencyPatchMask(padded, { count: 1, engine }))).toEqual([0, 1])
    }
  })

  test.each([
    ['NaN', Float32Array.of(1, NaN), {}, 'ERR_INVALID_VALUE', 'saliency'],
    [
      'a cell of both infinities',
      Tensor.from(Float32Array.of(Infinity, -Infinity), { shape: [1, 2] }),
      { mergeSize: 2 },
      'ERR_INVALID_VALUE',
      'saliency',
    ],
    ['whole numbers', Int32Array.of(1), {}, 'ERR_INVALID_DTYPE', 'saliency'],
    ['four dimensions', Tensor.zeros([1, 1, 1, 1]), {}, 'ERR_INVALID_SHAPE', 'saliency'],
    ['a vector to merge', numbers(4, 1), { mergeSize: 2 }, 'ERR_INVALID_SHAPE', 'saliency'],
    ['a ratio above 1', numbers(4, 1), { ratio: 1.5 }, 'ERR_INVALID_OPTION', 'ratio'],
    ['a count above the cells', numbers(4, 1), { count: 5 }, 'ERR_INVALID_OPTION', 'count'],
    ['a negative count', numbers(4, 1), { count: -1 }, 'ERR_INVALID_OPTION', 'count'],
    ['count and ratio', numbers(4, 1), { count: 1, ratio: 1 }, 'ERR_INVALID_ARGUMENT', 'count'],
    ['an unknown option', numbers(4, 1), { top: 1 }, 'ERR_INVALID_OPTION', 'top'],
  ])('refuse %s', (_, given, options, code, argument) => {
    const refused = refusal(() => saliencyPatchMask(given, options as SaliencyPatchMaskOptions))
    expect(refused).toEqual({ code, argument })
  })
})
