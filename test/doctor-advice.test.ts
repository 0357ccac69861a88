import { isOlder } from '../lib/doctor/advice'
import type { Advice, AdviceLevel } from '../lib/doctor/advice'
import { advise, isUsable } from '../lib/doctor/advise'
import { usableDevices } from '../lib/doctor/advise-cuda'
import type { CudaFacts, Facts } from '../lib/doctor/facts'
import { cgroupQuota } from '../lib/doctor/machine'
import { asTable } from '../lib/doctor/render'

const tool = { path: '/usr/bin/tool', version: '1.0' }

/** A machine on which nothing is missing. */
const complete: Facts = {
  package: { version: '1.2.3', root: '/app/node_modules/papo-kernels', checkout: false },
  binary: {
    path: '/app/node_modules/papo-kernels/prebuilds/linux-x64/papo-kernels.node',
    kind: 'prebuild',
    version: '1.2.3',
    abi: 1,
    problem: null,
  },
  engine: { instructionSet: 'avx512', threads: 8, problem: null },
  instructionSets: ['avx512', 'avx2', 'portable', 'reference'].map((name) => ({
    name,
    usable: true,
    missing: [],
  })),
  platform: { os: 'linux', arch: 'x64', kernel: '6.1.0', libc: 'glibc', libcVersion: '2.36' },
  node: { version: '20.1.0', minVersion: '20', napi: 9, minNapi: 8, v8: '11.3' },
  processor: { model: 'A Processor', logicalCores: 8, available: 8, quota: null },
  memory: { total: 16e9, available: 8e9, limit: null, hugePages: 'madvise' },
  bandwidth: { copy: 40, read: 30, threads: 8, loadAverage: 0 },
  environment: {},
  cuda: {
    runtime: '12.4',
    driver: { state: 'ready', version: '12.8', function: null, result: 0, message: null },
    deviceCount: 1,
    devices: [{ name: 'A GPU', computeCapability: '9.0', memory: 80e9 }],
    kernelModule: '570.1',
    toolkit: tool,
  },
  tools: { compiler: tool, make: tool, python: tool },
  torch: tool,
}

const withCuda = (cuda: Partial<CudaFacts>): Facts => ({
  ...complete,
  cuda: { ...complete.cuda, ...cuda },
})

const withBinary = (message: string, changes: Partial<Facts> = {}): Facts => ({
  ...complete,
  binary: { ...complete.binary, problem: { kind: 'unloadable', message } },
  ...changes,
})

/** The only advice for these facts. */
function only(facts: Facts): Advice {
  const advice = advise(facts)
  expect(advice).toHaveLength(1)
  return advice[0]!
}

function expectOnly(facts: Facts, level: AdviceLevel, about: keyof Facts, words: RegExp): void {
  const advice = only(facts)
  expect(advice).toMatchObject({ level, about })
  expect([advice.sentence, ...advice.commands].join('\n')).toMatch(words)
  expect(isUsable([advice])).toBe(level !== 'error')
}

test('a complete machine needs no advice', () => {
  expect(advise(complete)).toEqual([])
})

describe('the binary', () => {
  test('a file for another platform', () => {
    expectOnly(withBinary('x.node: invalid ELF header'), 'error', 'binary', /another platform/)
  })

  test('a newer C++ library', () => {
    const message = "libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x.node)"
    expectOnly(withBinary(message), 'error', 'binary', /needs GLIBCXX_3\.4\.32, newer than glibc/)
  })

  test('any other reason is quoted', () => {
    const message = 'x.node: undefined symbol: papo_x'
    expectOnly(withBinary(message), 'error', 'binary', /undefined symbol: papo_x\): build it/)
  })

  test('errors come first', () => {
    const facts = withBinary('why', { torch: null, tools: { ...complete.tools, make: null } })
    expect(advise(facts).map(({ level, about }) => `${level} ${about}`)).toEqual([
      'error binary',
      'error tools',
      'note torch',
    ])
  })
})

describe('the machine', () => {
  const without = (name: string, features: string[]) =>
    complete.instructionSets!.map((set) =>
      set.name === name ? { ...set, usable: false, missing: features } : set,
    )

  test('a processor without AVX-512', () => {
    const facts: Facts = {
      ...complete,
      engine: { instructionSet: 'avx2', threads: 8, problem: null },
      instructionSets: without('avx512', ['avx512f', 'avx512bw']),
    }
    expectOnly(facts, 'note', 'instructionSets', /avx512 is not usable.*avx512f, avx512bw/)
  })

  test('a processor without AVX computes slowly', () => {
    const facts: Facts = {
      ...complete,
      engine: { instructionSet: 'portable', threads: 8, problem: null },
      instructionSets: complete.instructionSets!.map((set) =>
        set.name.startsWith('avx') ? { ...set, usable: false, missing: ['avx2'] } : set,
      ),
    }
    expect(advise(facts).map(({ level }) => level)).toEqual(['warning', 'warning'])
    expect(isUsable(advise(facts))).toBe(true)
  })

  test('registers that the system does not keep', () => {
    const facts: Facts = {
      ...complete,
      engine: { instructionSet: 'avx2', threads: 8, problem: null },
      instructionSets: without('avx512', []),
    }
    expectOnly(facts, 'note', 'instructionSets', /does not keep its registers/)
  })

  test('a slower choice than the fastest', () => {
    const facts: Facts = {
      ...complete,
      engine: { instructionSet: 'portable', threads: 8, problem: null },
    }
    expectOnly(facts, 'warning', 'instructionSets', /avx512 is faster than portable/)
  })

  test('more threads than a container may run', () => {
    const facts: Facts = { ...complete, processor: { ...complete.processor, quota: 1.5 } }
    expectOnly(facts, 'warning', 'engine', /8 threads.*1\.5 proc.*\nexport PAPO_KERNELS_THREADS=2/)
    expect(advise({ ...facts, engine: { ...facts.engine, threads: 2 } })).toEqual([])
  })

  test('an old Node, and one of another kind with few functions', () => {
    const old: Facts = { ...complete, node: { ...complete.node, version: '18.20.4' } }
    expectOnly(old, 'error', 'node', /Node 18\.20\.4 is too old: install Node 20 or newer/)
    const few: Facts = { ...complete, node: { ...complete.node, napi: 7 } }
    expectOnly(few, 'error', 'node', /N-API 7, and the binary needs 8/)
  })

  test('platforms that nobody has tried', () => {
    const { platform } = complete
    const arm: Facts = { ...complete, platform: { ...platform, os: 'darwin', arch: 'arm64' } }
    expectOnly(arm, 'note', 'platform', /nobody has tried darwin-arm64/)
    const musl: Facts = { ...complete, platform: { ...platform, libc: 'musl', libcVersion: null } }
    expectOnly(musl, 'note', 'platform', /linux-x64 with musl/)
  })

  test('commands are those of the platform', () => {
    const tools = { ...complete.tools, compiler: null }
    expect(only({ ...complete, tools }).commands).toEqual(['apt install g++'])
    const musl = { ...complete.platform, libc: 'musl' } as const
    expect(advise({ ...complete, tools, platform: musl })[0]?.commands).toEqual(['apk add g++'])
  })

  test('huge pages that are off', () => {
    const facts: Facts = { ...complete, memory: { ...complete.memory, hugePages: 'never' } }
    expectOnly(facts, 'note', 'memory', /echo madvise/)
  })
})

describe('CUDA', () => {
  const driver = complete.cuda.driver!

  test('a driver that is older than the runtime of the build', () => {
    const old = { ...driver, version: '11.8' }
    expectOnly(
      withCuda({ driver: old }),
      'warning',
      'cuda',
      /supports CUDA 11\.8.*runtime 12\.4: update the driver to one that supports CUDA 12/,
    )
  })

  test('an older minor version of the same major one is enough', () => {
    expect(advise(withCuda({ driver: { ...driver, version: '12.0' } }))).toEqual([])
  })

  test('a container without the libraries of the driver', () => {
    const absent = { ...driver, state: 'absent', version: null } as const
    const facts = withCuda({ driver: absent, deviceCount: 0, devices: [] })
    expectOnly(facts, 'warning', 'cuda', /kernel module 570\.1 is loaded.*--gpus all/)
    const bare = { ...facts, cuda: { ...facts.cuda, kernelModule: null } }
    expectOnly(bare, 'note', 'cuda', /no NVIDIA driver: .*install/)
  })

  test('no GPU', () => {
    const facts = withCuda({ deviceCount: 0, devices: [] })
    expectOnly(facts, 'warning', 'cuda', /finds no GPU/)
  })

  test('library and kernel module of different releases', () => {
    const failed = { ...driver, state: 'failed', function: 'cuInit', result: 803 } as const
    expectOnly(withCuda({ driver: failed }), 'warning', 'cuda', /cuInit \(error, 803\).*restart/)
  })

  test('a GPU that is too old for the engine', () => {
    const old = { name: 'Old', computeCapability: '7.5', memory: 16e9 }
    const facts = withCuda({ deviceCount: 2, devices: [old, ...complete.cuda.devices] })
    expectOnly(facts, 'warning', 'cuda', /GPU 0 \(Old\) has compute capability 7\.5.*needs 8\.0/)
    expect(usableDevices(facts.cuda)).toEqual([1])
  })

  test('a build without CUDA matters where there is a GPU', () => {
    expectOnly(
      withCuda({ runtime: null }),
      'warning',
      'cuda',
      /GPU: build it with CUDA\nPAPO_KERNELS_CUDA=1 npm rebuild papo-kernels$/,
    )
    expectOnly(
      withCuda({ toolkit: null, runtime: null }),
      'warning',
      'cuda',
      /install nvcc.*CUDA_H/,
    )
    const none = { runtime: null, deviceCount: 0, devices: [], driver: { ...driver, result: 100 } }
    expect(advise(withCuda(none)).map(({ level }) => level)).toEqual(['note', 'note'])
    expect(usableDevices(withCuda({ runtime: null }).cuda)).toEqual([])
  })

  test('a build with CUDA needs no toolkit', () => {
    expect(advise(withCuda({ toolkit: null }))).toEqual([])
  })
})

describe('parts', () => {
  test('versions compare as numbers, as far as they are given', () => {
    expect(isOlder('9.1', '10')).toBe(true)
    expect(isOlder('20.0.0', '20')).toBe(false)
    expect(isOlder('22.4', '22.11')).toBe(true)
    expect(isOlder('22', '22.0')).toBe(false)
    expect(isOlder('23.0', '22.11')).toBe(false)
  })

  test('quotas of control groups, version 2 and 1', () => {
    expect(cgroupQuota('150000 100000\n')).toBe(1.5)
    expect(cgroupQuota('max 100000\n')).toBeNull()
    expect(cgroupQuota('-1 100000\n')).toBeNull()
    expect(cgroupQuota(' ')).toBeNull()
  })

  test('the table shows what there is, a GPU a line', () => {
    const advice = advise(complete)
    const table = asTable({ schema: 1, usable: true, ...complete, advice })
    expect(table).toMatch(
      /^binary +prebuilds\/linux-x64\/papo-kernels\.node, prebuilt, version 1\.2\.3, ABI 1$/m,
    )
    expect(table).toMatch(/^NVIDIA driver +ready, supports CUDA 12\.8, kernel module 570\.1$/m)
    expect(table).toMatch(/^GPU 0 +A GPU, compute capability 9\.0, 80\.0 GB$/m)
    expect(table).toMatch(
      /\n\npapo-kernels is usable here, with avx512 on 8 threads, and on cuda:0\n$/,
    )
  })
})
