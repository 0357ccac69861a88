// lib/ -> dist/: CommonJS by tsc, the ES module entry, and nothing left over from an earlier lib/.
//   --stale  only where something of lib/ is newer than dist/
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const stamp = join(root, 'dist/index.mjs') // written last

// Folders count too: their time changes when a file is removed.
function newest(folder) {
  const below = readdirSync(folder, { recursive: true }).map((name) => join(folder, name))
  return Math.max(...[folder, ...below].map((path) => statSync(path).mtimeMs))
}

function isCurrent() {
  try {
    const inputs = [join(root, 'lib'), join(root, 'scripts')].map(newest)
    const settings = statSync(join(root, 'tsconfig.json')).mtimeMs
    return Math.max(...inputs, settings) < statSync(stamp).mtimeMs
  } catch {
    return false
  }
}

function compile() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const run = spawnSync(process.execPath, [tsc, '--listEmittedFiles'], { cwd: root })
  const lines = run.stdout.toString().split('\n').filter(Boolean)
  const emitted = lines.filter((line) => line.startsWith('TSFILE: '))
  for (const line of lines) if (!emitted.includes(line)) console.error(line)
  if (run.status !== 0) process.exit(run.status ?? 1)
  return emitted.map((line) => resolve(root, line.slice('TSFILE: '.length)))
}

function build() {
  const kept = new Set(compile())
  for (const entry of readdirSync(join(root, 'dist'), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    if (entry.isFile() && !kept.has(path)) rmSync(path)
  }
  chmodSync(join(root, 'dist/cli/main.js'), 0o755)
  for (const name of ['index.d.mts', 'index.mjs']) {
    copyFileSync(join(root, 'lib', name), join(root, 'dist', name))
  }
}

if (!process.argv.includes('--stale') || !isCurrent()) build()
