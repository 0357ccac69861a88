// Memory that this process did not allocate through the package: of other libraries, and of others.
import { cudaCode } from './device'
import type { Device } from './device'
import { bytesOf, requireDType } from './dtype'
import type { DType } from './dtype'
import { engineHandle } from './engine'
import type { Engine } from './engine'
import { describe, invalid } from './errors'
import { addon } from './native'
import type { NativeMemory } from './native'
import { requireInteger, requireKeys } from './options'
import { extentOf, requireRowStride, requireShape } from './shape'
import { nativeNamed } from './storage'

export interface UnsafePointer {
  /** Address of the first element, as torch.Tensor.data_ptr() gives it; aligned to the dtype. */
  pointer: bigint
  dtype: DType
  shape: readonly number[]
  /** As for {@link Tensor.from}. */
  rowStride?: number
  device: Device
  /** An engine of the device. Default: {@link defaultEngine}. */
  engine?: Engine
}

/** A tensor of a device as another process on the machine opens it; plain values, for JSON. */
export interface ShareHandle {
  /** cudaIpcMemHandle_t in hexadecimal */
  handle: string
  /** Bytes from the start of its allocation. */
  offset: number
  dtype: DType
  shape: readonly number[]
  rowStride: number
  /** In the process that shares. */
  device: Device
}

export interface ForeignTensor {
  readonly memory: NativeMemory
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly rowStride: number
}

const pointerNames = new Set(['pointer', 'dtype', 'shape', 'rowStride', 'device', 'engine'])
const handleNames = new Set(['handle', 'offset', 'dtype', 'shape', 'rowStride', 'device'])

export function requirePointer(value: UnsafePointer): Omit<UnsafePointer, 'rowStride'> & Layout {
  requireKeys('options', value, pointerNames)
  const layout = requireLayout(value)
  const { pointer, device } = value
  cudaCode(device)
  const alignment = BigInt(bytesOf(layout.dtype))
  if (typeof pointer !== 'bigint' || pointer <= 0n || pointer >= 1n << 64n)
    throw invalid('ERR_INVALID_ARGUMENT', 'pointer', 'an address as a bigint', describe(pointer))
  if (pointer % alignment !== 0n)
    throw invalid('ERR_INVALID_ARGUMENT', 'pointer', `a multiple of ${alignment}`, `${pointer}n`)
  return { ...value, ...layout }
}

/** Checked with the driver; never freed. */
export function openPointer(pointer: bigint, layout: Layout, engine: Engine): ForeignTensor {
  const handle = engineHandle(engine)
  const bytes = layout.elements * bytesOf(layout.dtype)
  const memory = nativeNamed(
    'pointer',
    () => new addon.DeviceMemory('pointer', handle, bytes, pointer),
  )
  return { memory, ...layout }
}

export function requireShareHandle(value: ShareHandle): ShareHandle & Layout {
  requireKeys('handle', value, handleNames, 'ERR_INVALID_ARGUMENT')
  const { handle, offset } = value
  if (typeof handle !== 'string' || !/^[0-9a-f]{128}$/.test(handle))
    throw invalid('ERR_INVALID_ARGUMENT', 'handle', '128 hexadecimal digits', describe(handle))
  requireInteger('offset', offset, undefined, 0)
  cudaCode(value.device)
  return { ...value, ...requireLayout(value) }
}

export function openShared(shared: ShareHandle & Layout, engine: Engine): ForeignTensor {
  const { handle, offset, dtype, shape, rowStride, elements } = shared
  const bytes = elements * bytesOf(dtype)
  const digits = Uint8Array.from(Buffer.from(handle, 'hex'))
  const opener = engineHandle(engine)
  const memory = nativeNamed(
    'handle',
    () => new addon.DeviceMemory('imported', opener, bytes, digits, offset),
  )
  return { memory, dtype, shape, rowStride }
}

export function shareMemory(memory: NativeMemory, engine: Engine) {
  const exporter = engineHandle(engine)
  const { handle, offset } = nativeNamed('tensor', () => memory.share(exporter))
  return { handle: Buffer.from(handle).toString('hex'), offset }
}

interface Layout {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly rowStride: number
  /** From the first to the last, those between the rows included. */
  readonly elements: number
}

function requireLayout(value: { dtype: DType; shape: readonly number[]; rowStride?: number }) {
  const dtype = requireDType(value.dtype)
  const shape = requireShape(value.shape)
  const rowStride = requireRowStride(value.rowStride, shape)
  return { dtype, shape, rowStride, elements: extentOf(shape, rowStride) } satisfies Layout
}
