// For a framework that keeps its own log-softmax: log-probs in, their slopes out.
import { groupAdvantages, lossFromLogProbs } from 'papo-kernels'

// Two prompts with two responses each, packed: 2 + 3 + 1 + 2 tokens.
const advantages = groupAdvantages(Float32Array.of(1, 0, 0, 1), Int32Array.of(7, 7, 8, 8))
const { terms, weightedTerms, logProbsGrad } = lossFromLogProbs(
  {
    logProbs: Float32Array.of(-0.9, -1.2, -0.3, -2.1, -0.7, -1.6, -0.4, -0.8),
    oldLogProbs: Float32Array.of(-1.0, -1.1, -0.3, -1.4, -0.7, -1.5, -0.6, -0.8),
    maskedLogProbs: Float32Array.of(-1.9, -2.2, -0.4, -2.0, -1.7, -1.6, -2.4, -0.9),
    cuSeqlens: [0, 2, 5, 6, 8],
    advantages,
  },
  { profile: 'papoG3b', perceptionKlCoef: 0.01 },
)
const show = (tensor) => Array.from(tensor.data, (value) => value.toFixed(4)).join(' ')
console.log('advantages', show(advantages))
for (const [name, value] of Object.entries(terms)) {
  console.log(`${name.padEnd(14)} ${value.toFixed(4)} weighted ${weightedTerms[name].toFixed(4)}`)
}
// What an autodiff framework multiplies its own dlogProbs by.
console.log('dloss/dlogProbs', show(logProbsGrad))
