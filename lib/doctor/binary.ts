// What the binary says of itself and of the NVIDIA driver.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

import { packageRoot } from '../package'
import type { BinaryFacts, BinaryProblem, CudaFacts, EngineFacts } from './facts'
import type { Probed } from './probe'

/** A driver may take seconds to wake its devices, and one that hangs is given up. */
const probeMilliseconds = 30_000

export interface ProbeResult extends Probed {
  /** Why the process ended before it had said everything. */
  readonly ended: string | null
}

export function probeBinary(): ProbeResult {
  const script = path.join(__dirname, 'probe.js')
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    timeout: probeMilliseconds,
  })
  const found = Object.assign({}, ...stdout.split('\n').map(readLine)) as Probed
  return { ...found, ended: endText(status, signal, stderr) }
}

/** A line that something else wrote is no object. */
function readLine(line: string): object {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function endText(status: number | null, signal: string | null, stderr: string): string | null {
  if (status === 0) return null
  if (signal === 'SIGTERM') return `no answer within ${probeMilliseconds / 1000} seconds`
  if (signal !== null) return `the process was ended by ${signal}`
  const error = stderr.split('\n').find((line) => /^\w*Error\b/.test(line))
  return error ?? `the process ended with status ${status}`
}

export function binaryFacts(probed: ProbeResult): BinaryFacts {
  const { path: file = null, version = null, abi = null } = probed
  return { path: file, kind: kindOf(file), version, abi, problem: problemOf(probed) }
}

function problemOf({ problem, instructionSets, ended }: ProbeResult): BinaryProblem | null {
  if (problem !== undefined) return { ...problem, message: oneLine(problem) }
  if (instructionSets !== undefined) return null
  return { kind: 'unloadable', message: ended ?? 'the binary did not answer' }
}

/** The reason alone: of the error of lib/native.ts that is its last line, in brackets. */
function oneLine({ kind, message }: BinaryProblem): string {
  const lines = message.split('\n').map((line) => line.trim())
  if (kind === 'other version') return lines.at(-1)?.replace(/^\(|\)$/g, '') ?? message
  // node-gyp-build adds where it looked.
  return kind === 'missing' ? (lines[0] ?? message) : lines.join('; ')
}

function kindOf(file: string | null): BinaryFacts['kind'] {
  if (file === null) return null
  const [folder] = path.relative(packageRoot, file).split(path.sep)
  if (folder === 'build') return 'build'
  return folder === 'prebuilds' ? 'prebuild' : 'other'
}

export function engineFacts({ engine }: ProbeResult): EngineFacts {
  return engine ?? { instructionSet: null, threads: null, problem: null }
}

type FromDriver = Pick<CudaFacts, 'runtime' | 'driver' | 'deviceCount' | 'devices'>

export function driverFacts({ driver, engine, ended }: ProbeResult): FromDriver {
  const none = { runtime: null, deviceCount: 0, devices: [] }
  if (engine === undefined) return { ...none, driver: null }
  const lost = { state: 'crashed', version: null, function: null, result: 0 } as const
  if (driver === undefined) return { ...none, driver: { ...lost, message: ended } }
  return {
    runtime: versionText(driver.runtimeVersion),
    driver: {
      state: driver.state,
      version: versionText(driver.driverVersion),
      function: driver.function || null,
      result: driver.result,
      message: driver.message || null,
    },
    deviceCount: driver.deviceCount,
    devices: driver.devices.map(({ name, major, minor, memory }) => ({
      name,
      computeCapability: `${major}.${minor}`,
      memory,
    })),
  }
}

/** CUDA counts 1000 * major + 10 * minor; 0 stands for none. */
export function versionText(version: number): string | null {
  return version > 0 ? `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}` : null
}
