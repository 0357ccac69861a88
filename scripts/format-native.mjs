// clang-format over the C and C++ sources; generated files keep the form their generator gives.
//   --check  change nothing, fail where something would change
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folders = ['native', 'bindings', 'test', 'bench', 'examples'].map((name) => join(root, name))

const files = folders
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
  .filter((path) => /\.(c|cpp|h|cu|cuh)$/.test(path))
  .filter((path) => !readFileSync(path, 'utf8').slice(0, 200).includes('Generated from'))

const mode = process.argv.includes('--check') ? ['--dry-run', '-Werror'] : ['-i']
const { error, status } = spawnSync('clang-format', [...mode, '--style=file', ...files], {
  stdio: 'inherit',
})
if (error?.code === 'ENOENT') console.error('clang-format is not installed: C++ left unchecked')
else process.exitCode = status ?? 1
