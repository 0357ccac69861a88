// Responses of different lengths packed one after another, over logits whose rows are padded.
import { lossFromLogits, Tensor } from 'papo-kernels'

const [N, V, rowStride] = [7, 5, 8] // 2 + 1 + 4 tokens; a vocabulary of 5 padded to 8
const logits = new Float32Array(N * rowStride).fill(NaN) // the padding is never read
for (let i = 0; i < N * V; ++i) logits[Math.floor(i / V) * rowStride + (i % V)] = Math.sin(7 * i)
const { logProbs, logitsGrad, metrics } = lossFromLogits(
  {
    logits: Tensor.from(logits, { shape: [N, V], rowStride }),
    tokens: Int32Array.of(0, 3, 1, 4, 4, 2, 0),
    cuSeqlens: [0, 2, 3, 7], // first token of each response, and N
    advantages: Float32Array.of(1, -0.5, 0.25), // one a response
  },
  'grpo',
)
console.log(`${metrics.responseCount} responses, ${metrics.tokenCount} tokens`)
console.log(`log-probs ${Array.from(logProbs.data, (l) => l.toFixed(4)).join(' ')}`)
console.log(`gradient [${logitsGrad.shape}], row stride ${logitsGrad.rowStride}`)
