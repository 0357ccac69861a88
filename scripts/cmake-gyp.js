#!/usr/bin/env node
'use strict'
// Lets `prebuildify --node-gyp` build with CMake: prebuildify calls this file like node-gyp
// (rebuild --target=… --arch=…) and then takes the addon from build/Release, where CMake puts it.
const { spawnSync } = require('node:child_process')

const option = (name) =>
  process.argv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3)

const args = [require.resolve('cmake-js/bin/cmake-js'), 'rebuild', '-O', 'build/cmake']
if (process.argv.includes('--debug')) args.push('--debug')
const arch = option('arch')
if (arch) args.push('--arch', arch)
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1
