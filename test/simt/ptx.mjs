// Compiles every kernel for every architecture of native/sources.gypi and refuses what would live
// in slow memory: spilled registers and stack frames. Writes what each kernel takes to
// docs/cuda-kernels.md, or with --check says whether that is what the page has.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const native = join(root, 'native')
const page = join(root, 'docs/cuda-kernels.md')
const nvcc = process.env.NVCC ?? 'nvcc'

const { variables } = JSON.parse(readFileSync(join(native, 'sources.gypi'), 'utf8'))
const kernels = variables.cuda_files.filter((file) => file.endsWith('.cu'))
// code=sm_90 is machine code, code=compute_90 is PTX.
const targets = variables.nvcc_flags.flatMap((flag) => flag.match(/,code=(\w+)/)?.[1] ?? [])
const includes = variables.header_dirs.flatMap((folder) => ['-I', join(native, folder)])
const flags = variables.nvcc_flags.filter((flag) => !flag.startsWith('-gencode'))

const folder = join(root, 'build/ptx')
mkdirSync(folder, { recursive: true })

/** What ptxas says of the kernels of one file on one target: none for PTX. */
async function compile(file, target) {
  const isPtx = target.startsWith('compute')
  const output = join(folder, `${basename(file)}.${target}.${isPtx ? 'ptx' : 'cubin'}`)
  const args = [
    ...flags,
    '-DPAPO_WITH_CUDA=1',
    ...includes,
    `-arch=${target}`,
    isPtx ? '-ptx' : '-cubin',
    ...(isPtx ? [] : ['-Xptxas', '-v,-warn-spills,-warn-lmem-usage']),
    join(native, file),
    '-o',
    output,
  ]
  const { stderr } = await run(nvcc, args, { maxBuffer: 1 << 26 })
  return isPtx ? [] : parse(stderr, target)
}

function parse(report, target) {
  const found = []
  for (const line of report.split('\n')) {
    const entry = line.match(/Compiling entry function '(\S+)'/)
    const stack = line.match(/(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)/)
    const used = line.match(/Used (\d+) registers/)
    if (entry) found.push({ symbol: entry[1], target, slow: 0, registers: 0, shared: 0 })
    const last = found.at(-1)
    if (stack) last.slow = Number(stack[1]) + Number(stack[2]) + Number(stack[3])
    if (!used) continue
    last.registers = Number(used[1])
    last.shared = Number(line.match(/(\d+) bytes smem/)?.[1] ?? 0)
    last.slow += Number(line.match(/(\d+) bytes lmem/)?.[1] ?? 0)
  }
  return found
}

/** All of the work, on as many processors as there are. */
async function compileAll() {
  const work = kernels.flatMap((file) => targets.map((target) => [file, target]))
  const found = []
  const next = async () => {
    for (let item = work.pop(); item; item = work.pop()) {
      const [file, target] = item
      for (const kernel of await compile(file, target)) found.push({ ...kernel, file })
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, next))
  return found
}

/** Names without namespaces and parameters: maskPatchesKernel<unsigned char>. */
async function readableNames(symbols) {
  const { stdout } = await run('c++filt', symbols, { maxBuffer: 1 << 26 })
  return stdout
    .trim()
    .split('\n')
    .map((name) => {
      let plain = name.replaceAll(/\(anonymous namespace\)::|papo::(cuda::)?/g, '')
      plain = plain.replace(/^void /, '')
      let depth = 0
      for (let i = 0; i < plain.length; ++i) {
        if (plain[i] === '<') ++depth
        if (plain[i] === '>') --depth
        if (plain[i] === '(' && depth === 0) return plain.slice(0, i)
      }
      return plain
    })
}

function table(found, names, release) {
  const machines = targets.filter((target) => target.startsWith('sm_'))
  const rows = new Map()
  for (const [i, kernel] of found.entries()) {
    const key = `${basename(kernel.file)} | \`${names[i]}\``
    if (!rows.has(key)) rows.set(key, {})
    rows.get(key)[kernel.target] = `${kernel.registers} / ${kernel.shared}`
  }
  const lines = [...rows]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, of]) => `| ${key} | ${machines.map((target) => of[target] ?? '').join(' | ')} |`)
  return `# CUDA kernels

Registers of a thread and bytes of static shared memory of a block, by architecture. No kernel has a
stack frame, spilled registers or local memory. Written by \`node test/simt/ptx.mjs\` with
${release}.

| file | kernel | ${machines.join(' | ')} |
| --- | --- |${machines.map(() => ' ---: |').join('')}
${lines.join('\n')}
`
}

const { stdout: version } = await run(nvcc, ['--version']).catch(() => {
  console.error(`${nvcc}: not found; NVCC names the CUDA compiler`)
  process.exit(1)
})
const release = `CUDA ${version.match(/release ([\d.]+)/)[1]}`
const found = await compileAll().catch((error) => {
  console.error(error.stderr || error)
  process.exit(1)
})
const names = found.length ? await readableNames(found.map((kernel) => kernel.symbol)) : []

let failed = false
for (const [i, kernel] of found.entries()) {
  if (kernel.slow === 0) continue
  console.error(`${kernel.file}: ${names[i]} on ${kernel.target}: ${kernel.slow} bytes of stack`)
  failed = true
}
const written = table(found, names, release)
if (process.argv.includes('--check')) {
  const current = readFileSync(page, 'utf8')
  // Another compiler gives other numbers.
  if (current.includes(`${release}.`) && current !== written) {
    console.error('docs/cuda-kernels.md: stale; node test/simt/ptx.mjs writes it')
    failed = true
  }
} else {
  writeFileSync(page, written)
}
console.log(`${found.length} kernels, ${targets.join(' ')}`)
process.exitCode = failed ? 1 : 0
