import { types } from 'node:util'
import { markAsUntransferable } from 'node:worker_threads'
import { invalid } from './errors'

// A queued computation reads and writes buffers while JavaScript goes on. Memory that a buffer hands
// to another one is freed when that one is collected, so a buffer in use must not hand it over.

const marked = new WeakSet<ArrayBufferLike>()
const uses = new WeakMap<ArrayBufferLike, number>()
const transfers = ['transfer', 'transferToFixedLength'] as const
const transferIgnoresMark = probeTransfer()

// Node 22 lets ArrayBuffer.prototype.transfer through, Node 24 does not, Node 20 has none.
function probeTransfer(): boolean {
  const buffer: ArrayBuffer & { transfer?: () => unknown } = new ArrayBuffer(8)
  if (buffer.transfer === undefined) return false
  markAsUntransferable(buffer)
  try {
    buffer.transfer()
    return true
  } catch {
    return false
  }
}

const pageBytes = 65536
const unclonable = () => {}
const refusalOfFunction = transferRefusal(new ArrayBuffer(8))

// A buffer is refused before the function is, so nothing is ever transferred here.
function transferRefusal(buffer: ArrayBuffer): string {
  try {
    structuredClone(unclonable, { transfer: [buffer] })
    return ''
  } catch (error) {
    return String(error)
  }
}

/**
 * Whether to mark a buffer. Nobody can transfer that of a WebAssembly.Memory, whole pages long, but
 * the memory itself detaches it to grow, and Node 24 would end the process where it is marked.
 */
function isTransferable(buffer: ArrayBuffer): boolean {
  return buffer.byteLength % pageBytes !== 0 || transferRefusal(buffer) === refusalOfFunction
}

/**
 * Keeps buffers from being detached while a queued call uses them, until release().
 *
 * postMessage and structuredClone refuse them (or, in Node 20, copy them) from then on: Node has no
 * way to take that mark back. Where transfer() ignores it, that is shadowed for the time of the call.
 */
export function protect(buffers: Iterable<ArrayBufferLike>): void {
  for (const buffer of buffers) {
    if (!types.isArrayBuffer(buffer)) continue
    if (!marked.has(buffer)) {
      if (isTransferable(buffer)) markAsUntransferable(buffer)
      marked.add(buffer)
    }
    if (transferIgnoresMark) countUse(buffer, 1)
  }
}

/** Ends one protect() of the same buffers. */
export function release(buffers: Iterable<ArrayBufferLike>): void {
  if (!transferIgnoresMark) return
  for (const buffer of buffers) if (types.isArrayBuffer(buffer)) countUse(buffer, -1)
}

function countUse(buffer: ArrayBuffer, change: 1 | -1): void {
  const before = uses.get(buffer) ?? 0
  const after = before + change
  uses.set(buffer, after)
  if (before === 0)
    for (const name of transfers)
      Reflect.defineProperty(buffer, name, { value: refuseTransfer, configurable: true })
  if (after === 0) for (const name of transfers) Reflect.deleteProperty(buffer, name)
}

function refuseTransfer(): never {
  throw invalid('ERR_IN_USE', 'buffer', 'a buffer that no queued call uses', 'one in use')
}
