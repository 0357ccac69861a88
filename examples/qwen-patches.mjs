// Masking after the processor of Qwen2.5-VL: pixel_values of an image and a video in one matrix.
import { maskPatchRows, randomPatchMasks, Tensor } from 'papo-kernels'

const gridThw = [
  [1, 4, 6], // an image of 56 x 84 pixels
  [3, 4, 4], // a video of 6 frames, two to a patch
]
const [patches, features] = [1 * 4 * 6 + 3 * 4 * 4, 3 * 2 * 14 * 14]
const pixelValues = Tensor.from(
  Float32Array.from({ length: patches * features }, (_, i) => Math.sin(i)),
  { shape: [patches, features] },
)

// A mask for each image, one value for each visual token of 2 x 2 patches.
const sizes = gridThw.map(([frames, height, width]) => ({ frames, height, width }))
const patchMask = randomPatchMasks(sizes, { patchSize: 1, mergeSize: 2, seed: 7, prompt: 42 })
// Black after the processor's normalisation of each channel.
const mean = [0.48145466, 0.4578275, 0.40821073]
const std = [0.26862954, 0.26130258, 0.27577711]
const fill = mean.map((m, channel) => -m / std[channel])

const masked = maskPatchRows(pixelValues, { gridThw, patchMask, unit: 'token', fill })
const isBlack = (row) => masked.data[row * features] === Math.fround(fill[0])
const rows = Array.from({ length: patches }, (_, row) => (isBlack(row) ? '#' : '.')).join('')
console.log(`masks ${patchMask.map(({ shape }) => `[${shape.join(', ')}]`).join(' and ')}`)
console.log(`image ${rows.slice(0, 24).replace(/.{4}/g, '$& ').trim()}`)
console.log(`video ${rows.slice(24).replace(/.{4}/g, '$& ').trim()}`)
const thirds = [0, 1, 2].map((channel) => masked.data[rows.indexOf('#') * features + 392 * channel])
console.log(`a masked row: ${thirds.map((x) => x.toFixed(4)).join(', ')} in its three channels`)
