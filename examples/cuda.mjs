// Logits on a GPU: nothing of their size leaves it. Where there is none, the CPU computes the same.
import { Engine, lossFromLogits, PapoError, Tensor } from 'papo-kernels'

function openEngine() {
  try {
    return Engine.open({ device: 'cuda:0' })
  } catch (error) {
    if (error instanceof PapoError && error.code === 'ERR_UNAVAILABLE') return Engine.open()
    throw error
  }
}

const engine = openEngine()
const [B, T, V] = [2, 3, 5]
const there = (data, shape = [data.length]) => Tensor.from(data, { shape }).to(engine.device)
const some = (seed) => Float32Array.from({ length: B * T * V }, (_, i) => Math.sin(seed + 7 * i))
const inputs = {
  logits: there(some(1), [B, T, V]),
  maskedLogits: there(some(2), [B, T, V]),
  tokens: there(Int32Array.of(0, 1, 2, 3, 4, 0)),
  advantages: there(Float32Array.of(1, -1)),
}
const logitsGrad = Tensor.empty([B, T, V], 'float32', { engine }) // kept from step to step
const { loss, metrics, ratios } = lossFromLogits(inputs, 'papoG', { engine, logitsGrad })
console.log(`loss ${loss.toFixed(4)}, perception KL ${metrics.perceptionKl.toFixed(4)} nats`)
console.log(`on the engine's device: ${ratios.device === engine.device}`)
const [first] = logitsGrad.toFloat32Array() // a copy
console.log(`gradient of the first logit: ${first.toFixed(4)}`)
for (const tensor of [logitsGrad, ...Object.values(inputs)]) tensor.dispose()
