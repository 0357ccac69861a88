#!/usr/bin/env node
// What a packed tarball of this package may hold and must hold.
//   node scripts/tarball.mjs FILE PLATFORM...   e.g. linux-x64; exit 1 and what is wrong
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const largest = 3e6 // bytes; what every user downloads

const binary = (platform) => `prebuilds/${platform}/papo-kernels.glibc.node`

const allowed = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|CMakeLists\.txt|binding\.gyp)$/,
  /^dist\/.+\.(js|mjs|d\.ts|d\.mts)$/,
  /^native\/.+\.(h|c|cpp|cu|cuh|gypi|json)$/,
  /^bindings\/.+\.(h|cpp|py)$/,
  /^docs\/.+\.md$/,
  /^examples\/.+\.m?js$/,
  /^bench\/peers\/.+\.py$/,
  /^test\/golden\/.+\.(json|md)$/,
  /^cmake\/.+\.cmake$/,
  /^scripts\/(install|find-cuda|node-headers)\.js$/,
]

const required = [
  'README.md',
  'LICENSE',
  'binding.gyp',
  'native/sources.gypi',
  'native/include/papo.h',
  'scripts/install.js',
  'scripts/find-cuda.js',
  'scripts/node-headers.js',
  'test/golden/MANIFEST.json',
]

function output(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
}

/** The files that package.json points to. */
function entries(folder) {
  const { main, types, bin, exports } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  const leaves = (value) =>
    typeof value === 'string' ? [value] : Object.values(value).flatMap(leaves)
  return [main, types, ...leaves(bin), ...leaves(exports)].map((name) => name.replace(/^\.\//, ''))
}

const machines = { 'linux-x64': 'X86-64', 'linux-arm64': 'AArch64' }

function binaryProblems(folder, platform) {
  const file = join(folder, binary(platform))
  const header = output('readelf', ['--wide', '--file-header', '--section-headers', file])
  const problems = []
  if (!header.includes(machines[platform])) problems.push(`${platform}: built for another machine`)
  if (header.includes('.symtab')) problems.push(`${platform}: not stripped`)
  return problems
}

function contentProblems(folder, platforms) {
  const files = filesBelow(folder)
  const binaries = platforms.map(binary)
  const unexpected = files.filter(
    (name) => !binaries.includes(name) && !allowed.some((pattern) => pattern.test(name)),
  )
  const missing = [...required, ...entries(folder), ...binaries].filter(
    (name) => !files.includes(name),
  )
  return [
    ...unexpected.map((name) => `${name} does not belong into the package`),
    ...missing.map((name) => `${name} is missing`),
    ...platforms
      .filter((platform) => files.includes(binary(platform)))
      .flatMap((platform) => binaryProblems(folder, platform)),
  ]
}

/** What is wrong with a tarball that has prebuilt binaries for these platforms; [] if nothing. */
export function tarballProblems(tarball, platforms) {
  const bytes = statSync(tarball).size
  const tooLarge = bytes > largest ? [`${bytes} bytes, more than ${largest}`] : []
  const folder = mkdtempSync(join(tmpdir(), 'papo-tarball-'))
  try {
    output('tar', ['-xzf', tarball, '-C', folder])
    return [...tooLarge, ...contentProblems(join(folder, 'package'), platforms)]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [tarball, ...platforms] = process.argv.slice(2)
  const problems = tarballProblems(tarball, platforms)
  for (const problem of problems) console.error(problem)
  console.log(`${statSync(tarball).size} bytes, ${problems.length} problems`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
