// Memory that a process gains over very many calls; run by leaks.test.ts with --expose-gc on the
// built package. Prints the growth in bytes of each kind of work as JSON:
//   node --expose-gc test/leaks.mjs [calls]
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const papo = require('../dist/index.js')
const { Engine, lossFromLogits, Tensor } = papo

const calls = Number(process.argv[2] ?? 100_000)

const [B, T, V] = [2, 3, 5]
const N = B * T
const inputs = () => ({
  logits: Tensor.from(new Float32Array(N * V), { shape: [B, T, V] }),
  maskedLogits: Tensor.from(new Float32Array(N * V).fill(1), { shape: [B, T, V] }),
  tokens: Tensor.from(new Int32Array(N), { shape: [B, T] }),
  advantages: new Float32Array(B).fill(1),
  oldLogProbs: new Float32Array(N).fill(-1),
  refLogProbs: new Float32Array(N).fill(-1),
})
const kept = inputs()
const scored = { logits: kept.logits, tokens: kept.tokens }
const wrong = { ...kept, tokens: Tensor.from(new Int32Array(N).fill(V), { shape: [B, T] }) }
const rewards = new Float32Array(8)
const groupIds = Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3)
const pixels = Tensor.from(new Uint8Array(30), { shape: [3, 5, 2] })
const patchMask = new Uint8Array(6)

function refused(body) {
  try {
    body()
  } catch (error) {
    if (error instanceof papo.PapoError) return
    throw error
  }
  throw new Error('expected a PapoError')
}

// Each with the share of the calls that it makes.
const work = {
  loss: [1, () => lossFromLogits(kept, 'papoExact')],
  lossInPlace: [1, () => lossFromLogits(inputs(), 'papoG', { gradient: 'inPlace' })],
  tokenLogProbs: [1, () => papo.tokenLogProbs(scored)],
  advantages: [1, () => papo.groupAdvantages(rewards, groupIds)],
  masking: [
    1,
    () => {
      papo.randomPatchMask({ height: 28, width: 28, seed: 1 })
      papo.maskPatches(pixels, { patchMask, patchSize: 2 })
    },
  ],
  objective: [1, () => papo.resolveObjective({ perceptionKlCoef: 0.1 })],
  tensors: [1, () => Tensor.zeros([16, 16])],
  // One is disposed, the other left to the garbage collector.
  engines: [
    0.03,
    () => {
      Engine.open({ threads: 1 }).dispose()
      lossFromLogits(kept, 'grpo', { engine: Engine.open({ threads: 1 }) })
    },
  ],
  errorsOfTypeScript: [1, () => refused(() => lossFromLogits({ ...kept, advantages: [] }))],
  errorsOfTheAddon: [1, () => refused(() => lossFromLogits(wrong))],
  queue: [
    0.001,
    () => Promise.all(Array.from({ length: 100 }, () => papo.lossFromLogitsAsync(kept))),
  ],
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

async function memory() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await nextTurn() // finalizers run between turns
  }
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
  return { rss, heapUsed, external, arrayBuffers }
}

async function repeat(body, count) {
  for (let i = 0; i < count; i++) {
    const promise = body()
    if (promise instanceof Promise) await promise
    if (i % 2000 === 1999) await nextTurn()
  }
}

const passes = 3
const enough = 1 << 20

// Of the pass that gained least: a leak gains in every pass, an allocator or a compiler only at times.
async function growth(round, rounds) {
  await repeat(round, Math.ceil(rounds / 2)) // code is compiled and pools are filled
  const least = {}
  for (let pass = 0; pass < passes; pass++) {
    const before = await memory()
    await repeat(round, rounds)
    const after = await memory()
    for (const [kind, bytes] of Object.entries(after))
      least[kind] = Math.min(least[kind] ?? Infinity, bytes - before[kind])
    if (Object.values(least).every((bytes) => bytes < enough)) break
  }
  return least
}

const results = {}
for (const [name, [share, body]] of Object.entries(work))
  results[name] = await growth(body, Math.ceil(calls * share))
console.log(JSON.stringify(results))
