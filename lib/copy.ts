// Copies of tensors between the host and devices, or on one of them.
import { runNow } from './call'
import type { PreparedCall } from './call'
import { Descriptor, DescriptorLayout } from './descriptor'
import type { DType } from './dtype'
import { defaultEngine, engineHandle } from './engine'
import type { Engine } from './engine'
import { invalid } from './errors'
import { addon, slotNames } from './native'
import { runQueued } from './queue'
import type { AbortSignalLike } from './queue'
import { elementsOf } from './shape'
import { isOnHost, storageDevice } from './storage'
import type { Storage } from './storage'

/** A tensor that takes part. */
export interface CopySide {
  readonly storage: Storage
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly rowStride: number
}

interface Rows {
  readonly rows: number
  readonly columns: number
  readonly strides: readonly [source: number, destination: number]
}

const layoutOfCall = new DescriptorLayout(slotNames.copy)

/** Returns when the destination is written. */
export function copyNow(source: CopySide, destination: CopySide, engine?: Engine): void {
  const rows = commonRows(source, destination)
  if (!copyOnHost(source, destination, rows)) runNow(prepareCopy(source, destination, rows, engine))
}

/** The same through the queue of the device; a copy within the host is done at once. */
export async function copyQueued(
  source: CopySide,
  destination: CopySide,
  engine: Engine | undefined,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  if (signal?.aborted) throw signal.reason
  const rows = commonRows(source, destination)
  if (!copyOnHost(source, destination, rows))
    await runQueued(prepareCopy(source, destination, rows, engine), signal)
}

function prepareCopy(
  source: CopySide,
  destination: CopySide,
  { rows, columns, strides }: Rows,
  given: Engine | undefined,
): PreparedCall<void> {
  const engine = given ?? defaultEngine(deviceOfCopy(source, destination))
  const handle = engineHandle(engine)
  const devices = [source, destination].map(({ storage }) => storageDevice(storage))
  if (engine.device === 'cpu' || !devices.includes(engine.device))
    throw invalid('ERR_DEVICE_MISMATCH', 'engine', `one of ${devices.join(' or ')}`, engine.device)
  const call = new Descriptor<'source' | 'destination'>(layoutOfCall, engine)
  const { dtype } = source
  call.anywhere('source', source.storage, dtype, rows, columns, strides[0])
  call.anywhere('destination', destination.storage, dtype, rows, columns, strides[1])
  return {
    descriptor: call,
    run: (jobs) => addon.copy(handle, call.slots, call.shapes, jobs),
    finish: () => {},
  }
}

// Where both are devices, the one that is written has the copy in its order.
function deviceOfCopy(source: CopySide, destination: CopySide) {
  return storageDevice(isOnHost(destination.storage) ? source.storage : destination.storage)
}

function commonRows(source: CopySide, destination: CopySide): Rows {
  if (destination.dtype !== source.dtype)
    throw invalid('ERR_INVALID_DTYPE', 'destination', source.dtype, destination.dtype)
  const isFlat = [source, destination].map(({ shape }) => shape.length === 1)
  const isAlike = String(source.shape) === String(destination.shape)
  const elements = elementsOf(source.shape)
  if (!isAlike && !(isFlat.includes(true) && elements === elementsOf(destination.shape)))
    throw invalid(
      'ERR_INVALID_SHAPE',
      'destination',
      `[${source.shape.join(', ')}] or as long a vector`,
      `[${destination.shape.join(', ')}]`,
    )
  const { shape } = isFlat[0] ? destination : source
  const columns = shape[shape.length - 1]!
  const strideOf = (side: CopySide, i: number) => (isFlat[i] ? columns : side.rowStride)
  const strides = [strideOf(source, 0), strideOf(destination, 1)] as const
  return { rows: elements / columns, columns, strides }
}

/** Whether both lie there. */
function copyOnHost(source: CopySide, destination: CopySide, layout: Rows): boolean {
  const [from, to] = [source.storage, destination.storage]
  if (!isOnHost(from) || !isOnHost(to)) return false
  const { rows, columns, strides } = layout
  for (let row = 0; row < rows; ++row) {
    const begin = row * strides[0]
    to.set(from.subarray(begin, begin + columns), row * strides[1])
  }
  return true
}
