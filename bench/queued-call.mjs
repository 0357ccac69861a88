// What the async form of a small call costs beside the call itself: both in turn, on the same tensors.
// usage: node bench/queued-call.mjs [CALLS]
import { lossFromLogits, lossFromLogitsAsync, Tensor } from 'papo-kernels'

const calls = Number(process.argv[2] ?? 4000)
const [tokens, vocabSize] = [32, 64]
const shape = [4, tokens / 4, vocabSize]
const some = (scale) =>
  Float32Array.from({ length: tokens * vocabSize }, (_, i) => Math.sin(scale * i))
const inputs = {
  logits: Tensor.from(some(1), { shape }),
  maskedLogits: Tensor.from(some(2), { shape }),
  tokens: Int32Array.from({ length: tokens }, (_, i) => i % vocabSize),
  oldLogProbs: new Float32Array(tokens).fill(-4),
  advantages: Float32Array.of(1, -1, 1, -1),
}
const options = { perToken: false, logitsGrad: Tensor.zeros(shape) }
const clock = () => Number(process.hrtime.bigint()) / 1e3
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1].toFixed(1)

for (let round = 0; round < 5; ++round) {
  const now = []
  const queued = []
  for (let i = 0; i < calls; ++i) {
    const begin = clock()
    lossFromLogits(inputs, 'papoG', options)
    const between = clock()
    await lossFromLogitsAsync(inputs, 'papoG', options)
    now.push(between - begin)
    queued.push(clock() - between)
  }
  console.log(`at once ${median(now)} µs, queued ${median(queued)} µs`)
}
