import type { DType, TypedArray } from '../dtype'
import { invalid } from '../errors'
import { describeTensor, hostData, toTensor } from '../tensor'
import type { TensorLike } from '../tensor'

/** The values of a [B] vector of one of these dtypes. */
export function readVector(
  argument: string,
  value: TensorLike,
  dtypes: readonly DType[],
): TypedArray {
  const tensor = toTensor(argument, value)
  const data = hostData(tensor, argument)
  if (!dtypes.includes(tensor.dtype))
    throw invalid('ERR_INVALID_DTYPE', argument, dtypes.join(' or '), describeTensor(tensor))
  if (tensor.shape.length !== 1)
    throw invalid('ERR_INVALID_SHAPE', argument, 'shape [B]', describeTensor(tensor))
  return data.subarray(0, tensor.shape[0]!) // without the padding of a rowStride
}

export function requireSameLength(argument: string, data: TypedArray, expected: number): void {
  if (data.length !== expected)
    throw invalid('ERR_INVALID_SHAPE', argument, `shape [${expected}]`, `[${data.length}]`)
}
