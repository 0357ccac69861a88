// The point estimate of the perception KL at the sampled token beside the exact one over the whole
// vocabulary, whose gradient flows to both views.
import { lossFromLogits, Tensor } from 'papo-kernels'

const [N, V] = [64, 1000]
const logits = Float32Array.from({ length: N * V }, (_, i) => 3 * Math.sin(i * 12.9898))
const maskedLogits = logits.map((z, i) => 0.5 * z + Math.sin(i * 78.233)) // flatter, and shifted
const inputs = {
  logits: Tensor.from(logits, { shape: [N, V] }),
  maskedLogits: Tensor.from(maskedLogits, { shape: [N, V] }),
  tokens: Int32Array.from({ length: N }, (_, n) => (n * 37) % V),
  advantages: Float32Array.of(0.5, -0.5, 1, -1), // four responses of 16 tokens
}
for (const profile of ['papoG', 'papoExact']) {
  const { terms, maskedLogitsGrad, perceptionKlPerToken } = lossFromLogits(inputs, profile)
  const spread = perceptionKlPerToken.data
  const flows = maskedLogitsGrad === undefined ? 'constant' : 'trained'
  console.log(
    `${profile.padEnd(10)} perception KL ${terms.perceptionKl.toFixed(4)} nats, per token ` +
      `${Math.min(...spread).toFixed(4)} to ${Math.max(...spread).toFixed(4)}; masked view ${flows}`,
  )
}
