// Inputs where the engine computes, and the watch that times it there.
import { Tensor } from '../index'
import type { Engine, TensorLike, TypedArray } from '../index'
import type { Stopwatch } from './measure'

/** Values on the host as the engine takes them: themselves, or a copy on its device. */
export function place(engine: Engine, values: Tensor): Tensor
export function place(engine: Engine, values: TypedArray): TensorLike
export function place(engine: Engine, values: TensorLike): TensorLike {
  if (engine.device === 'cpu') return values
  const tensor = values instanceof Tensor ? values : Tensor.from(values)
  return tensor.to(engine.device, { engine })
}

/** Of the host, or by events in the engine's stream. */
export function stopwatch(engine: Engine): Stopwatch {
  return engine.device === 'cpu' ? hostWatch : (work) => deviceWatch(engine, work)
}

const hostWatch: Stopwatch = async (work) => {
  const started = process.hrtime.bigint()
  const running = work()
  if (running !== undefined) await running
  return Number(process.hrtime.bigint() - started) / 1e6
}

async function deviceWatch(engine: Engine, work: () => void | Promise<void>): Promise<number> {
  using begin = engine.recordEvent()
  await work()
  using end = engine.recordEvent()
  end.synchronize()
  return end.elapsedSince(begin)
}
