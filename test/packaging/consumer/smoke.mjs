// What a program that depends on the package relies on; run in the folder it is installed in.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as papo from 'papo-kernels'

const required = createRequire(import.meta.url)('papo-kernels')
assert.equal(required.PapoError, papo.PapoError, 'one package, however it is loaded')

const { lossFromLogits, Tensor } = papo
const [tokens, advantages] = [Int32Array.of(0, 1), Float32Array.of(1, -1)]
const loss = (logits) => lossFromLogits({ logits, maskedLogits: logits, tokens, advantages }).loss

const bits = Uint16Array.of(0x3c00, 0x4000, 0xbc00, 0x3c00, 0x4000, 0xbc00) // 1, 2, -1, twice
const fromBits = loss(Tensor.from(bits, { dtype: 'float16', shape: [2, 1, 3] }))
assert(Number.isFinite(fromBits))

const major = Number(process.versions.node.split('.')[0])
assert(major < 24 || typeof Float16Array === 'function')
if (typeof Float16Array === 'function') {
  const halves = Float16Array.of(1, 2, -1, 1, 2, -1)
  assert.equal(loss(Tensor.from(halves, { shape: [2, 1, 3] })), fromBits)
}
console.log(`Node ${process.versions.node}: ${papo.instructionSets().join(' ')}`)
