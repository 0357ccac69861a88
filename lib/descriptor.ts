import { allocate, dtypeCode } from './dtype'
import type { DType, TypedArray } from './dtype'

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

/** The tensors of one native call, as bindings/node/descriptor.h reads them. */
export class Descriptor<Name extends string> {
  readonly slots: (TypedArray | undefined)[]
  readonly shapes: Float64Array
  readonly #own: TypedArray[] = []
  readonly #index: Readonly<Record<Name, number>>

  constructor(layout: DescriptorLayout<Name>) {
    this.slots = new Array<TypedArray | undefined>(layout.count).fill(undefined)
    this.shapes = layout.shapes
    this.#index = layout.index
  }

  /** New memory for an output: the caller gets it when the call is done. */
  allocate(argument: string, dtype: DType, elements: number): TypedArray {
    const data = allocate(argument, dtype, elements)
    this.#own.push(data)
    return data
  }

  /** The buffers that the caller has too. */
  callersBuffers(): Set<ArrayBufferLike> {
    const buffers = new Set<ArrayBufferLike>()
    for (const data of this.slots) if (data !== undefined) buffers.add(data.buffer)
    for (const data of this.#own) buffers.delete(data.buffer)
    return buffers
  }

  /** The first tensor whose buffer was transferred away; tensors are never empty. */
  detached(): Name | undefined {
    const names = Object.keys(this.#index) as Name[]
    return names.find((name) => this.slots[this.#index[name]]?.length === 0)
  }

  /** [rows] of contiguous values. */
  vector(name: Name, data: TypedArray, dtype: DType, rows: number): void {
    this.matrix(name, data, dtype, rows, 1, 1)
  }

  /** [rows, columns] */
  matrix(
    name: Name,
    data: TypedArray,
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
