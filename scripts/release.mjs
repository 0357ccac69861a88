#!/usr/bin/env node
// Makes the tarball of a release and tries it; publishing stays a command that a person types.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { tarballProblems } from './tarball.mjs'

const { nodePrefix } = createRequire(import.meta.url)('./node-headers.js')
const root = fileURLToPath(new URL('..', import.meta.url))

const help = `Usage: npm run release -- [options]

Builds the prebuilt binaries in a copy of the tree, packs, checks what is in the tarball, installs
it without compiler and network, and prints its hash and the command that publishes it.

Options:
  --dry-run             only check the tree and print what would run
  --only-this-platform  no binary for linux-arm64, which needs a cross compiler
  --allow-dirty         take the files as they are, committed or not; prints no publish command
  --out FOLDER          where the tarball goes, by default the root of the tree
  --help                show this text
`

class Refused extends Error {}

const { values: options } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    'only-this-platform': { type: 'boolean', default: false },
    'allow-dirty': { type: 'boolean', default: false },
    out: { type: 'string', default: root },
    help: { type: 'boolean', default: false },
  },
})

const builds = [
  { platform: 'linux-x64', script: 'prebuildify' },
  { platform: 'linux-arm64', script: 'prebuild:arm64', needs: 'aarch64-linux-gnu-g++' },
].filter(({ needs }) => needs === undefined || !options['only-this-platform'])

function run(command, args, settings = {}) {
  console.log(`$ ${[command, ...args].join(' ')}`)
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...settings })
  if (status !== 0) throw new Refused(`${command} failed: ${error?.message ?? `exit ${status}`}`)
}

function read(command, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Refused(`${command} ${args[0]}: ${error?.message ?? stderr.trim()}`)
  return stdout
}

const text = (name) => readFileSync(join(root, name), 'utf8')
const manifest = JSON.parse(text('package.json'))
const works = (...command) => spawnSync(command[0], command.slice(1)).status === 0

// --- what is checked before anything is built ----------------------------------------------------

/** The version as CMake takes it, from a configuration of its own. */
function cmakeVersion() {
  const folder = mkdtempSync(join(tmpdir(), 'papo-cmake-'))
  try {
    read('cmake', ['-S', root, '-B', folder])
    const cache = readFileSync(join(folder, 'CMakeCache.txt'), 'utf8')
    return /^CMAKE_PROJECT_VERSION:STATIC=(.*)$/m.exec(cache)?.[1]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function versionProblems() {
  const lock = JSON.parse(text('package-lock.json'))
  const versions = {
    'the first heading of CHANGELOG.md': /^## (\S+)/m.exec(text('CHANGELOG.md'))?.[1],
    'package-lock.json': lock.version,
    'the root package of package-lock.json': lock.packages[''].version,
    CMake: cmakeVersion(),
  }
  return Object.entries(versions)
    .filter(([, version]) => version !== manifest.version)
    .map(([name, version]) => `${name} says ${version}, package.json ${manifest.version}`)
}

function treeProblems() {
  if (options['allow-dirty']) return []
  const changed = read('git', ['status', '--porcelain']).trimEnd()
  const problems = changed === '' ? [] : [`the tree is not clean:\n${changed}`]
  const tag = `v${manifest.version}`
  if (read('git', ['tag', '--list', tag]) === '') return problems
  const commits = ['HEAD', tag].map((name) => read('git', ['rev-parse', `${name}^{commit}`]))
  return commits[0] === commits[1] ? problems : [...problems, `${tag} is another commit`]
}

function buildProblems() {
  const here = `${process.platform}-${process.arch}`
  const host = here === 'linux-x64' ? [] : [`releases are made on linux-x64, not on ${here}`]
  const missing = builds.filter(
    ({ script, needs }) =>
      manifest.scripts[script] === undefined || (needs !== undefined && !works(needs, '--version')),
  )
  return [
    ...host,
    ...missing.map(
      ({ platform, script, needs }) =>
        `${platform} needs npm run ${script} and ${needs}; --only-this-platform does without`,
    ),
  ]
}

// --- the steps -----------------------------------------------------------------------------------

/** The files that git knows or would add, so that nothing built or ignored gets into a release. */
function copyTree(target) {
  const listed = read('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  for (const name of new Set(listed.split('\0').filter(Boolean))) {
    if (existsSync(join(root, name))) cpSync(join(root, name), join(target, name))
  }
}

function buildAndPack(tree) {
  const env = { JOBS: 'max', ...process.env }
  if (!env.npm_config_nodedir && nodePrefix() !== '') env.npm_config_nodedir = nodePrefix()
  const npm = (...args) => run('npm', args, { cwd: tree, env })
  npm('ci', '--ignore-scripts', '--no-audit', '--no-fund') // fails where the lockfile is stale
  npm('run', 'build:ts')
  for (const { script } of builds) npm('run', script)
  mkdirSync(options.out, { recursive: true })
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', resolve(options.out)]
  const [{ filename }] = JSON.parse(read('npm', args, tree))
  return join(resolve(options.out), filename)
}

/** A PATH on which there is nothing to build with. */
function barePath(folder) {
  mkdirSync(folder)
  for (const name of ['node', 'npm', 'sh', 'env']) {
    symlinkSync(read('which', [name]).trim(), join(folder, name))
  }
  return folder
}

/** What `npm install --offline` reads; installing from a lockfile leaves only half of it there. */
function fillCache() {
  const names = Object.entries(manifest.dependencies).map(([name, range]) => `${name}@${range}`)
  run('npm', ['cache', 'add', ...names])
}

function tryTarball(tarball, folder) {
  fillCache()
  const app = join(folder, 'app')
  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }\n')
  const env = { ...process.env, PATH: barePath(join(folder, 'bin')) }
  const cut = works('unshare', '-n', 'true') ? [read('which', ['unshare']).trim(), '-n'] : []
  if (cut.length === 0) console.log('the network could not be cut: npm is only told to be offline')
  const go = (...args) => run([...cut, ...args][0], [...cut, ...args].slice(1), { cwd: app, env })
  go('npm', 'install', '--offline', '--no-audit', '--no-fund', tarball)
  go('node', 'node_modules/papo-kernels/dist/cli/main.js', 'verify', '--engine', 'all')
}

/** A tarball that fails is removed, so that nobody publishes it. */
function checkTarball(tarball, folder) {
  try {
    const platforms = builds.map(({ platform }) => platform)
    const wrong = tarballProblems(tarball, platforms)
    if (wrong.length > 0)
      throw new Refused(`what was packed is not a release:\n${wrong.join('\n')}`)
    tryTarball(tarball, folder)
  } catch (error) {
    rmSync(tarball)
    throw error
  }
}

function report(tarball) {
  const hash = createHash('sha512').update(readFileSync(tarball)).digest()
  console.log(`\n${tarball}`)
  console.log(`sha512-${hash.toString('base64')}`)
  console.log(`${hash.toString('hex')}`)
  if (options['allow-dirty']) return console.log('made with --allow-dirty: not for publishing')
  console.log(
    `\nTo publish:\n  git tag v${manifest.version} && git push origin v${manifest.version}`,
  )
  console.log(`  npm publish ${tarball}`)
}

function release() {
  const problems = [...treeProblems(), ...versionProblems(), ...buildProblems()]
  if (problems.length > 0) throw new Refused(problems.join('\n'))
  if (options['dry-run']) {
    console.log(`${manifest.name} ${manifest.version} can be built; in a copy of the tree:`)
    const scripts = ['build:ts', ...builds.map(({ script }) => script)]
    for (const line of ['ci --ignore-scripts', ...scripts.map((name) => `run ${name}`), 'pack']) {
      console.log(`  npm ${line}`)
    }
    console.log('then contents, size, and an installation without compiler and network')
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'papo-release-'))
  try {
    const tree = join(folder, 'tree')
    copyTree(tree)
    const tarball = buildAndPack(tree)
    checkTarball(tarball, folder)
    report(tarball)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (options.help) {
  process.stdout.write(help)
} else {
  try {
    release()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    console.error(`release refused: ${error.message}`)
    process.exitCode = 1
  }
}
