import { types } from 'node:util'
import { markAsUntransferable } from 'node:worker_threads'
import { invalid } from './errors'

// A queued computation reads and writes buffers while JavaScript goes on. Memory that a buffer loses
// to another one is freed when that one is collected, so a buffer in use must not lose it.

const counts = new WeakMap<ArrayBufferLike, number>()
const transfers = ['transfer', 'transferToFixedLength'] as const

/**
 * Keeps buffers from being detached while a queued call uses them, until the returned function is
 * called. postMessage and structuredClone refuse them (or, in Node 20 and older, copy them) for
 * good: Node has no way to take that mark back. ArrayBuffer.prototype.transfer, which some versions
 * of Node let through, is shadowed for the time of the call.
 */
export function protect(buffers: Iterable<ArrayBufferLike>): () => void {
  const protectedOnes: ArrayBuffer[] = []
  for (const buffer of buffers) {
    if (!types.isArrayBuffer(buffer)) continue
    const count = counts.get(buffer) ?? 0
    if (count === 0) shut(buffer)
    counts.set(buffer, count + 1)
    protectedOnes.push(buffer)
  }
  return () => {
    for (const buffer of protectedOnes) {
      const count = counts.get(buffer)! - 1
      if (count === 0) counts.delete(buffer)
      else counts.set(buffer, count)
      if (count === 0) reopen(buffer)
    }
  }
}

function shut(buffer: ArrayBuffer): void {
  markAsUntransferable(buffer)
  for (const name of transfers)
    if (name in buffer)
      Object.defineProperty(buffer, name, { value: refuseTransfer, configurable: true })
}

function reopen(buffer: ArrayBuffer): void {
  for (const name of transfers) Reflect.deleteProperty(buffer, name)
}

function refuseTransfer(): never {
  throw invalid('ERR_IN_USE', 'buffer', 'a buffer that no queued call uses', 'one in use')
}
