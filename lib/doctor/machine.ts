// Processor, memory and system, from Node and from the files of Linux.
import { readFileSync } from 'node:fs'
import os from 'node:os'

import { measureBandwidth } from '../bench/bandwidth'
import { manifest } from '../package'
import type {
  BandwidthFacts,
  InstructionSetFacts,
  MemoryFacts,
  NodeFacts,
  PlatformFacts,
  ProcessorFacts,
} from './facts'
import type { Probed } from './probe'

/** The contents of a file, '' where there is none. */
export function fileText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

interface DiagnosticReport {
  readonly header: { readonly glibcVersionRuntime?: string }
  readonly sharedObjects: readonly string[]
}

export function platformFacts(): PlatformFacts {
  const report = process.report.getReport() as unknown as DiagnosticReport
  const glibc = report.header.glibcVersionRuntime
  const musl = report.sharedObjects.some((file) => /\/(libc\.musl|ld-musl)-/.test(file))
  return {
    os: process.platform,
    arch: process.arch,
    kernel: os.release(),
    libc: glibc !== undefined ? 'glibc' : musl ? 'musl' : null,
    libcVersion: glibc ?? null,
  }
}

export function nodeFacts(): NodeFacts {
  const { engines, binary } = manifest()
  return {
    version: process.versions.node,
    minVersion: engines.node.replace(/^\D+/, ''),
    napi: Number(process.versions.napi),
    minNapi: Math.min(...binary.napi_versions),
    v8: process.versions.v8,
  }
}

export function processorFacts(): ProcessorFacts {
  const cores = os.cpus()
  return {
    model: cores[0]?.model.trim() || 'unknown',
    logicalCores: cores.length,
    available: os.availableParallelism(),
    quota: cgroupQuota(
      fileText('/sys/fs/cgroup/cpu.max') ||
        `${fileText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us').trim()} ` +
          fileText('/sys/fs/cgroup/cpu/cpu.cfs_period_us'),
    ),
  }
}

/** From "microseconds a period, the period"; unlimited is "max" in version 2, -1 in version 1. */
export function cgroupQuota(text: string): number | null {
  const [quota, period] = text.trim().split(/\s+/).map(Number)
  return quota !== undefined && period !== undefined && quota > 0 && period > 0
    ? quota / period
    : null
}

export function instructionSetFacts(
  compiled: NonNullable<Probed['instructionSets']>,
): InstructionSetFacts[] {
  const flags = /^flags\s*:(.*)$/m.exec(fileText('/proc/cpuinfo'))?.[1]
  const present = new Set(flags?.trim().split(' '))
  return compiled.map(({ name, features, usable }) => ({
    name,
    usable,
    missing: usable ? [] : features.split(',').filter((feature) => !present.has(feature)),
  }))
}

export function memoryFacts(): MemoryFacts {
  const limit = process.constrainedMemory()
  const hugePages = fileText('/sys/kernel/mm/transparent_hugepage/enabled')
  const chosen = /\[(always|madvise|never)\]/.exec(hugePages)?.[1]
  return {
    total: os.totalmem(),
    available: os.freemem(),
    limit: limit > 0 && limit < os.totalmem() ? limit : null,
    hugePages: (chosen as MemoryFacts['hugePages'] | undefined) ?? null,
  }
}

/** Several times a last-level cache, and yet done within a second. */
const bandwidthMegabytes = 256
const bandwidthPasses = 5
/** Further ones add nothing but the time that they take to start. */
const maxBandwidthThreads = 32

/** null where the memory is not there. */
export async function bandwidthFacts(threads: number): Promise<BandwidthFacts | null> {
  if (os.freemem() < 4 * bandwidthMegabytes * 1e6) return null
  const used = Math.min(threads, maxBandwidthThreads)
  const [load = 0] = os.loadavg()
  const measured = await measureBandwidth(used, bandwidthMegabytes, bandwidthPasses).catch(
    () => null,
  )
  return measured === null ? null : { ...measured, threads: used, loadAverage: load }
}
