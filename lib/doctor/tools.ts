// Programs that a build from source, a build with CUDA or a comparison needs.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'

import { pythonCandidates } from '../bench/python'
import { packageRoot } from '../package'
import type { Tool, ToolFacts } from './facts'

export function toolFacts(): ToolFacts {
  const compiler = process.env['CXX']?.split(' ')[0] || 'g++'
  return { compiler: tool(compiler), make: tool('make'), python: tool('python3') }
}

/** What the build finds; scripts/find-cuda.js decides. */
export function toolkitFacts(): Tool | null {
  const { toolkitRoot } = require(path.join(packageRoot, 'scripts/find-cuda.js')) as {
    toolkitRoot(): string
  }
  const root = toolkitRoot()
  if (root === '') return null
  const version = answer(path.join(root, 'bin/nvcc'), ['--version'], /release ([\d.]+)/)
  return { path: root, version }
}

const torchVersion = 'import importlib.metadata as m; print(m.version("torch"))'

export function torchFacts(): Tool | null {
  for (const python of pythonCandidates()) {
    const file = find(python)
    const version = file === null ? null : answer(file, ['-c', torchVersion], /^(\S+)/)
    if (file !== null && version !== null) return { path: file, version }
  }
  return null
}

function tool(name: string): Tool | null {
  const file = find(name)
  return file === null ? null : { path: file, version: answer(file, ['--version'], /(\d+[.\d]*)/) }
}

/** A program by its path, or by its name in the folders of PATH. */
function find(name: string): string | null {
  if (name.includes(path.sep)) return isProgram(name) ? name : null
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean)
  return folders.map((folder) => path.join(folder, name)).find(isProgram) ?? null
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** What the first group of the pattern matches in the output; null where the program fails. */
function answer(file: string, args: readonly string[], pattern: RegExp): string | null {
  const { status, stdout } = spawnSync(file, args, { encoding: 'utf8', timeout: 10_000 })
  return status === 0 ? (pattern.exec(stdout)?.[1] ?? null) : null
}
