import type { Descriptor } from '../descriptor'
import type { DType } from '../dtype'
import { describe, invalid } from '../errors'
import { requireBoolean } from '../options'
import { part } from '../storage'
import type { Storage } from '../storage'
import { describeTensor, elementsOf, makeTensor, tensorData, toTensor } from '../tensor'
import type { Tensor, TensorLike } from '../tensor'

/** Where the masked values go. */
export interface DestinationOptions {
  /**
   * Destination in the shape and dtype of the input, to use memory again: a new array costs more
   * time, in page faults, than the masking itself.
   */
  out?: TensorLike
  /** true: the input itself is masked. Default false: a new tensor, or out. */
  inPlace?: boolean
}

/** A tensor as the addon takes it: rows of columns elements, rowStride apart. */
export interface RowView {
  readonly tensor: Tensor
  readonly rows: number
  readonly columns: number
  readonly rowStride: number
}

const dtypes: readonly DType[] = ['uint8', 'float32', 'float16', 'bfloat16', 'float64']

export function putInput<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  view: RowView,
): void {
  const { tensor, rows, columns, rowStride } = view
  const data = tensorData(tensor, slot)
  if (!dtypes.includes(tensor.dtype))
    throw invalid('ERR_INVALID_DTYPE', slot, dtypes.join(', '), describeTensor(tensor))
  call.matrix(slot, data, tensor.dtype, rows, columns, rowStride)
}

/**
 * Puts the destination that the options ask for and returns it.
 *
 * @param shape of the result
 * @param rowStrideOf elements from row to row of a tensor of this shape
 */
export function putDestination<Name extends string>(
  call: Descriptor<Name>,
  slot: Name,
  input: RowView,
  shape: readonly number[],
  rowStrideOf: (argument: string, tensor: Tensor) => number,
  options: DestinationOptions,
): Tensor {
  const { rows, columns } = input
  const { dtype } = input.tensor
  if (requireBoolean('inPlace', options.inPlace, false)) {
    if (options.out !== undefined)
      throw invalid('ERR_INVALID_ARGUMENT', slot, 'none where inPlace', describe(options.out))
    call.matrix(slot, tensorData(input.tensor, slot), dtype, rows, columns, input.rowStride)
    return input.tensor
  }
  const tensor =
    options.out === undefined
      ? shaped(call.allocate(slot, dtype, rows * columns), dtype, shape)
      : givenDestination(slot, options.out, dtype, shape)
  call.matrix(slot, tensorData(tensor, slot), dtype, rows, columns, rowStrideOf(slot, tensor))
  return tensor
}

function givenDestination(
  slot: string,
  value: TensorLike,
  dtype: DType,
  shape: readonly number[],
): Tensor {
  const given = toTensor(slot, value)
  const isFlat = given.shape.length === 1
  const fits = isFlat ? given.shape[0] === elementsOf(shape) : String(given.shape) === String(shape)
  if (given.dtype !== dtype) throw invalid('ERR_INVALID_DTYPE', slot, dtype, describeTensor(given))
  if (!fits)
    throw invalid('ERR_INVALID_SHAPE', slot, `[${shape.join(', ')}]`, describeTensor(given))
  if (!isFlat || shape.length === 1) return given
  return shaped(part(tensorData(given, slot), dtype, 0, elementsOf(shape)), dtype, shape)
}

function shaped(data: Storage, dtype: DType, shape: readonly number[]): Tensor {
  return makeTensor(data, dtype, shape, shape[shape.length - 1]!)
}
