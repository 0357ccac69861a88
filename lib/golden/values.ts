import { Tensor } from '../index'
import type { Engine, TypedArray } from '../index'

/** The reference engine computes in float64, the others in float32. */
export function engineValues(values: Float64Array, engine: Engine): Float32Array | Float64Array {
  return engine.instructionSet === 'reference' ? values : Float32Array.from(values)
}

/** Values where the engine takes them. */
export function tensorOn(engine: Engine, data: TypedArray, shape = [data.length]): Tensor {
  const tensor = Tensor.from(data, { shape })
  return engine.device === 'cpu' ? tensor : tensor.to(engine.device, { engine })
}

/** What an engine computed, wherever that is. */
export function toFloat64(tensor: Tensor): Float64Array {
  return Float64Array.from(tensor.device === 'cpu' ? tensor.data : tensor.to('cpu').data)
}
