'use strict'
// The install hook of npm. A prebuilt binary that loads is taken; else the addon is built from
// source, with CUDA where a toolkit is found, and without where that build fails.
// PAPO_KERNELS_BUILD=source builds in any case, and so does PAPO_KERNELS_CUDA=1: see find-cuda.js.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { cudaHome } = require('./find-cuda')
const { nodePrefix } = require('./node-headers')

const root = path.join(__dirname, '..')
const say = (text) => console.error(`papo-kernels: ${text}`)

function environment() {
  const env = { JOBS: 'max', ...process.env }
  // In a checkout the sources may be newer than any binary lying there.
  const checkout = fs.existsSync(path.join(root, '.git'))
  const asked = env.PAPO_KERNELS_BUILD === 'source' || env.PAPO_KERNELS_CUDA === '1'
  if (checkout || asked) env.npm_config_build_from_source = 'true'
  if (!env.npm_config_nodedir && !env.npm_package_config_node_gyp_nodedir) {
    const nodedir = nodePrefix()
    if (nodedir !== '') env.npm_config_nodedir = nodedir
  }
  return env
}

function build(env) {
  const command = [require.resolve('node-gyp-build/bin.js')]
  return spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' }).status ?? 1
}

function install() {
  const env = environment()
  const status = build(env)
  const optional = (env.PAPO_KERNELS_CUDA || 'auto') === 'auto'
  if (status === 0 || !optional || cudaHome() === '') return status
  say('the build with CUDA failed, see above; building without.')
  say('PAPO_KERNELS_CUDA=1 makes this an error, PAPO_KERNELS_CUDA=0 skips CUDA.')
  return build({ ...env, PAPO_KERNELS_CUDA: '0', npm_config_build_from_source: 'true' })
}

const status = install()
if (status !== 0) {
  say('no prebuilt binary fits this machine and the build from source failed.')
  say('It needs python3, make and a C++17 compiler (Debian: apt install python3 make g++),')
  say('and offline the headers of Node, e.g. npm_config_nodedir=/usr npm install papo-kernels')
}
process.exitCode = status
