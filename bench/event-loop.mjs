// How long the event loop of Node is held up while a loss of about two seconds runs beside it.
// usage: node bench/event-loop.mjs [SECONDS]
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { defaultEngine, lossFromLogitsAsync, Tensor } from 'papo-kernels'

const seconds = Number(process.argv[2] ?? 2)
const [tokens, vocabSize] = [256, 151_936]
const inputs = {
  logits: Tensor.zeros([1, tokens, vocabSize]),
  maskedLogits: Tensor.zeros([1, tokens, vocabSize]),
  tokens: new Int32Array(tokens),
  advantages: Float32Array.of(1),
}
const logitsGrad = Tensor.zeros([1, tokens, vocabSize])
const maskedLogitsGrad = Tensor.zeros([1, tokens, vocabSize])
const call = () =>
  lossFromLogitsAsync(inputs, 'papoExact', { perToken: false, logitsGrad, maskedLogitsGrad })

await call()
const started = performance.now()
await call()
const calls = Math.max(1, Math.round((seconds * 1000) / (performance.now() - started)))

// Queued at once, so that the device is busy without a gap. Resolution 1 ms: a timer each.
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const begin = performance.now()
await Promise.all(Array.from({ length: calls }, call))
const milliseconds = performance.now() - begin
delays.disable()
// The histogram holds the time between two timers of 1 ms.
const late = (nanoseconds) => `${Math.max(0, nanoseconds / 1e6 - 1).toFixed(2)} ms`
console.log(
  `${calls} calls, ${(milliseconds / 1000).toFixed(2)} s on ${defaultEngine().threads} threads;`,
  `event loop late by ${late(delays.percentile(50))} (median),`,
  `${late(delays.percentile(99))} (99th percentile), ${late(delays.max)} (most)`,
)
