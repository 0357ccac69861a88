'use strict'
// Root of the CUDA toolkit to build with, for binding.gyp; '' builds for the CPU only.
// PAPO_KERNELS_CUDA: auto (default) takes CUDA when a toolkit is found, 0 never, 1 fails without.
const fs = require('node:fs')
const path = require('node:path')

function toolkitRoot() {
  const roots = [process.env.CUDA_HOME, process.env.CUDA_PATH]
  for (const folder of (process.env.PATH || '').split(path.delimiter)) {
    const nvcc = path.join(folder, 'nvcc')
    if (fs.existsSync(nvcc)) roots.push(path.dirname(path.dirname(fs.realpathSync(nvcc))))
  }
  roots.push('/usr/local/cuda')
  const complete = (root) =>
    fs.existsSync(path.join(root, 'bin/nvcc')) &&
    fs.existsSync(path.join(root, 'lib64/libcudart_static.a'))
  return roots.filter(Boolean).find(complete) ?? ''
}

function cudaHome(mode = process.env.PAPO_KERNELS_CUDA || 'auto') {
  if (!['auto', '0', '1'].includes(mode)) {
    throw new Error(`PAPO_KERNELS_CUDA is auto, 0 or 1, not '${mode}'`)
  }
  const root = mode === '0' ? '' : toolkitRoot()
  if (mode === '1' && root === '')
    throw new Error('PAPO_KERNELS_CUDA=1, but there is no nvcc with its static runtime')
  return root
}

module.exports = { cudaHome, toolkitRoot }

if (require.main === module) {
  try {
    process.stdout.write(cudaHome())
  } catch (error) {
    console.error(`papo-kernels: ${error.message}`)
    process.exitCode = 1
  }
}
