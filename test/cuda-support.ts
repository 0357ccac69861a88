// For the tests that need a CUDA device: a real one, or the emulated one of npm run build:simt.
import { Engine, Tensor } from '../lib'
import type { TypedArray } from '../lib'

// An emulated device under a sanitizer is slow.
jest.setTimeout(120_000)

/** Whether tests of cuda:0 run. With PAPO_KERNELS_ADDON they do, so that a failure to open it shows. */
export function hasDevice(): boolean {
  if (process.env['PAPO_KERNELS_ADDON']) return true
  try {
    Engine.open({ device: 'cuda:0' }).dispose()
    return true
  } catch {
    return false
  }
}

/** describe(), or what says why nothing is tested here. */
export const describeOnDevice: jest.Describe = hasDevice()
  ? describe
  : (((_: string, __: () => void) => {
      test.skip('no CUDA device, and PAPO_KERNELS_ADDON names no emulated one', () => {})
    }) as unknown as jest.Describe)

/** The same values on the first device. */
export function onDevice(data: TypedArray | Tensor, shape?: readonly number[]): Tensor {
  const tensor = data instanceof Tensor ? data : Tensor.from(data, shape ? { shape } : {})
  return tensor.to('cuda:0')
}

type Values = Readonly<Record<string, unknown>>

/** Inputs of a call with every tensor and array on the first device. */
export function inputsOnDevice<Inputs extends object>(inputs: Inputs): Inputs {
  const move = (value: unknown) =>
    value instanceof Tensor || ArrayBuffer.isView(value)
      ? onDevice(value as Tensor | TypedArray)
      : value
  const moved = Object.entries(inputs as Values).map(([name, value]) => [name, move(value)])
  return Object.fromEntries(moved) as Inputs
}

/** What a tensor holds, wherever it is. */
export function hostValues(tensor: Tensor): number[] {
  return Array.from((tensor.device === 'cpu' ? tensor : tensor.to('cpu')).data)
}

/** Largest distance between two results, relative to 1 + |expected|; NaN where only one is NaN. */
export function distance(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return NaN
  return actual.reduce((worst, value, i) => {
    const wanted = expected[i]!
    const error = Object.is(value, wanted) ? 0 : Math.abs(value - wanted) / (1 + Math.abs(wanted))
    return error <= worst ? worst : error
  }, 0)
}
