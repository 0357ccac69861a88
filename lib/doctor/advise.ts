// From facts to sentences: what is missing, and how to get it. Depends on nothing but the facts.
import { mending } from '../package'
import { cudaAdvice } from './advise-cuda'
import type { Facts } from './facts'

/** error: the package cannot be used; warning: less than this machine could do; note: the rest. */
export type AdviceLevel = 'error' | 'warning' | 'note'

export interface Advice {
  readonly level: AdviceLevel
  /** The field of the facts that it is about. */
  readonly about: keyof Facts
  readonly sentence: string
  /** That mend it, in this order. */
  readonly commands: readonly string[]
}

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
  // Without the variable a file that loads, of whatever version, is left as it is.
  const build = facts.package.checkout
    ? ['npm run build:gyp']
    : ['PAPO_KERNELS_BUILD=source npm rebuild papo-kernels']
  const error = (sentence: string, commands: readonly string[]): Advice[] => [
    { level: 'error', about: 'binary', sentence, commands },
  ]
  if (problem.kind === 'other version') return error(`${problem.message}: build it anew`, build)
  if (problem.kind === 'unloadable') return error(unloadable(problem.message, facts), build)
  return facts.package.checkout
    ? error('this clone has no native binary yet', build)
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
  const install = platform.libc === 'musl' ? 'apk add' : 'apt install'
  return [
    {
      level: binary.problem === null ? 'note' : 'error',
      about: 'tools',
      sentence: `no ${packages.join(', no ')}: ${mending.build}`,
      commands: platform.os === 'linux' ? [`${install} ${packages.join(' ')}`] : [],
    },
  ]
}

function engineAdvice({ engine, processor }: Facts): Advice[] {
  if (engine.problem !== null)
    return [
      {
        level: 'error',
        about: 'engine',
        sentence: `calls that name no engine fail (${engine.problem}): correct or unset the variable`,
        commands: [],
      },
    ]
  const { quota } = processor
  if (quota === null || engine.threads === null || engine.threads <= Math.ceil(quota)) return []
  return [
    {
      level: 'warning',
      about: 'engine',
      sentence:
        `the engine takes ${engine.threads} threads, and the control group grants the time of ` +
        `${Number(quota.toFixed(2))} processors: take as many threads`,
      commands: [`export PAPO_KERNELS_THREADS=${Math.ceil(quota)}`],
    },
  ]
}

const plain: ReadonlySet<string> = new Set(['portable', 'reference'])

function instructionSetAdvice({ instructionSets, engine }: Facts): Advice[] {
  const sets = instructionSets ?? []
  const usable = sets.filter((set) => set.usable)
  const fast = usable.some(({ name }) => !plain.has(name))
  const about = 'instructionSets'
  const absent = sets.filter((set) => !set.usable)
  const advice = absent.map(({ name, missing }): Advice => {
    const reason =
      missing.length > 0
        ? `${name} is not usable, the processor does not show ${missing.join(', ')}`
        : `${name} is not usable, the system does not keep its registers`
    const sentence = `${reason}: in a virtual machine, ask for the host's processor model`
    return { level: fast ? 'note' : 'warning', about, sentence, commands: [] }
  })
  const [fastest] = usable
  if (fastest === undefined || engine.instructionSet === null) return advice
  if (engine.instructionSet === fastest.name) return advice
  const sentence =
    `${fastest.name} is faster than ${engine.instructionSet}, which ` +
    'PAPO_KERNELS_INSTRUCTION_SET asks for: unset it'
  return [{ level: 'warning', about, sentence, commands: [] }, ...advice]
}

const triedPlatforms = ['linux-x64']

function platformAdvice({ platform }: Facts): Advice[] {
  const name = `${platform.os}-${platform.arch}`
  if (triedPlatforms.includes(name) && platform.libc === 'glibc') return []
  const here = platform.libc === 'musl' ? `${name} with musl` : name
  const sentence =
    `nobody has tried ${here}: build from source and run papo-kernels verify --engine all; ` +
    `tried is ${triedPlatforms.join(', ')} with glibc`
  return [{ level: 'note', about: 'platform', sentence, commands: [] }]
}

function nodeAdvice({ node }: Facts): Advice[] {
  const reason = isOlder(node.version, node.minVersion)
    ? `Node ${node.version} is too old`
    : node.napi < node.minNapi
      ? `this Node offers N-API ${node.napi}, and the binary needs ${node.minNapi}`
      : undefined
  if (reason === undefined) return []
  const sentence = `${reason}: install Node ${node.minVersion} or newer, from nodejs.org or the system`
  return [{ level: 'error', about: 'node', sentence, commands: [] }]
}

/** Of version numbers, as far as the second one goes. */
export function isOlder(version: string, than: string): boolean {
  const parts = version.split('.').map(Number)
  for (const [i, needed] of than.split('.').map(Number).entries()) {
    const part = parts[i] ?? 0
    if (part !== needed) return part < needed
  }
  return false
}

function memoryAdvice({ memory }: Facts): Advice[] {
  if (memory.hugePages !== 'never') return []
  return [
    {
      level: 'note',
      about: 'memory',
      sentence: 'huge pages are off, which makes gradients in new tensors slower: switch them on',
      commands: ['echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled'],
    },
  ]
}

const variables = ['THREADS', 'INSTRUCTION_SET', 'BUILD', 'CUDA', 'PREBUILD']

function environmentAdvice({ environment }: Facts): Advice[] {
  const known = variables.map((name) => `PAPO_KERNELS_${name}`)
  const unknown = Object.keys(environment).filter(
    (name) => name.startsWith('PAPO_KERNELS_') && !known.includes(name),
  )
  return unknown.map((name) => ({
    level: 'warning',
    about: 'environment',
    sentence: `nothing reads ${name}: the variables are ${known.join(', ')}`,
    commands: [],
  }))
}

function torchAdvice({ torch }: Facts): Advice[] {
  if (torch !== null) return []
  const sentence =
    'no PyTorch for papo-kernels bench --peers: install it, or name a python that has it ' +
    'by PAPO_PYTHON'
  return [{ level: 'note', about: 'torch', sentence, commands: ['python3 -m pip install torch'] }]
}
