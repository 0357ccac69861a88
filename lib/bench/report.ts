import os from 'node:os'

import type { Engine } from '../index'
import { addon } from '../native'
import { manifest } from '../package'
import type { Bandwidth } from './bandwidth'
import type { BenchRow } from './runner'

export interface BenchHeader {
  readonly date: string
  readonly cpu: string
  /** Absent where no GPU was used. */
  readonly gpu?: string
  readonly threads: number
  readonly versions: {
    readonly node: string
    readonly 'papo-kernels': string
    readonly torch?: string
    readonly numpy?: string
  }
  /** Bytes read plus bytes written, GB/s. */
  readonly copyBandwidth: number
  /** GB/s; of the CPU. */
  readonly readBandwidth?: number
  /** Of the last minute before measuring: above 0 others were at work. */
  readonly loadAverage: number
}

export interface BenchReport {
  readonly header: BenchHeader
  readonly rows: readonly BenchRow[]
}

export function header(
  engine: Engine,
  bandwidth: Pick<Bandwidth, 'copy'> & Partial<Bandwidth>,
  peers: Pick<BenchHeader['versions'], 'torch' | 'numpy'> = {},
): BenchHeader {
  const { threads } = engine
  const gpu = gpuName(engine)
  return {
    ...(gpu === undefined ? {} : { gpu }),
    date: new Date().toISOString(),
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    threads,
    versions: {
      node: process.versions.node,
      'papo-kernels': manifest().version,
      ...peers,
    },
    copyBandwidth: bandwidth.copy,
    ...(bandwidth.read === undefined ? {} : { readBandwidth: bandwidth.read }),
    loadAverage: os.loadavg()[0] ?? 0,
  }
}

export function headerText({ cpu, threads, versions, ...rest }: BenchHeader): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${rest.gpu ?? `${cpu}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`}; ` +
      `${named.join(', ')}; ${rest.date}`,
    bandwidthText(rest),
    ...(rest.loadAverage > 0.5 ? [busyText(rest.loadAverage)] : []),
    '',
  ].join('\n')
}

function bandwidthText({
  copyBandwidth,
  readBandwidth,
}: Pick<BenchHeader, 'copyBandwidth' | 'readBandwidth'>): string {
  const copy = `copy ${copyBandwidth.toFixed(1)} GB/s (read + write`
  return readBandwidth === undefined
    ? `${copy}, on the device)`
    : `${copy}, memmove), read ${readBandwidth.toFixed(1)} GB/s (memchr), same threads`
}

function gpuName({ device }: Engine): string | undefined {
  if (device === 'cpu') return undefined
  const index = Number(device.slice('cuda:'.length))
  const { devices, driverVersion } = addon.cudaDriver()
  const version = `CUDA ${Math.floor(driverVersion / 1000)}.${Math.floor((driverVersion % 1000) / 10)}`
  return `${devices[index]?.name ?? device}, driver for ${version}`
}

// Two halves of an OpenMP loop wait for each other: when others take one core, eager PyTorch loses
// more than we do, and the ratio flatters us.
function busyText(load: number): string {
  return `the machine was busy (load ${load.toFixed(1)}): do not quote these numbers or ratios`
}

/** Spread from which a row is marked with ~. */
const noisySpread = 1.5

function isNoisy({ milliseconds, peers }: BenchRow): boolean {
  return [milliseconds, ...Object.values(peers).map((peer) => peer.milliseconds)].some(
    (timing) => timing != null && timing.p90 > noisySpread * timing.p10,
  )
}

export const noiseText = `~ p90 above ${noisySpread} times p10, of ours or of the peer\n`

const widths = [50, 11, 22, 8, 9, 8] as const
const peerWidths = [12, 9] as const

export function columnTitles(hasPeer: boolean): string {
  const titles = ['case', 'median', 'p10 .. p90', 'GB/s', 'Gflop/s', '% copy']
  return columns([...titles, ...(hasPeer ? ['peer', 'ratio'] : [])])
}

export function rowText(row: BenchRow): string {
  const { median, p10, p90 } = row.milliseconds
  const unit = median < 1 ? { scale: 1000, name: 'µs' } : { scale: 1, name: 'ms' }
  const time = (milliseconds: number) =>
    (milliseconds * unit.scale).toFixed(unit.scale === 1 ? 2 : 1)
  return columns([
    row.name,
    `${time(median)} ${unit.name}`,
    `${time(p10)} .. ${time(p90)} ${unit.name}`,
    row.gigabytesPerSecond.toFixed(1),
    (row.flops / median / 1e6).toFixed(1),
    `${(100 * row.fractionOfCopy).toFixed(0)} %`,
    ...peerCells(row),
    isNoisy(row) ? '~' : '',
  ])
}

function peerCells({ peers }: BenchRow): string[] {
  const [peer] = Object.values(peers)
  if (peer === undefined) return []
  if (peer.ratio === null || peer.milliseconds === null) return ['-', peer.note ?? '-']
  return [`${peer.milliseconds.median.toFixed(2)} ms`, `${peer.ratio.toFixed(1)} x`]
}

function columns(cells: readonly string[]): string {
  const [name, ...numbers] = cells
  const all = [...widths, ...peerWidths]
  const padded = numbers.map((cell, i) => cell.padStart(all[i + 1] ?? 0))
  return `${[name!.padEnd(widths[0]), ...padded].join(' ').trimEnd()}\n`
}
