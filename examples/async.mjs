// Losses beside other work: queued calls run in order on a thread of their own, while the event loop
// turns, and a call that waits can be given up.
import { lossFromLogitsAsync, Tensor, tokenLogProbsAsync } from 'papo-kernels'

const [tokens, vocabSize] = [256, 100_000]
const data = new Float32Array(tokens * vocabSize).map((_, i) => i % 7)
const logits = Tensor.from(data, { shape: [1, tokens, vocabSize] })
const inputs = { logits, tokens: new Int32Array(tokens), advantages: Float32Array.of(1) }

let turns = 0
const clock = setInterval(() => ++turns, 1)
const scored = await tokenLogProbsAsync({ logits, tokens: inputs.tokens })
const policy = { ...inputs, oldLogProbs: scored.logProbs }
const wanted = ['grpo', 'dapo', 'cispo'].map((profile) => lossFromLogitsAsync(policy, profile))
const unwanted = new AbortController()
const last = lossFromLogitsAsync(policy, 'drGrpo', { signal: unwanted.signal })
unwanted.abort()

const reason = await last.then(
  () => 'none',
  (error) => error.name,
)
const losses = await Promise.all(wanted)
clearInterval(clock)
console.log(`losses: ${losses.map(({ loss }) => loss.toFixed(4)).join(' ')}`)
console.log(`the last call: ${reason}`)
console.log(`the event loop turned meanwhile: ${turns > 0}`)
