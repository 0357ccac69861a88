// From facts to sentences: what is missing, and how to get it. Depends on nothing but the facts.
import { mending } from '../package'
import { isOlder, say } from './advice'
import type { Advice, AdviceLevel } from './advice'
import { cudaAdvice } from './advise-cuda'
import type { Facts } from './facts'

/** Errors first, each level in the order of the table. */
export function advise(facts: Facts): Advice[] {
  const all = [
    ...binaryAdvice(facts),
    ...toolAdvice(facts),
    ...engineAdvice(facts),
    ...instructionSetAdvice(facts),
    ...platformAdvice(facts),
    ...nodeAdvice(facts),
    ...memoryAdvice(facts),
    ...environmentAdvice(facts),
    ...cudaAdvice(facts),
    ...torchAdvice(facts),
  ]
  const levels: readonly AdviceLevel[] = ['error', 'warning', 'note']
  return levels.flatMap((level) => all.filter((advice) => advice.level === level))
}

export function isUsable(advice: readonly Advice[]): boolean {
  return advice.every(({ level }) => level !== 'error')
}

function binaryAdvice(facts: Facts): Advice[] {
  const { problem } = facts.binary
  if (problem === null) return []
  const { checkout } = facts.package
  // Without the variable a file that loads, of whatever version, is left as it is.
  const build = checkout
    ? ['npm run build:gyp']
    : ['PAPO_KERNELS_BUILD=source npm rebuild papo-kernels']
  const error = (sentence: string, commands: readonly string[] = build) => [
    say('error', 'binary', sentence, commands),
  ]
  if (problem.kind === 'other version') return error(`${problem.message}: build it anew`)
  if (problem.kind === 'unloadable') return error(unloadable(problem.message, facts))
  return checkout
    ? error('this clone has no native binary yet: build it')
    : error(`no native binary: ${mending.scripts}`, mending.scriptCommands)
}

function unloadable(message: string, { platform }: Facts): string {
  const symbol = /version [`']?(GLIBC(?:XX)?_[\d.]+)' not found/.exec(message)?.[1]
  if (symbol !== undefined)
    return `the binary needs ${symbol}, newer than ${libcText(platform)} here: build it from source`
  if (/invalid ELF|file too short|ELF class|ended by SIG(BUS|SEGV)/.test(message))
    return `the binary is damaged or of another platform (${message}): build it from source`
  return `the binary does not load (${message}): build it from source`
}

export function libcText({ libc, libcVersion }: Facts['platform']): string {
  return libc === null ? 'the C library' : [libc, libcVersion].filter(Boolean).join(' ')
}

/** Needed only where there is no binary that loads. */
function toolAdvice({ tools, binary, platform }: Facts): Advice[] {
  const packages = [
    ...(tools.compiler === null ? ['g++'] : []),
    ...(tools.make === null ? ['make'] : []),
    ...(tools.python === null ? ['python3'] : []),
  ]
  if (packages.length === 0) return []
  const level = binary.problem === null ? 'note' : 'error'
  const install = platform.libc === 'musl' ? 'apk add' : 'apt install'
  const commands = platform.os === 'linux' ? [`${install} ${packages.join(' ')}`] : []
  return [say(level, 'tools', `no ${packages.join(', no ')}: ${mending.build}`, commands)]
}

function engineAdvice({ engine, processor: { quota } }: Facts): Advice[] {
  if (engine.problem !== null) {
    const sentence = `calls that name no engine fail (${engine.problem})`
    return [say('error', 'engine', `${sentence}: correct or unset the variable`)]
  }
  if (quota === null || engine.threads === null || engine.threads <= Math.ceil(quota)) return []
  const sentence =
    `the engine takes ${engine.threads} threads, and the control group grants the time of ` +
    `${Number(quota.toFixed(2))} processors: take as many threads`
  return [say('warning', 'engine', sentence, [`export PAPO_KERNELS_THREADS=${Math.ceil(quota)}`])]
}

const plain: ReadonlySet<string> = new Set(['portable', 'reference'])

function instructionSetAdvice({ instructionSets, engine }: Facts): Advice[] {
  const sets = instructionSets ?? []
  const usable = sets.filter((set) => set.usable)
  const level = usable.some(({ name }) => !plain.has(name)) ? 'note' : 'warning'
  const advice = sets
    .filter((set) => !set.usable)
    .map(({ name, missing }) => {
      const reason =
        missing.length > 0
          ? `the processor does not show ${missing.join(', ')}`
          : 'the system does not keep its registers'
      const remedy = "in a virtual machine, ask for the host's processor model"
      return say(level, 'instructionSets', `${name} is not usable, ${reason}: ${remedy}`)
    })
  const fastest = usable[0]?.name
  if (engine.instructionSet === null || engine.instructionSet === fastest) return advice
  const sentence =
    `${fastest} is faster than ${engine.instructionSet}, which ` +
    'PAPO_KERNELS_INSTRUCTION_SET asks for: unset it'
  return [say('warning', 'instructionSets', sentence), ...advice]
}

const triedPlatforms = ['linux-x64', 'linux-arm64']

function platformAdvice({ platform }: Facts): Advice[] {
  const name = `${platform.os}-${platform.arch}`
  if (triedPlatforms.includes(name) && platform.libc === 'glibc') return []
  const here = platform.libc === 'musl' ? `${name} with musl` : name
  const sentence =
    `nobody has tried ${here}, only ${triedPlatforms.join(', ')} with glibc: ` +
    'compare it with the reference values'
  return [say('note', 'platform', sentence, ['npx papo-kernels verify --engine all'])]
}

function nodeAdvice({ node }: Facts): Advice[] {
  const reason = isOlder(node.version, node.minVersion)
    ? `Node ${node.version} is too old`
    : node.napi < node.minNapi
      ? `this Node offers N-API ${node.napi}, and the binary needs ${node.minNapi}`
      : undefined
  if (reason === undefined) return []
  const remedy = `install Node ${node.minVersion} or newer, from nodejs.org or the system`
  return [say('error', 'node', `${reason}: ${remedy}`)]
}

function memoryAdvice({ memory }: Facts): Advice[] {
  if (memory.hugePages !== 'never') return []
  const sentence = 'huge pages are off, which makes gradients in new tensors slower: allow them'
  const command = 'echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled'
  return [say('note', 'memory', sentence, [command])]
}

const variables = [
  'THREADS',
  'INSTRUCTION_SET',
  'BUILD',
  'CUDA',
  'CUDA_CLUSTER',
  'CUDA_THREADS',
  'PREBUILD',
  'ADDON',
]

function environmentAdvice({ environment }: Facts): Advice[] {
  const known = variables.map((name) => `PAPO_KERNELS_${name}`)
  return Object.keys(environment)
    .filter((name) => name.startsWith('PAPO_KERNELS_') && !known.includes(name))
    .map((name) => {
      const sentence = `nothing reads ${name}: the variables are ${known.join(', ')}`
      return say('warning', 'environment', sentence)
    })
}

function torchAdvice({ torch }: Facts): Advice[] {
  if (torch !== null) return []
  const sentence =
    'no PyTorch for papo-kernels bench --peers: install it, or name a python that has it ' +
    'by PAPO_PYTHON'
  return [say('note', 'torch', sentence, ['python3 -m pip install torch'])]
}
