// bfloat16 logits that their gradient overwrites: no second [N, V] array is ever there.
'use strict'
const { lossFromLogits, Tensor } = require('papo-kernels')

const [N, V] = [16, 32000]
const bits = new Uint16Array(N * V).map((_, i) => 0x3f80 + (i % 97)) // 1.0 and up, in bfloat16
const logits = Tensor.from(bits, { dtype: 'bfloat16', shape: [N, V] })
const { loss, logitsGrad } = lossFromLogits(
  { logits, tokens: new Int32Array(N).fill(5), advantages: Float32Array.of(1, -1) },
  'grpo',
  { gradient: 'inPlace', perToken: false },
)
const sum = logitsGrad.toFloat32Array().reduce((total, g) => total + g, 0)
console.log(
  `loss ${loss.toFixed(4)}; the gradient is in the logits' memory: ${logitsGrad.data === bits}`,
)
console.log(`each row of it sums to 0 up to rounding: ${Math.abs(sum) < 1e-4}`)
