#!/usr/bin/env node
// The addon with the CUDA engine on the emulator of test/simt: build/simt/papo_kernels.node, or
// build/simt-address and build/simt-thread under sanitizers. PAPO_KERNELS_ADDON=that file takes it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const { nodePrefix } = require('./node-headers.js')
const root = fileURLToPath(new URL('..', import.meta.url))

const sanitizers = { plain: '', address: 'address,undefined', thread: 'thread' }

class Refused extends Error {}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Refused(`${command} failed: ${error?.message ?? `exit ${status}`}`)
}

/** The folder with node_api.h: named, of this Node, or where node-gyp keeps what it downloaded. */
function nodeInclude() {
  const prefixes = [process.env.npm_config_nodedir, nodePrefix()]
  const cached = join(homedir(), '.cache/node-gyp', process.versions.node)
  const found = [...prefixes, cached]
    .filter(Boolean)
    .map((prefix) => join(prefix, 'include/node'))
    .find((folder) => existsSync(join(folder, 'node_api.h')))
  if (found === undefined)
    throw new Refused('no headers of Node: npx node-gyp install, or set npm_config_nodedir')
  return found
}

function build(mode) {
  if (!(mode in sanitizers))
    throw new Refused(`expected ${Object.keys(sanitizers).join(', ')}, got '${mode}'`)
  const folder = mode === 'plain' ? 'build/simt' : `build/simt-${mode}`
  const settings = {
    PAPO_SIMT: 'ON',
    PAPO_KERNELS_CUDA: '0',
    PAPO_WERROR: 'ON', // as test/simt/run.sh, which shares the folder
    PAPO_SANITIZE: sanitizers[mode],
    PAPO_SIMT_NODE_INCLUDE: nodeInclude(),
    PAPO_SIMT_NODE_ADDON_API: dirname(require.resolve('node-addon-api/package.json')),
  }
  const definitions = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`)
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? '2'
  run('cmake', ['-S', '.', '-B', folder, ...definitions])
  run('cmake', ['--build', folder, '--parallel', jobs, '--target', 'papo_kernels_simt'])
}

try {
  build(process.argv[2] ?? 'plain')
} catch (error) {
  if (!(error instanceof Refused)) throw error
  console.error(`build:simt: ${error.message}`)
  process.exitCode = 1
}
