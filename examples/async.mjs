// Losses beside other work: queued calls run in order on a thread of their own, while the event loop
// turns, and a call that waits can be given up.
import { lossFromLogitsAsync, Tensor, tokenLogProbsAsync } from 'papo-kernels'

const [tokens, vocabSize] = [128, 50_000]
const logits = Tensor.from(
  Float32Array.from({ length: tokens * vocabSize }, (_, i) => Math.sin(i)),
  { shape: [1, tokens, vocabSize] },
)
const inputs = { logits, tokens: new Int32Array(tokens), advantages: Float32Array.of(1) }

let turns = 0
const clock = setInterval(() => ++turns, 1)
const scored = await tokenLogProbsAsync({ logits, tokens: inputs.tokens })
const policy = { ...inputs, oldLogProbs: scored.logProbs }
const first = lossFromLogitsAsync(policy, 'grpo')
const unwanted = new AbortController()
const second = lossFromLogitsAsync(policy, 'grpo', { signal: unwanted.signal })
unwanted.abort()

const reason = await second.then(
  () => 'none',
  (error) => error.name,
)
const { loss, metrics } = await first
clearInterval(clock)
console.log(`second call: ${reason}`)
console.log(`first call: loss ${loss.toFixed(4)}, ratio ${metrics.ratioMean.toFixed(4)}`)
console.log(`the event loop turned meanwhile: ${turns > 0}`)
