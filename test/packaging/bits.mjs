// Prints a hash of everything that a loss returns, one line for each instruction set, dtype and
// profile: builds of two compilers or for two processors are compared by it.
import { createHash } from 'node:crypto'
import { Engine, instructionSets, lossFromLogits, Tensor } from 'papo-kernels'

const [N, V] = [12, 3001] // two blocks of a row, the second with a part of a vector at its end

/** Integers of a linear congruential generator. */
function integers(length, seed) {
  let state = seed
  return Uint32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  })
}

/** -8 to 8; of the 16-bit types the patterns with such exponents. */
const logitsFrom = {
  float32: (words) => Float32Array.from(words, (word) => word / 2 ** 28 - 8),
  float16: (words) => Uint16Array.from(words, (word) => ((word >>> 16) % 0x4800) | (word & 0x8000)),
  bfloat16: (words) =>
    Uint16Array.from(words, (word) => ((word >>> 16) % 0x4100) | (word & 0x8000)),
}

function logits(dtype, seed) {
  return Tensor.from(logitsFrom[dtype](integers(N * V, seed)), { dtype, shape: [N, V] })
}

function hashOf(result) {
  const hash = createHash('sha256')
  for (const [name, value] of Object.entries(result)) {
    hash.update(name)
    if (value?.data !== undefined) hash.update(value.data)
    else hash.update(JSON.stringify(value) ?? '')
  }
  return hash.digest('hex').slice(0, 32)
}

const inputs = (dtype, Values) => ({
  logits: logits(dtype, 1),
  maskedLogits: logits(dtype, 2),
  tokens: Int32Array.from(integers(N, 3), (word) => word % V),
  advantages: Values.of(0.5, -0.5, 1, -1),
})

for (const instructionSet of instructionSets()) {
  const engine = Engine.open({ instructionSet, threads: 2 })
  const Values = instructionSet === 'reference' ? Float64Array : Float32Array
  for (const dtype of Object.keys(logitsFrom)) {
    for (const profile of ['papoG', 'papoExact', 'gspo']) {
      const result = lossFromLogits(inputs(dtype, Values), profile, { engine, gradNorm: true })
      console.log(`${instructionSet} ${dtype} ${profile} ${hashOf(result)}`)
    }
  }
  engine.dispose()
}
