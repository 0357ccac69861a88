import { describe, invalid } from './errors'

/** Where memory lies. */
export type Device = 'cpu' | `cuda:${number}`

/** papo_engine_options.device of a name: papo_device_kind + 16 * index. */
export function deviceCode(device: unknown): number {
  if (device === 'cpu') return 0
  const index = typeof device === 'string' ? /^cuda:(\d{1,3})$/.exec(device)?.[1] : undefined
  if (index === undefined)
    throw invalid('ERR_INVALID_OPTION', 'device', "'cpu' or 'cuda:<index>'", describe(device))
  return 1 + 16 * Number(index)
}

/** The code of a CUDA device, which the CPU is not. */
export function cudaCode(device: unknown): number {
  const code = deviceCode(device)
  if (code !== 0) return code
  throw invalid('ERR_INVALID_OPTION', 'device', "'cuda:<index>'", describe(device))
}

/** The name of a code that the addon gave. */
export function deviceName(code: number): Device {
  return code === 0 ? 'cpu' : `cuda:${code >> 4}`
}
