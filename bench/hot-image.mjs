// Drawing a mask, masking and copying one image of 1120 x 896 pixels again and again: all in the caches.
import { maskPatches, randomPatchMask, Tensor } from 'papo-kernels'

const [height, width] = [1120, 896]
const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => i % 251)
const image = Tensor.from(pixels, { shape: [height, width, 3] })
const out = Tensor.zeros([height, width, 3], 'uint8')
const copy = new Uint8Array(pixels.length)
const times = { draw: [], mask: [], copy: [] }
for (let seed = 0; seed < 300; ++seed) {
  const begin = performance.now()
  const patchMask = randomPatchMask({ height, width, seed })
  const drawn = performance.now()
  maskPatches(image, { patchMask, out })
  const masked = performance.now()
  copy.set(pixels)
  times.draw.push(drawn - begin)
  times.mask.push(masked - drawn)
  times.copy.push(performance.now() - masked)
}
const median = (values) => 1000 * values.sort((a, b) => a - b)[values.length >> 1]
for (const [name, values] of Object.entries(times))
  console.log(`${name} ${median(values).toFixed(0)} µs`)
