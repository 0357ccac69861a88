// Bandwidth of a device's memory, next to that of the host in bandwidth.ts.
import { Tensor } from '../index'
import type { Engine } from '../index'
import type { Bandwidth } from './bandwidth'
import { timing } from './measure'
import { stopwatch } from './place'

/** Of a copy on the engine's device, between tensors of so many megabytes. */
export async function measureDeviceBandwidth(
  engine: Engine,
  megabytes: number,
  passes = 9,
): Promise<Pick<Bandwidth, 'copy'>> {
  const bytes = megabytes * 1e6
  using source = Tensor.zeros([bytes], 'uint8', { engine })
  using target = Tensor.zeros([bytes], 'uint8', { engine })
  const time = stopwatch(engine)
  const times: number[] = []
  for (let pass = 0; pass <= passes; ++pass)
    times.push(await time(() => source.copyTo(target, { engine })))
  return { copy: (2 * bytes) / timing(times.slice(1)).median / 1e6 }
}
