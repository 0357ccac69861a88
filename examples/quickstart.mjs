// Two responses of three tokens over a vocabulary of five: loss and gradient of PAPO-G.
import { lossFromLogits, Tensor } from 'papo-kernels'

const [B, T, V] = [2, 3, 5]
const some = (seed) => Float32Array.from({ length: B * T * V }, (_, i) => Math.sin(seed + 7 * i))
const { loss, metrics, logitsGrad } = lossFromLogits({
  logits: Tensor.from(some(1), { shape: [B, T, V] }), // with the image
  maskedLogits: Tensor.from(some(2), { shape: [B, T, V] }), // with the masked image
  tokens: Int32Array.of(0, 1, 2, 3, 4, 0), // sampled
  responseMask: Uint8Array.of(1, 1, 1, 1, 1, 0), // the second response has two tokens
  advantages: Float32Array.of(1, -1), // one a response
})
console.log(`loss ${loss.toFixed(4)}, perception KL ${metrics.perceptionKl.toFixed(4)} nats`)
const first = Array.from(logitsGrad.data.subarray(0, V), (g) => g.toFixed(4))
console.log(`gradient of the first token: ${first.join(' ')}`)
