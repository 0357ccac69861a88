import { Engine, instructionSets, maskPatches, randomPatchMask, Tensor } from '../lib'
import type { MaskPatchesOptions, RandomPatchMaskOptions, TensorLike } from '../lib'
import { detach, refusal, values } from './support'

describe('randomPatchMask', () => {
  const options = { height: 224, width: 210, seed: 7 }

  test('has one value for each patch, partial ones included', () => {
    expect(randomPatchMask(options)).toMatchObject({ dtype: 'uint8', shape: [16, 15] })
    expect(randomPatchMask({ ...options, height: 225, patchSize: 16 }).shape).toEqual([15, 14])
    expect(randomPatchMask({ height: 1, width: 1, seed: 0 }).shape).toEqual([1, 1])
  })

  test('masks about the ratio of the patches', () => {
    const mask = values(randomPatchMask({ height: 2800, width: 2800, seed: 1 }))
    const share = mask.reduce((sum, x) => sum + x, 0) / mask.length
    // Six standard deviations of a binomial of 40,000 patches.
    expect(Math.abs(share - 0.6) <= 6 * Math.sqrt((0.6 * 0.4) / mask.length)).toBe(true)
  })

  test('masks none at ratio 0 and all at ratio 1', () => {
    expect(new Set(values(randomPatchMask({ ...options, ratio: 0 })))).toEqual(new Set([0]))
    expect(new Set(values(randomPatchMask({ ...options, ratio: 1 })))).toEqual(new Set([1]))
  })

  test('is the same for the same numbers, in any engine', () => {
    const first = values(randomPatchMask(options))
    for (const instructionSet of instructionSets()) {
      using engine = Engine.open({ instructionSet, threads: 1 })
      expect(values(randomPatchMask({ ...options, seed: 7n, engine }))).toEqual(first)
    }
  })

  test.each([
    ['seed', { seed: 8 }],
    ['prompt', { prompt: 1 }],
    ['image', { image: 1 }],
    ['upper half of the seed', { seed: 7n + (1n << 32n) }],
    ['upper half of the prompt', { prompt: 1n << 32n }],
  ])('changes with the %s', (_, changed) => {
    const other = randomPatchMask({ ...options, ...changed })
    expect(values(other)).not.toEqual(values(randomPatchMask(options)))
  })

  test.each([
    ['no height', { height: undefined }, 'height'],
    ['a width of 0', { width: 0 }, 'width'],
    ['a broken patch', { patchSize: 1.5 }, 'patchSize'],
    ['a ratio above 1', { ratio: 1.01 }, 'ratio'],
    ['a NaN ratio', { ratio: NaN }, 'ratio'],
    ['no seed', { seed: undefined }, 'seed'],
    ['a negative seed', { seed: -1 }, 'seed'],
    ['a seed of 65 bits', { seed: 1n << 64n }, 'seed'],
    ['a seed that no number holds', { seed: 2 ** 53 }, 'seed'],
    ['a prompt of text', { prompt: '1' }, 'prompt'],
    ['an image of 33 bits', { image: 2 ** 32 }, 'image'],
    ['an unknown option', { probability: 0.5 }, 'probability'],
  ])('refuses %s', (_, changed, argument) => {
    const changedOptions = { ...options, ...changed } as RandomPatchMaskOptions
    expect(refusal(() => randomPatchMask(changedOptions))).toEqual({
      code: 'ERR_INVALID_OPTION',
      argument,
    })
  })
})

describe('maskPatches', () => {
  // 3 x 5 pixels of 2 channels in patches of 2: a grid of 2 x 3 with partial patches at both edges.
  const image = () => Tensor.from(new Uint8Array(30).fill(9), { shape: [3, 5, 2] })
  const options = () => ({ patchSize: 2, patchMask: Uint8Array.of(0, 1, 0, 0, 0, 1) })
  const rows = [
    [9, 9, 9, 9, 0, 0, 0, 0, 9, 9],
    [9, 9, 9, 9, 0, 0, 0, 0, 9, 9],
    [9, 9, 9, 9, 9, 9, 9, 9, 0, 0],
  ]

  test('blackens all channels of the patches, and leaves the image alone', () => {
    const source = image()
    const masked = maskPatches(source, options())
    expect(values(masked)).toEqual(rows.flat())
    expect(masked).toMatchObject({ dtype: 'uint8', shape: [3, 5, 2] })
    expect(values(source)).toEqual(new Array(30).fill(9))
  })

  test('in place returns the image itself', () => {
    const source = image()
    expect(maskPatches(source, { ...options(), inPlace: true })).toBe(source)
    expect(values(source)).toEqual(rows.flat())
  })

  test('takes a bare array with its height and width', () => {
    const masked = maskPatches(new Uint8Array(30).fill(9), { ...options(), height: 3, width: 5 })
    expect(values(masked)).toEqual(rows.flat())
    expect(masked.shape).toEqual([3, 5, 2])
  })

  test('takes a gray image without a channel dimension', () => {
    const gray = Tensor.from(new Uint8Array(15).fill(9), { shape: [3, 5] })
    const masked = maskPatches(gray, options())
    expect(values(masked)).toEqual(rows.flat().filter((_, i) => i % 2 === 0))
    expect(masked.shape).toEqual([3, 5])
  })

  test('takes the mask that randomPatchMask makes', () => {
    const patchMask = randomPatchMask({ height: 3, width: 5, patchSize: 2, ratio: 1, seed: 0 })
    expect(values(maskPatches(image(), { patchSize: 2, patchMask }))).toEqual(new Array(30).fill(0))
  })

  const detached = new Uint8Array(30)
  detach(detached)
  const disposed = image()
  disposed.dispose()

  test.each([
    ['a plain array', [9, 9], 'ERR_INVALID_ARGUMENT'],
    ['an image of int32', Tensor.zeros([3, 5, 2], 'int32'), 'ERR_INVALID_DTYPE'],
    ['five dimensions', Tensor.zeros([1, 1, 3, 5, 2], 'uint8'), 'ERR_INVALID_SHAPE'],
    [
      'pixels with gaps',
      Tensor.from(new Uint8Array(45), { shape: [3, 5, 2], rowStride: 3 }),
      'ERR_INVALID_SHAPE',
    ],
    ['a detached array', detached, 'ERR_DETACHED'],
    ['a disposed tensor', disposed, 'ERR_DISPOSED'],
  ])('refuses %s', (_, source, code) => {
    expect(refusal(() => maskPatches(source as TensorLike, options()))).toEqual({
      code,
      argument: 'image',
    })
  })

  test.each([
    ['a mask of another grid', { patchMask: new Uint8Array(5) }, 'ERR_INVALID_SHAPE', 'patchMask'],
    ['a float mask', { patchMask: new Float32Array(6) }, 'ERR_INVALID_DTYPE', 'patchMask'],
    ['a mask of 2', { patchMask: new Uint8Array(6).fill(2) }, 'ERR_INVALID_VALUE', 'patchMask'],
    ['no mask', { patchMask: undefined }, 'ERR_INVALID_ARGUMENT', 'patchMask'],
    ['a size that the image does not have', { height: 4 }, 'ERR_INVALID_SHAPE', 'image'],
    ['a patch of 0', { patchSize: 0 }, 'ERR_INVALID_OPTION', 'patchSize'],
    ['inPlace of no boolean', { inPlace: 1 }, 'ERR_INVALID_OPTION', 'inPlace'],
    ['an unknown option', { filling: 0 }, 'ERR_INVALID_OPTION', 'filling'],
  ])('refuses %s', (_, changed, code, argument) => {
    const source = image()
    const changedOptions = { ...options(), inPlace: true, ...changed } as MaskPatchesOptions
    expect(refusal(() => maskPatches(source, changedOptions))).toEqual({ code, argument })
    expect(values(source)).toEqual(new Array(30).fill(9))
  })

  test('refuses a mask inside the image that it overwrites', () => {
    const memory = new Uint8Array(30).fill(1)
    const source = Tensor.from(memory, { shape: [3, 5, 2] })
    const patchMask = memory.subarray(4, 10)
    expect(
      refusal(() => maskPatches(source, { patchSize: 2, patchMask, inPlace: true })).code,
    ).toBe('ERR_OVERLAP')
  })
})
