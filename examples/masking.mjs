// The second view of PAPO: an image with random patches black, and one with its most salient
// patches black.
import { maskPatches, randomPatchMask, saliencyPatchMask, Tensor } from 'papo-kernels'

const [height, width, patchSize] = [64, 96, 16]
const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => 1 + (i % 255))
const image = Tensor.from(pixels, { shape: [height, width, 3] })

const show = (mask) => {
  const [, columns] = mask.shape
  const text = Array.from(mask.data, (x) => (x ? '#' : '.')).join('')
  for (let at = 0; at < text.length; at += columns) console.log(text.slice(at, at + columns))
}
const blackShare = ({ data }) => data.filter((x) => x === 0).length / data.length

// One mask for all rollouts of a prompt: it depends on seed, prompt and image alone.
const patchMask = randomPatchMask({ height, width, patchSize, ratio: 0.6, seed: 7, prompt: 42 })
const masked = maskPatches(image, { patchMask, patchSize })
show(patchMask)
console.log(`random: ${(100 * blackShare(masked)).toFixed(1)} % of the values are black`)

// Cells of 2 x 2 patches: whole visual tokens of a model that merges them.
const cells = randomPatchMask({ height, width, patchSize, mergeSize: 2, seed: 7, prompt: 42 })
maskPatches(image, { patchMask: cells, patchSize, mergeSize: 2, out: masked })
show(cells)
console.log(`tokens: ${(100 * blackShare(masked)).toFixed(1)} % of the values are black`)

// The 8 patches that the caller's saliency, here the distance to a point, puts first.
const saliency = Float32Array.from({ length: 24 }, (_, i) => {
  return -Math.hypot(Math.floor(i / 6) - 1.2, (i % 6) - 3.4)
})
const semantic = saliencyPatchMask(Tensor.from(saliency, { shape: [4, 6] }), { count: 8 })
maskPatches(image, { patchMask: semantic, patchSize, out: masked })
show(semantic)
console.log(`salient: ${(100 * blackShare(masked)).toFixed(1)} % of the values are black`)
