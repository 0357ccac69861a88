import { describe, invalid } from './errors'

export function elementsOf(shape: readonly number[]): number {
  let elements = 1
  for (const dimension of shape) elements *= dimension
  return elements
}

export function requireShape(shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape) || shape.length === 0)
    throw invalid('ERR_INVALID_SHAPE', 'shape', 'an array of dimensions', describe(shape))
  const dimensions: readonly number[] = Object.freeze([...shape])
  const isWhole = (dimension: unknown) => Number.isSafeInteger(dimension) && Number(dimension) >= 1
  const expected = !dimensions.every(isWhole)
    ? 'whole numbers of at least 1'
    : !Number.isSafeInteger(elementsOf(dimensions))
      ? 'at most 2^53 elements'
      : undefined
  if (expected === undefined) return dimensions
  const received = `[${dimensions.map(describe).join(', ')}]`
  throw invalid('ERR_INVALID_SHAPE', 'shape', expected, received)
}

export function requireRowStride(rowStride: unknown, shape: readonly number[]): number {
  const columns = shape[shape.length - 1]!
  if (rowStride === undefined) return columns
  if (Number.isSafeInteger(rowStride) && (rowStride as number) >= columns)
    return rowStride as number
  throw invalid(
    'ERR_INVALID_SHAPE',
    'rowStride',
    `a whole number of at least ${columns}`,
    describe(rowStride),
  )
}

/** Elements from the first to the last, those between the rows included. */
export function extentOf(shape: readonly number[], rowStride: number): number {
  const columns = shape[shape.length - 1]!
  const rows = elementsOf(shape) / columns
  const extent = (rows - 1) * rowStride + columns
  if (Number.isSafeInteger(extent)) return extent
  throw invalid('ERR_INVALID_SHAPE', 'rowStride', 'at most 2^53 elements', `${rowStride}`)
}

export function requireLength(length: number, shape: readonly number[], rowStride: number): void {
  const columns = shape[shape.length - 1]!
  const rows = elementsOf(shape) / columns
  const [shortest, longest] = [(rows - 1) * rowStride + columns, rows * rowStride]
  if (length === shortest || length === longest) return
  const stride = rowStride === columns ? '' : ` with rowStride ${rowStride}`
  throw invalid(
    'ERR_INVALID_SHAPE',
    'data',
    `${longest} elements for shape [${shape.join(', ')}]${stride}`,
    `${length}`,
  )
}
