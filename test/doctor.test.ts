import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import { Engine, instructionSets } from '../lib'
import { versionText } from '../lib/doctor/binary'
import { addon } from '../lib/native'
import type { Report } from '../lib/doctor/render'

// Every test starts programs, each of which starts more.
jest.setTimeout(60_000)

const root = path.resolve(__dirname, '..')
/** Of the binary, as '13.0'; null without CUDA. */
const runtime = versionText(addon.cudaDriver().runtimeVersion)
const folder = mkdtempSync(path.join(os.tmpdir(), 'papo-doctor-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Environment = Readonly<Record<string, string>>

function papo(packageFolder: string, args: readonly string[], environment: Environment = {}) {
  const main = path.join(packageFolder, 'dist/cli/main.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    // Which binary is looked at is what these tests are about.
    env: { ...process.env, PAPO_KERNELS_PREBUILD: undefined, ...environment },
  })
  return { status, stdout, stderr }
}

function doctorJson(packageFolder = root, environment: Environment = {}) {
  const args = ['doctor', '--json', '--no-bandwidth']
  const { status, stdout, stderr } = papo(packageFolder, args, environment)
  expect(stderr).toBe('')
  const report = JSON.parse(stdout) as Report
  expect(report.usable).toBe(status === 0)
  expect(report.usable).toBe(report.advice.every(({ level }) => level !== 'error'))
  return { status, report }
}

/** The sentences about a field, with their commands. */
function sentences(report: Report, about: keyof Report): string {
  const found = report.advice.filter((advice) => advice.about === about)
  return found.map(({ sentence, commands }) => [sentence, ...commands].join('\n')).join('\n')
}

/** A program or library from C or C++ source. */
function compile(source: string, output: string, ...flags: string[]): string {
  const file = path.join(folder, output)
  mkdirSync(path.dirname(file), { recursive: true })
  const { status, stderr } = spawnSync('g++', ['-shared', '-fPIC', ...flags, '-o', file, source])
  if (status !== 0) throw new Error(String(stderr))
  return path.dirname(file)
}

/** An installed copy of the package with this binary, or with none. */
function packageWith(name: string, binary?: Buffer): string {
  const made = path.join(folder, name, 'node_modules/papo-kernels')
  for (const part of ['dist', 'package.json', 'scripts/find-cuda.js'])
    cpSync(path.join(root, part), path.join(made, part), { recursive: true })
  symlinkSync(path.join(root, 'node_modules'), path.join(made, 'node_modules'))
  if (binary !== undefined) {
    mkdirSync(path.join(made, 'build/Release'), { recursive: true })
    writeFileSync(path.join(made, 'build/Release/papo_kernels.node'), binary)
  }
  return made
}

function ownBinary(): Buffer {
  const release = path.join(root, 'build/Release')
  const name = readdirSync(release).find((file) => file.endsWith('.node'))
  if (name === undefined) throw new Error('no binary in build/Release')
  return readFileSync(path.join(release, name))
}

describe('papo-kernels doctor', () => {
  test('prints a table that begins with what is installed and ends with the verdict', () => {
    const { status, stdout, stderr } = papo(root, ['doctor'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    expect(stdout).toMatch(new RegExp(`^package +${manifest.version}\n`))
    expect(stdout).toContain('papo_kernels.node, built here')
    expect(stdout).toMatch(/^bandwidth +copy \d+\.\d GB\/s, read \d+\.\d GB\/s on \d+ thread/m)
    if (runtime === null) expect(stdout).toMatch(/^(note|warning): this build .* the CPU only/m)
    expect(stdout).toMatch(/\n\npapo-kernels is usable here, with \w+ on \d+ threads?(, .*)?\n$/)
  })

  test('--json agrees with Node, the system and the addon', () => {
    const { status, report } = doctorJson()
    const engine = Engine.open()
    expect(status).toBe(0)
    expect(report).toMatchObject({
      schema: 1,
      package: { root, checkout: existsSync(path.join(root, '.git')) },
      binary: { kind: 'build', version: report.package.version, abi: 1, problem: null },
      engine: { instructionSet: engine.instructionSet, threads: engine.threads, problem: null },
      platform: { os: process.platform, arch: process.arch, kernel: os.release() },
      node: { version: process.versions.node, minVersion: '20', minNapi: 8 },
      processor: { logicalCores: os.cpus().length, available: os.availableParallelism() },
      memory: { total: os.totalmem() },
      bandwidth: null,
      cuda: { runtime },
    })
    engine.dispose()
    expect(report.node.napi).toBe(Number(process.versions.napi))
    expect(report.instructionSets?.filter((set) => set.usable).map(({ name }) => name)).toEqual(
      instructionSets(),
    )
    expect(report.memory.available).toBeGreaterThan(0)
    expect(report.tools.compiler?.version).toMatch(/^\d/)
  })

  test('docs/doctor.md has every field of it', () => {
    const page = readFileSync(path.join(root, 'docs/doctor.md'), 'utf8')
    const { report } = doctorJson()
    const fields = Object.entries(report).flatMap(([name, value]) => {
      const parts = Array.isArray(value) ? value[0] : value
      return [name, ...(name === 'environment' ? [] : Object.keys(parts ?? {}))]
    })
    expect(fields.length).toBeGreaterThan(50)
    for (const field of fields) expect(page).toContain(`\`${field}\``)
  })

  test('--json measures the memory unless told not to', () => {
    const { status, stdout } = papo(root, ['doctor', '--json'])
    const { bandwidth } = JSON.parse(stdout) as Report
    expect(status).toBe(0)
    expect(bandwidth?.copy).toBeGreaterThan(0)
    expect(bandwidth?.read).toBeGreaterThan(0)
    expect(bandwidth?.threads).toBeGreaterThan(0)
  })

  test('shows the variables in force, and names those that nothing reads', () => {
    const { status, report } = doctorJson(root, {
      PAPO_KERNELS_THREADS: '3',
      PAPO_KERNELS_INSTRUCTION_SET: 'portable',
      PAPO_KERNELS_THREAD: '1',
    })
    expect(status).toBe(0)
    expect(report.engine).toEqual({ instructionSet: 'portable', threads: 3, problem: null })
    expect(report.environment).toMatchObject({ PAPO_KERNELS_THREADS: '3' })
    expect(sentences(report, 'environment')).toContain('nothing reads PAPO_KERNELS_THREAD:')
  })

  test.each([
    ['PAPO_KERNELS_INSTRUCTION_SET', 'neon512'],
    ['PAPO_KERNELS_THREADS', 'many'],
  ])('%s=%s, with which every call would fail, is an error', (name, value) => {
    const { status, report } = doctorJson(root, { [name]: value })
    expect(status).toBe(1)
    expect(report.binary.problem).toBeNull()
    expect(sentences(report, 'engine')).toContain('calls that name no engine fail')
  })

  test('--help and wrong use', () => {
    const { status, stdout } = papo(root, ['doctor', '--help'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/--json.*--no-bandwidth/s)
    for (const wrong of ['--fast', 'cpu']) {
      const refused = papo(root, ['doctor', wrong])
      expect(refused).toMatchObject({ status: 2, stdout: '' })
      expect(refused.stderr).toMatch(new RegExp(`^papo-kernels: [^\n]*'${wrong}'[^\n]*\n$`))
    }
  })
})

describe('papo-kernels doctor without a usable binary', () => {
  test('names the commands for blocked scripts, and still shows the machine', () => {
    const made = packageWith('missing')
    const { status, report } = doctorJson(made)
    expect(status).toBe(1)
    expect(report.binary).toMatchObject({ path: null, kind: null, problem: { kind: 'missing' } })
    expect(sentences(report, 'binary')).toMatch(
      /npm install-scripts approve papo-kernels\nnpm rebuild papo-kernels$/,
    )
    expect(report).toMatchObject({
      instructionSets: null,
      node: { version: process.versions.node },
      processor: { logicalCores: os.cpus().length },
      cuda: { driver: null },
    })
    const table = papo(made, ['doctor'])
    expect(table.status).toBe(1)
    expect(table.stdout).toMatch(/^binary +none, not usable: No native build was found for [^;]*$/m)
    expect(table.stdout).toMatch(/^bandwidth +copy \d/m)
    expect(table.stdout).toMatch(/cannot be used here: see the errors above\n$/)
  })

  test('the other commands say the same in one line, and help needs no binary', () => {
    const made = packageWith('help')
    expect(papo(made, ['--help']).status).toBe(0)
    expect(papo(made, ['--version']).status).toBe(0)
    const { status, stdout, stderr } = papo(made, ['verify'])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^papo-kernels: [^\n]*install-scripts approve[^\n]*doctor[^\n]*\n$/)
  })

  test('in a clone it is built by its own script', () => {
    const made = packageWith('clone')
    mkdirSync(path.join(made, '.git'))
    const { report } = doctorJson(made)
    expect(sentences(report, 'binary')).toMatch(/clone[^\n]*\nnpm run build:gyp$/)
  })

  test('without compiler, make and python3 these are named', () => {
    const { status, report } = doctorJson(packageWith('tools'), { PATH: folder, CXX: '' })
    expect(status).toBe(1)
    expect(report.tools).toEqual({ compiler: null, make: null, python: null })
    expect(sentences(report, 'tools')).toMatch(/no g\+\+, no make, no python3: .*\n.* g\+\+ make/)
  })

  test('they are a note where the binary loads', () => {
    const { status, report } = doctorJson(root, { PATH: folder, CXX: '', PAPO_PYTHON: '/none' })
    expect(status).toBe(0)
    expect(report.torch).toBeNull()
    expect(sentences(report, 'tools')).toContain('no g++')
    expect(sentences(report, 'torch')).toContain('PAPO_PYTHON')
  })

  test.each([
    ['text', () => Buffer.from('this is no library')],
    ['cut', () => ownBinary().subarray(0, 100_000)],
    ['empty', () => Buffer.alloc(0)],
  ])('a damaged file (%s)', (name, contents) => {
    const { status, report } = doctorJson(packageWith(name, contents()))
    expect(status).toBe(1)
    expect(report.binary).toMatchObject({ kind: 'build', problem: { kind: 'unloadable' } })
    expect(sentences(report, 'binary')).toMatch(
      /damaged or of another platform.*\nPAPO_KERNELS_BUILD=source npm rebuild papo-kernels$/,
    )
  })

  test('a binary for a newer C library', () => {
    const names = ownBinary().toString('latin1')
    const newer = names.replace(/\0GLIBC_2\.(\d\d)\0/g, '\0GLIBC_9.$1\0')
    expect(newer).not.toBe(names)
    const { status, report } = doctorJson(packageWith('glibc', Buffer.from(newer, 'latin1')))
    expect(status).toBe(1)
    expect(sentences(report, 'binary')).toMatch(
      /needs GLIBC_9\.\d\d, newer than glibc [\d.]+ here: .*\nPAPO_KERNELS_BUILD=source/,
    )
  })

  test('a binary that ends the process', () => {
    const source = path.join(folder, 'abort.cpp')
    writeFileSync(source, '#include <cstdlib>\nstatic int dead = (std::abort(), 0);\n')
    const library = path.join(compile(source, 'abort/abort.node'), 'abort.node')
    const { status, report } = doctorJson(packageWith('abort-package', readFileSync(library)))
    expect(status).toBe(1)
    expect(report.binary.problem).toMatchObject({ kind: 'unloadable' })
    expect(report.binary.problem?.message).toContain('SIGABRT')
  })

  test('a binary of another version', () => {
    const made = packageWith('version', ownBinary())
    const loader = path.join(made, 'dist/native.js')
    const text = readFileSync(loader, 'utf8')
    const changed = text.replace('abiVersion = 1', 'abiVersion = 2')
    expect(changed).not.toBe(text)
    writeFileSync(loader, changed)
    const { status, report } = doctorJson(made)
    expect(status).toBe(1)
    expect(report.binary).toMatchObject({ abi: 1, problem: { kind: 'other version' } })
    expect(sentences(report, 'binary')).toBe(
      `the binary found is of another version, ${report.package.version}: build it anew\n` +
        'PAPO_KERNELS_BUILD=source npm rebuild papo-kernels',
    )
  })
})

describe('papo-kernels doctor and the NVIDIA driver', () => {
  const source = path.join(root, 'test/native/fake_cuda.c')
  const flags = ['-x', 'c', '-Wl,-soname,libcuda.so.1']
  let driver: string
  let oldDriver: string
  beforeAll(() => {
    driver = compile(source, 'driver/libcuda.so.1', ...flags)
    oldDriver = compile(source, 'old/libcuda.so.1', '-DFAKE_CUDA_OLD', ...flags)
  })

  const withDriver = (environment: Environment = {}, library = driver) =>
    doctorJson(root, { LD_LIBRARY_PATH: library, ...environment })

  test('lists devices', () => {
    const { status, report } = withDriver()
    expect(status).toBe(0)
    expect(report.cuda.driver).toMatchObject({ state: 'ready', version: '12.4', result: 0 })
    expect(report.cuda.deviceCount).toBe(2)
    expect(report.cuda.devices[0]).toEqual({
      name: 'Fake Accelerator',
      computeCapability: '9.1',
      memory: 80 * 2 ** 30,
    })
    const { stdout } = papo(root, ['doctor', '--no-bandwidth'], { LD_LIBRARY_PATH: driver })
    expect(stdout).toMatch(/^GPU 0 +Fake Accelerator, compute capability 9\.1, 85\.9 GB$/m)
    expect(stdout).toMatch(/^GPU 1 +x+, compute/m)
  })

  test('says on which devices an engine opens', () => {
    const verdict = (version: string) => {
      const environment = { LD_LIBRARY_PATH: driver, FAKE_CUDA_VERSION: version }
      return papo(root, ['doctor', '--no-bandwidth'], environment).stdout
    }
    if (runtime === null) {
      expect(verdict('99000')).toContain('has no CUDA engine, and there is a GPU')
      return
    }
    expect(verdict('99000')).toMatch(/ on \d+ threads?, and on cuda:0, cuda:1\n$/)
    expect(verdict('1000')).toMatch(/update the driver(.|\n)* on \d+ threads?\n$/)
  })

  test('an engine of a device is refused for the reason that the doctor gives', () => {
    const open = `
      try { require('papo-kernels').Engine.open({ device: 'cuda:0' }) }
      catch (error) { console.log(error.code, error.message) }`
    const { stdout } = spawnSync(process.execPath, ['-e', open], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, LD_LIBRARY_PATH: driver, FAKE_CUDA_VERSION: '12040' },
    })
    expect(stdout).toMatch(/^ERR_UNAVAILABLE device: expected .* papo-kernels doctor says/)
    expect(stdout).toContain(runtime === null ? 'no CUDA engine' : 'the driver supports CUDA 12.4')
  })

  test('a GPU hidden by a variable', () => {
    const { report } = withDriver({ FAKE_CUDA_DEVICES: '0', CUDA_VISIBLE_DEVICES: '-1' })
    expect(sentences(report, 'cuda')).toContain("CUDA_VISIBLE_DEVICES='-1' leaves no GPU")
  })

  test.each([
    ['100', /refuses cuInit \(CUDA_ERROR_NO_DEVICE, 100\): there is no GPU/],
    ['34', /refuses cuInit \(error, 34\): it is the toolkit's stub/],
    ['999', /refuses cuInit \(error, 999\): see whether nvidia-smi works/],
  ])('cuInit that gives %s', (result, sentence) => {
    const { status, report } = withDriver({ FAKE_CUDA_FAIL: 'cuInit', FAKE_CUDA_RESULT: result })
    expect(status).toBe(0)
    expect(report.cuda.driver).toMatchObject({ state: 'failed', result: Number(result) })
    expect(report.cuda.driver?.version).toBe('12.4')
    expect(sentences(report, 'cuda')).toMatch(sentence)
  })

  test('a library that lacks a function', () => {
    const { status, report } = withDriver({}, oldDriver)
    expect(status).toBe(0)
    expect(report.cuda.driver).toMatchObject({
      state: 'incomplete',
      function: 'cuDeviceTotalMem_v2',
    })
    expect(report.cuda.deviceCount).toBe(0)
    expect(sentences(report, 'cuda')).toContain('libcuda.so.1 lacks cuDeviceTotalMem_v2')
  })

  test('a driver that ends the process takes nothing else with it', () => {
    const { status, report } = withDriver({
      FAKE_CUDA_FAIL: 'cuInit',
      FAKE_CUDA_RESULT: 'abort',
    })
    expect(status).toBe(0)
    expect(report.binary.problem).toBeNull()
    expect(report.engine.instructionSet).not.toBeNull()
    expect(report.cuda.driver).toMatchObject({ state: 'crashed' })
    expect(sentences(report, 'cuda')).toContain('SIGABRT')
  })

  test('nothing but the doctor touches it', () => {
    const { status } = papo(root, ['verify'], {
      LD_LIBRARY_PATH: driver,
      FAKE_CUDA_FAIL: 'cuDriverGetVersion',
      FAKE_CUDA_RESULT: 'abort',
    })
    expect(status).toBe(0)
  })
})
