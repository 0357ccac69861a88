// Are the tests worth their time? Plants the errors of mutations.mjs in copies of the kernels, one
// at a time, and says which build of which test notices: plain, address (and undefined behaviour)
// or thread. Fails where one goes unnoticed, or where its text is not in the source any more.
//   node test/simt/mutate.mjs [--mode=plain] [part of a name or file]...
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mutations } from './mutations.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const native = join(root, 'native')
const sanitizers = { plain: '', address: 'address,undefined', thread: 'thread' }
const onlyMode = process.argv.find((word) => word.startsWith('--mode='))?.slice('--mode='.length)
const allModes = Object.keys(sanitizers).filter((mode) => !onlyMode || mode === onlyMode)
const timeLimit = 15 * 60 * 1000
const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? '2'

const { variables } = JSON.parse(readFileSync(join(native, 'sources.gypi'), 'utf8'))
const kernels = variables.cuda_files.filter((file) => file.endsWith('.cu'))

function build(mode) {
  return join(root, 'build', mode === 'plain' ? 'simt' : `simt-${mode}`)
}

function must(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`)
}

// ThreadSanitizer stops where addresses are randomised widely.
const fixed = spawnSync('setarch', [process.arch === 'x64' ? 'x86_64' : 'aarch64', '-R', 'true'])
const prefix = fixed.status === 0 ? ['setarch', '-R'] : []

/** Whether the program finds nothing. */
function passes(program) {
  const [command, ...args] = [...prefix, program]
  const { status } = spawnSync(command, args, { cwd: root, timeout: timeLimit, stdio: 'ignore' })
  return status === 0
}

const prepared = new Map()

/** Builds a test as it is, once, and makes sure that it passes. */
function prepare(mode, test) {
  const key = `${mode} ${test}`
  if (prepared.has(key)) return
  const options = [`-DPAPO_SANITIZE=${sanitizers[mode]}`, '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON']
  const simt = ['-DPAPO_SIMT=ON', '-DPAPO_KERNELS_CUDA=0', ...options]
  must('cmake', ['-S', '.', '-B', build(mode), ...simt])
  must('cmake', ['--build', build(mode), '--parallel', jobs, '--target', `simt_${test}_test`])
  if (!passes(join(build(mode), `simt_${test}_test`)))
    throw new Error(`${test}_test fails in mode ${mode} without any mutation`)
  prepared.set(key, true)
}

/** Headers of native/ that a source includes, directly or not. */
function included(file, seen = new Set()) {
  const path = join(native, file)
  if (seen.has(file) || !existsSync(path)) return seen
  seen.add(file)
  for (const [, header] of readFileSync(path, 'utf8').matchAll(/^#include "(.+)"/gm))
    included(header, seen)
  return seen
}

/** The source with its edits, in a folder that is searched before native/. */
function plant(mutation, overlay) {
  let text = readFileSync(join(native, mutation.file), 'utf8')
  for (const [from, to] of mutation.edits) {
    const places = text.split(from).length - 1
    if (places !== 1) throw new Error(`${mutation.file}: expected once, found ${places} x ${from}`)
    text = text.replace(from, () => to)
  }
  const path = join(overlay, mutation.file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function compile(mode, file, overlay) {
  const all = JSON.parse(readFileSync(join(build(mode), 'compile_commands.json'), 'utf8'))
  const { command, directory } = all.find((entry) => entry.file === join(native, file))
  const own = join(overlay, file)
  const source = existsSync(own) ? own : join(native, file)
  const object = join(overlay, `${basename(file)}.${mode}.o`)
  const args = command.split(' ').filter(Boolean)
  args[args.indexOf('-o') + 1] = object
  args[args.lastIndexOf(join(native, file))] = source
  args.splice(1, 0, '-I', overlay, '-w')
  args.push('-O1', '-g0') // compiled once, run once
  const { status, stderr } = spawnSync(args[0], args.slice(1), { cwd: directory, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file} does not compile with the mutation\n${stderr}`)
  return object
}

/** The test with these objects in the place of the library's. */
function link(mode, test, objects, overlay) {
  const folder = join(build(mode), 'test/simt')
  const ofTest = join(folder, `CMakeFiles/simt_${test}_test.dir`)
  const own = ['cpp', 'cu'].map((end) => join(ofTest, `${test}_test.${end}.o`)).filter(existsSync)
  const program = join(overlay, `${test}_test-${mode}`)
  const sanitize = sanitizers[mode] ? [`-fsanitize=${sanitizers[mode]}`] : []
  const library = join(folder, 'libpapo_simt.a')
  const libraries = [library, '-pthread', '-ldl', '-lm']
  must('c++', [...sanitize, ...objects, ...own, ...libraries, '-o', program])
  return program
}

/** The first mode that notices, or none. */
function caughtBy(mutation, overlay) {
  const touched = kernels.filter((file) => included(file).has(mutation.file))
  for (const mode of mutation.modes ?? allModes) {
    prepare(mode, mutation.test)
    const objects = touched.map((file) => compile(mode, file, overlay))
    if (!passes(link(mode, mutation.test, objects, overlay))) return mode
  }
  return undefined
}

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const chosen = mutations.filter(
  ({ name, file }) => !words.length || words.some((word) => `${name} ${file}`.includes(word)),
)
let survivors = 0
for (const mutation of chosen) {
  const overlay = join(root, 'build/mutate', String(process.pid))
  rmSync(overlay, { recursive: true, force: true })
  plant(mutation, overlay)
  const mode = caughtBy(mutation, overlay)
  if (!mode) ++survivors
  const verdict = mode ? `${mutation.test}_test, ${mode}` : 'NOT CAUGHT'
  console.log(`${mutation.file}: ${mutation.name}: ${verdict}`)
}
rmSync(join(root, 'build/mutate', String(process.pid)), { recursive: true, force: true })
console.log(`${chosen.length} mutations, ${survivors} not caught`)
process.exitCode = chosen.length && !survivors ? 0 : 1
