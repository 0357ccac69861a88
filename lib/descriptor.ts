import { deviceCode, deviceName } from './device'
import { allocate, dtypeCode } from './dtype'
import type { DType, TypedArray } from './dtype'
import type { Engine } from './engine'
import { allocateFor, isOnHost, storageCode, wrongDevice } from './storage'
import type { Storage } from './storage'

const numbersPerSlot = 4

/** Where each tensor of one kind of call goes: its index in the C struct. */
export class DescriptorLayout<Name extends string> {
  readonly count: number
  readonly index: Readonly<Record<Name, number>>
  /**
   * Rows, columns, rowStride and dtype of each tensor. One array for all calls: it is written and
   * read within a call, numbers of absent tensors are not looked at, and an array of its own would
   * be the most expensive allocation of a small call.
   */
  readonly shapes: Float64Array

  constructor(names: readonly Name[]) {
    this.count = names.length
    this.index = Object.fromEntries(names.map((name, i) => [name, i])) as Record<Name, number>
    this.shapes = new Float64Array(names.length * numbersPerSlot)
  }
}

/**
 * The tensors of one native call, as bindings/node/descriptor.h reads them: all on the engine's
 * device, but for those that every engine takes from the host.
 */
export class Descriptor<Name extends string> {
  readonly slots: (Storage | undefined)[]
  readonly shapes: Float64Array
  readonly engine: Engine
  readonly #device: number
  readonly #own: TypedArray[] = []
  readonly #index: Readonly<Record<Name, number>>

  constructor(layout: DescriptorLayout<Name>, engine: Engine) {
    this.slots = new Array<Storage | undefined>(layout.count).fill(undefined)
    this.shapes = layout.shapes
    this.engine = engine
    this.#device = deviceCode(engine.device)
    this.#index = layout.index
  }

  /** New memory for an output: the caller gets it when the call is done. */
  allocate(argument: string, dtype: DType, elements: number): Storage {
    const data = allocateFor(this.engine, argument, dtype, elements)
    if (isOnHost(data)) this.#own.push(data)
    return data
  }

  /** New memory of the host, of which the caller knows nothing. */
  allocateOnHost(argument: string, dtype: DType, elements: number): TypedArray {
    const data = allocate(argument, dtype, elements)
    this.#own.push(data)
    return data
  }

  /** The buffers that the caller has too. */
  callersBuffers(): Set<ArrayBufferLike> {
    const buffers = new Set<ArrayBufferLike>()
    for (const data of this.slots)
      if (data !== undefined && isOnHost(data)) buffers.add(data.buffer)
    for (const data of this.#own) buffers.delete(data.buffer)
    return buffers
  }

  /** The first tensor whose buffer was transferred away; tensors are never empty. */
  detached(): Name | undefined {
    const names = Object.keys(this.#index) as Name[]
    return names.find((name) => {
      const data = this.slots[this.#index[name]]
      return data !== undefined && isOnHost(data) && data.length === 0
    })
  }

  /** [rows] of contiguous values. */
  vector(name: Name, data: Storage, dtype: DType, rows: number): void {
    this.matrix(name, data, dtype, rows, 1, 1)
  }

  /** [rows, columns] @throws PapoError ERR_DEVICE_MISMATCH (not of the engine's device) */
  matrix(
    name: Name,
    data: Storage,
    dtype: DType,
    rows: number,
    columns: number,
    rowStride: number,
  ): void {
    const device = storageCode(data)
    if (device !== this.#device) throw wrongDevice(name, this.engine.device, deviceName(device))
    this.anywhere(name, data, dtype, rows, columns, rowStride)
  }

  /** [rows, columns] without gaps, from the host on every engine. */
  onHost(name: Name, data: TypedArray, dtype: DType, rows: number, columns = 1): void {
    this.anywhere(name, data, dtype, rows, columns, columns)
  }

  /** [rows, columns] on whatever device. */
  anywhere(
    name: Name,
    data: Storage,
    dtype: DType,
    rows: number,
    columns: number,
    rowStride: number,
  ): void {
    const slot = this.#index[name]
    const at = slot * numbersPerSlot
    this.slots[slot] = data
    this.shapes[at] = rows
    this.shapes[at + 1] = columns
    this.shapes[at + 2] = rowStride
    this.shapes[at + 3] = dtypeCode(dtype)
  }
}
