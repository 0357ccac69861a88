import { existsSync } from 'node:fs'
import path from 'node:path'

import { manifest, packageRoot } from '../package'
import { binaryFacts, driverFacts, engineFacts, probeBinary } from './binary'
import type { CudaFacts, Facts, PackageFacts } from './facts'
import {
  bandwidthFacts,
  fileText,
  instructionSetFacts,
  memoryFacts,
  nodeFacts,
  platformFacts,
  processorFacts,
} from './machine'
import type { ProbeResult } from './binary'
import { toolFacts, toolkitFacts, torchFacts } from './tools'

/** All about this machine and this binary; judges nothing, and throws for no state of them. */
export async function gather(options: { readonly bandwidth: boolean }): Promise<Facts> {
  const probed = probeBinary()
  const engine = engineFacts(probed)
  const processor = processorFacts()
  const threads = engine.threads ?? processor.available
  const sets = probed.instructionSets
  return {
    package: packageFacts(),
    binary: binaryFacts(probed),
    engine,
    instructionSets: sets === undefined ? null : instructionSetFacts(sets),
    platform: platformFacts(),
    node: nodeFacts(),
    processor,
    memory: memoryFacts(),
    bandwidth: options.bandwidth ? await bandwidthFacts(threads) : null,
    environment: environmentFacts(),
    cuda: cudaFacts(probed),
    tools: toolFacts(),
    torch: torchFacts(),
  }
}

function packageFacts(): PackageFacts {
  return {
    version: manifest().version,
    root: packageRoot,
    checkout: existsSync(path.join(packageRoot, '.git')),
  }
}

function environmentFacts(): Record<string, string> {
  const read = (name: string) => name.startsWith('PAPO_') || name === 'CUDA_VISIBLE_DEVICES'
  const found: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env).sort())
    if (read(name) && value !== undefined) found[name] = value
  return found
}

function cudaFacts(probed: ProbeResult): CudaFacts {
  const module = fileText('/proc/driver/nvidia/version')
  return {
    ...driverFacts(probed),
    kernelModule: /Kernel Module.*?\s(\d+\.[\d.]+)/.exec(module)?.[1] ?? null,
    toolkit: toolkitFacts(),
  }
}
