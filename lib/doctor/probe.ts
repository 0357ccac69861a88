// Loads the binary and asks it, in a process of its own: a damaged binary or a defective driver may
// end the process that loads it. What was found out until then is on stdout, one object a line.
import { writeSync } from 'node:fs'
import { resolve } from 'node:path'
import load from 'node-gyp-build'

import { packageRoot } from '../package'
import type { BinaryProblem, EngineFacts } from './facts'
import type { Addon, NativeCudaDriver } from '../native'

export interface Probed {
  readonly path?: string
  readonly problem?: BinaryProblem
  readonly version?: string
  readonly abi?: number
  readonly instructionSets?: ReturnType<Addon['compiledInstructionSets']>
  readonly engine?: EngineFacts
  readonly driver?: NativeCudaDriver
}

function say(found: Probed): void {
  writeSync(1, `${JSON.stringify(found)}\n`)
}

const text = (error: unknown) => (error instanceof Error ? error.message : String(error)).trim()

/** The result, or undefined after the problem has been said. */
function attempt<Result>(kind: BinaryProblem['kind'], body: () => Result): Result | undefined {
  try {
    return body()
  } catch (error) {
    say({ problem: { kind, message: text(error) } })
    return undefined
  }
}

async function openDefault(): Promise<EngineFacts> {
  const { defaultEngine } = await import('../engine.js')
  try {
    const { instructionSet, threads } = defaultEngine()
    return { instructionSet, threads, problem: null }
  } catch (error) {
    return { instructionSet: null, threads: null, problem: text(error) }
  }
}

async function probe(): Promise<void> {
  const named = process.env['PAPO_KERNELS_ADDON']
  const path = attempt('missing', () => (named ? resolve(named) : load.resolve(packageRoot)))
  if (path === undefined) return
  say({ path })
  const binary = attempt(
    'unloadable',
    () => (named ? require(path) : load(packageRoot)) as Partial<Addon>,
  )
  if (binary === undefined) return
  const { version, abiVersion: abi } = binary
  say({ ...(version === undefined ? {} : { version }), ...(abi === undefined ? {} : { abi }) })
  const native = await import('../native.js').catch((error: unknown) => {
    say({ problem: { kind: 'other version', message: text(error) } })
  })
  if (native === undefined) return
  say({ instructionSets: native.addon.compiledInstructionSets(), engine: await openDefault() })
  say({ driver: native.addon.cudaDriver() })
}

void probe()
