/** Uniform numbers in [0, 1): PCG-RXS-M-XS 32 (O'Neill 2014). Same seed, same numbers. */
export type Random = () => number

export function randomFrom(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
  return () => {
    state = (Math.imul(state, 747796405) + 0xac564b05) >>> 0
    const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0
    return (((word >>> 22) ^ word) >>> 0) / 2 ** 32
  }
}

export function integerBelow(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

/** Index drawn with probability proportional to its weight. */
export function drawIndex(random: Random, weights: Float64Array): number {
  let total = 0
  for (const weight of weights) total += weight
  let rest = random() * total
  for (let i = 0; i < weights.length - 1; i++) {
    rest -= weights[i]!
    if (rest < 0) return i
  }
  return weights.length - 1
}
