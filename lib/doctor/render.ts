import path from 'node:path'

import type { Advice } from './advice'
import { libcText } from './advise'
import { usableDevices } from './advise-cuda'
import type { Facts, InstructionSetFacts, Tool } from './facts'

export const schemaVersion = 1

export interface Report extends Facts {
  readonly schema: typeof schemaVersion
  readonly usable: boolean
  readonly advice: readonly Advice[]
}

export function asJson(report: Report): string {
  return `${JSON.stringify(report, null, 2)}\n`
}

export function asTable(report: Report): string {
  const rows = rowsOf(report).filter(([, cell]) => cell !== '')
  const width = Math.max(...rows.map(([title]) => title.length))
  const table = rows.map(([title, cell]) => `${title.padEnd(width)}  ${cell}\n`)
  const blocks = report.advice.map(
    ({ level, sentence, commands }) =>
      `${level}: ${sentence}\n${commands.map((command) => `    ${command}\n`).join('')}`,
  )
  return `${table.join('')}\n${blocks.join('')}${blocks.length > 0 ? '\n' : ''}${verdict(report)}\n`
}

function verdict({ usable, engine, cuda }: Report): string {
  if (!usable) return 'papo-kernels cannot be used here: see the errors above'
  const threads = threadText(engine.threads)
  const devices = usableDevices(cuda).map((index) => `cuda:${index}`)
  const further = devices.length === 0 ? '' : `, and on ${devices.join(', ')}`
  return `papo-kernels is usable here, with ${engine.instructionSet} on ${threads}${further}`
}

function rowsOf(report: Report): [title: string, cell: string][] {
  return [
    ['package', report.package.version],
    ['binary', binaryText(report)],
    ['engine', engineText(report)],
    ['instruction sets', instructionSetText(report)],
    ['platform', platformText(report)],
    ['Node', nodeText(report)],
    ['processor', processorText(report)],
    ['memory', memoryText(report)],
    ['bandwidth', bandwidthText(report)],
    ['environment', environmentText(report)],
    ['CUDA runtime', runtimeText(report)],
    ['NVIDIA driver', driverText(report)],
    ...report.cuda.devices.map(({ name, computeCapability, memory }, i): [string, string] => [
      `GPU ${i}`,
      `${name}, compute capability ${computeCapability}, ${gigabytes(memory)}`,
    ]),
    ['CUDA toolkit', toolText(report.cuda.toolkit)],
    ['C++ compiler', toolText(report.tools.compiler)],
    ['make, python3', [report.tools.make, report.tools.python].map(toolText).join('; ')],
    ['PyTorch', toolText(report.torch)],
  ]
}

function binaryText({ binary, package: { root } }: Report): string {
  const file = binary.path === null ? 'none' : path.relative(root, binary.path)
  const kinds = { build: 'built here', prebuild: 'prebuilt', other: 'from elsewhere' }
  const version = binary.version === null ? undefined : `version ${binary.version}`
  const abi = binary.abi === null ? undefined : `ABI ${binary.abi}`
  const kind = binary.kind === null ? undefined : kinds[binary.kind]
  const problem = binary.problem === null ? undefined : `not usable: ${binary.problem.message}`
  return [file, kind, version, abi, problem].filter(Boolean).join(', ')
}

function engineText({ engine }: Report): string {
  if (engine.instructionSet === null) return engine.problem ?? 'unknown without a binary'
  return `${engine.instructionSet}, ${threadText(engine.threads)}`
}

function instructionSetText({ instructionSets, engine }: Report): string {
  const text = ({ name, usable, missing }: InstructionSetFacts) => {
    if (!usable) return `no ${name}${missing.length > 0 ? ` (without ${missing.join(', ')})` : ''}`
    return name === engine.instructionSet ? `${name} (default)` : name
  }
  return instructionSets?.map(text).join(', ') ?? 'unknown without a binary'
}

function platformText({ platform }: Report): string {
  return `${platform.os} ${platform.arch}, kernel ${platform.kernel}, ${libcText(platform)}`
}

function nodeText({ node }: Report): string {
  const napi = `N-API ${node.napi} (needs ${node.minNapi})`
  return `${node.version} (needs ${node.minVersion}), ${napi}, V8 ${node.v8}`
}

function processorText({ processor: { model, logicalCores, available, quota } }: Report): string {
  const fewer = available === logicalCores ? '' : `, ${available} of them available`
  const granted = quota === null ? '' : `, time of ${Number(quota.toFixed(2))} granted`
  const cores = logicalCores === 1 ? '1 logical core' : `${logicalCores} logical cores`
  return `${model}, ${cores}${fewer}${granted}`
}

function memoryText({ memory: { total, available, limit, hugePages } }: Report): string {
  const limited = limit === null ? '' : `, limited to ${gigabytes(limit)}`
  const pages = hugePages === null ? '' : `, huge pages: ${hugePages}`
  return `${gigabytes(total)}, ${gigabytes(available)} available${limited}${pages}`
}

function bandwidthText({ bandwidth }: Report): string {
  if (bandwidth === null) return 'not measured'
  const { copy, read, threads, loadAverage } = bandwidth
  const busy = loadAverage > 0.5 ? ` (the machine was busy, load ${loadAverage.toFixed(1)})` : ''
  const speeds = `copy ${copy.toFixed(1)} GB/s, read ${read.toFixed(1)} GB/s`
  return `${speeds} on ${threadText(threads)}${busy}`
}

function environmentText({ environment }: Report): string {
  const set = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return set.join(' ') || 'no variable of the package is set'
}

function runtimeText({ cuda: { runtime, driver } }: Report): string {
  return runtime ?? (driver === null ? 'unknown without a binary' : 'none in this build')
}

function driverText({ cuda: { driver, kernelModule } }: Report): string {
  const module = kernelModule === null ? undefined : `kernel module ${kernelModule}`
  if (driver === null) return ['unknown without a binary', module].filter(Boolean).join(', ')
  const states = {
    ready: 'ready',
    absent: 'none',
    incomplete: `lacks ${driver.function}`,
    failed: `${driver.function} gives ${driver.message ?? 'error'} (${driver.result})`,
    crashed: `ended its process: ${driver.message}`,
  }
  const version = driver.version === null ? undefined : `supports CUDA ${driver.version}`
  return [states[driver.state], version, module].filter(Boolean).join(', ')
}

function toolText(tool: Tool | null): string {
  return tool === null ? 'none' : [tool.version, tool.path].filter(Boolean).join(', ')
}

function threadText(threads: number | null): string {
  return threads === 1 ? '1 thread' : `${threads} threads`
}

/** Decimal. */
function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
