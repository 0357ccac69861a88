// One packed pass over a prompt of four tokens and two responses that share it: p p p p a a a b b.
import { lossFromLogits, responseRowIndex, Tensor, tokenLogProbs } from 'papo-kernels'

const { rowIndex, positions, cuSeqlens, rows } = responseRowIndex({
  promptLengths: [4],
  responseLengths: [[3, 2]],
})
console.log(`rows ${rowIndex.join(' ')}; responses start at ${cuSeqlens.join(' ')}`)

const V = 5
const packedIds = Int32Array.of(1, 0, 3, 2, 4, 2, 0, 1, 3)
const logits = Tensor.from(
  Float32Array.from({ length: rows * V }, (_, i) => Math.sin(7 * i)),
  { shape: [rows, V] }, // all of them: prompt rows need not be cut out
)
const tokens = positions.map((position) => packedIds[position])
const advantages = Float32Array.of(1, -1)
const { logProbs } = tokenLogProbs({ logits, tokens, rowIndex })
const { logitsGrad } = lossFromLogits({ logits, tokens, rowIndex, cuSeqlens, advantages }, 'grpo')
console.log(`log-probs ${Array.from(logProbs.data, (l) => l.toFixed(4)).join(' ')}`)
for (let row = 2; row < rows; ++row) {
  const gradient = logitsGrad.data.subarray(row * V, (row + 1) * V)
  console.log(`gradient of row ${row}: ${Array.from(gradient, (g) => g.toFixed(4)).join(' ')}`)
}
