import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { Engine, Tensor } from '../lib'
import { disagreement } from '../lib/bench/agreement'
import { benchCases, filtered } from '../lib/bench/cases'
import type { BenchCase } from '../lib/bench/cases'
import { LogitsPool } from '../lib/bench/inputs'
import { measure, timing } from '../lib/bench/measure'
import { rowText } from '../lib/bench/report'
import type { BenchRow } from '../lib/bench/runner'
import { openSubject } from '../lib/bench/subjects'
import { UsageError } from '../lib/cli/arguments'
import { run } from '../lib/cli/bench'

const folder = mkdtempSync(path.join(tmpdir(), 'papo-bench-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

const all = benchCases({ quick: false, tokens: 64 })

function named(name: string): BenchCase {
  const found = all.find((benchCase) => benchCase.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  return found
}

describe('cases', () => {
  test('names are unique', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  })

  test.each([
    ['tokenLogProbs forward float32 V=151936', 1, 4],
    ['papoExact forward float32 V=151936', 2, 4],
    ['papoExact gradient/reused float32 V=151936', 4, 4],
    ['papoExact gradient/inPlace bfloat16 V=151936', 4, 2],
    ['papoG gradient/new float16 V=151936', 3, 2], // the masked branch is a constant
    ['grpo gradient/new float32 V=151936', 2, 4],
  ])('%s moves %i times the logits', (name, times, bytes) => {
    expect(named(name).bytes).toBe(times * bytes * 64 * 151936)
  })

  test('a filter wants every word', () => {
    const some = filtered(all, 'PAPOEXACT reused')
    expect(some).toHaveLength(12)
    for (const { name } of some) expect(name).toMatch(/papoExact.*reused/)
  })
})

describe('inputs', () => {
  test('16-bit logits are the float32 ones, rounded to nearest', () => {
    const exact = LogitsPool.of('float32').tensor('image', 1, 5000, 77).toFloat32Array()
    const error = (dtype: 'float16' | 'bfloat16') => {
      const rounded = LogitsPool.of(dtype).tensor('image', 1, 5000, 77).toFloat32Array()
      return Math.max(...rounded.map((z, i) => Math.abs(z - exact[i]!) / Math.abs(exact[i]!)))
    }
    expect(error('float16')).toBeLessThanOrEqual(2 ** -11)
    expect(error('bfloat16')).toBeLessThanOrEqual(2 ** -8)
    expect(error('float16')).toBeGreaterThan(2 ** -12)
  })

  test('in place the logits are put back before they are read a second time', () => {
    using engine = Engine.open({ threads: 1 })
    const [small] = filtered(
      benchCases({ quick: true, tokens: 2, vocabSizes: [3] }),
      'papoExact inPlace float32',
    )
    const subject = openSubject(small!, engine)
    const before = subject.logits!.toFloat32Array().slice()
    subject.prepare(0)
    subject.run(0)
    expect(subject.logits!.toFloat32Array()).not.toEqual(before)
    subject.prepare(64)
    expect(subject.logits!.toFloat32Array()).toEqual(before)
  })
})

describe('timings', () => {
  test('quantiles are interpolated', () => {
    expect(timing([5, 1, 3, 2, 4, 6, 7, 8, 9, 10, 11])).toEqual({ median: 6, p10: 2, p90: 10 })
    expect(timing([4])).toEqual({ median: 4, p10: 4, p90: 4 })
  })

  test('ours and the peer take turns', async () => {
    const order: string[] = []
    const subject = { run: () => void order.push('ours'), prepare() {} }
    const peer = () => Promise.resolve(order.push('peer'))
    const time = async (work: () => void | Promise<void>) => {
      await work()
      return 1
    }
    await measure(subject, { seconds: 0, minRuns: 3, maxRuns: 3 }, time, peer)
    expect(order.slice(4)).toEqual(['ours', 'peer', 'ours', 'peer', 'ours', 'peer'])
  })
})

describe('agreement with a peer', () => {
  const gradient = Float32Array.of(0.5, -0.25, 1e-4)
  const ours = { loss: 1.5, logitsGrad: Tensor.from(gradient, { shape: [1, 3] }) }
  const peerOf = (loss: number, theirs: Float32Array) => ({
    result: () => Promise.resolve(loss),
    output: () => theirs,
  })
  const changed = (index: number, value: number) =>
    gradient.map((g, i) => (i === index ? value : g))

  test('equal values agree', async () => {
    expect(await disagreement(ours, peerOf(1.5, gradient), 'float32')).toBeUndefined()
  })

  test.each([
    ['another loss', 1.5001, gradient],
    ['a NaN loss', Number.NaN, gradient],
    ['a small element off by a percent', 1.5, changed(2, 1.01e-4 * 1.05)],
    ['a NaN element', 1.5, changed(1, Number.NaN)],
    ['zeros', 1.5, new Float32Array(3)],
    ['too few elements', 1.5, gradient.slice(0, 2)],
  ])('%s does not', async (_, loss, theirs) => {
    expect(await disagreement(ours, peerOf(loss, theirs), 'float32')).toEqual(expect.any(String))
  })
})

describe('papo-kernels bench', () => {
  let written = ''
  beforeEach(() => {
    written = ''
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written += text
      return true
    })
  })
  afterEach(() => jest.restoreAllMocks())

  async function rowsOf(...argv: string[]) {
    const file = path.join(folder, 'rows.json')
    const status = await run(['--quick', '--tokens', '5', '--vocab', '33', '--json', file, ...argv])
    const report: { header: Record<string, unknown>; rows: BenchRow[] } = JSON.parse(
      readFileSync(file, 'utf8'),
    )
    return { status, ...report }
  }

  test('--json holds a header and a row per case', async () => {
    const { status, header, rows } = await rowsOf('--filter', 'float32', '--threads', '1')
    expect(status).toBe(0)
    expect(header).toMatchObject({ threads: 1, versions: { node: process.versions.node } })
    expect(new Date(header.date as string).getTime()).not.toBeNaN()
    expect(header.copyBandwidth).toBeGreaterThan(0)
    expect(header.readBandwidth).toBeGreaterThan(0)
    expect(rows.map(({ name }) => name)).toEqual([
      'tokenLogProbs forward float32 V=33',
      'papoExact forward float32 V=33',
      'papoExact gradient/reused float32 V=33',
      'papoExact gradient/inPlace float32 V=33',
      'papoG gradient/reused float32 V=33',
      'grpo gradient/reused float32 V=33',
      'latency papoG gradient/reused float32 V=64',
      'latency papoG gradient/new float32 V=64',
      'latency papoG gradient/reused float32 V=64 queued',
    ])
    for (const row of rows) {
      const { p10, median, p90 } = row.milliseconds
      expect(0 < p10 && p10 <= median && median <= p90).toBe(true)
      expect(row.gigabytesPerSecond).toBeCloseTo(row.bytes / median / 1e6, 6)
      expect(row.fractionOfCopy).toBeCloseTo(
        row.gigabytesPerSecond / (header.copyBandwidth as number),
        6,
      )
      expect(row.peers).toEqual({})
    }
    expect(rows[2]).toMatchObject({ dtype: 'float32', rows: 5, vocabSize: 33, branches: 2 })
  }, 60_000)

  test('without torch the run goes on and the row says so', async () => {
    const before = process.env.PAPO_PYTHON
    process.env.PAPO_PYTHON = path.join(folder, 'no-python')
    try {
      const { status, header, rows } = await rowsOf('--peers', '--filter', 'grpo float32')
      expect(status).toBe(0)
      expect(header.versions).not.toHaveProperty('torch')
      expect(rows[0]!.peers).toEqual({
        torch: { milliseconds: null, ratio: null, note: 'no torch' },
      })
      expect(written).toContain('PyTorch is not measured: no torch in')
    } finally {
      if (before === undefined) delete process.env.PAPO_PYTHON
      else process.env.PAPO_PYTHON = before
    }
  }, 60_000)

  // Where there is torch this compares every loss and gradient; elsewhere the rows must say so.
  test('what is measured beside PyTorch computes the same', async () => {
    const { status, header, rows } = await rowsOf('--peers', '--filter', 'float V=33')
    const hasTorch = 'torch' in (header.versions as object)
    expect(status).toBe(0)
    for (const { name, peers } of rows) {
      if (name.includes('inPlace')) expect(peers).toEqual({})
      else if (hasTorch) expect(peers.torch!.ratio).toBeGreaterThan(0)
      else expect(peers.torch!.note).toBe('no torch')
    }
  }, 120_000)

  test('a peer that disagrees is in the row', () => {
    const note = 'computes something else: loss 1 against 2'
    const [sample] = benchCases({ quick: true, tokens: 1, vocabSizes: [2] })
    const milliseconds = { median: 1, p10: 1, p90: 1 }
    const row: BenchRow = {
      ...sample!,
      engine: 'any',
      milliseconds,
      gigabytesPerSecond: 1,
      fractionOfCopy: 0.5,
      peers: { torch: { milliseconds: null, ratio: null, note } },
    }
    expect(rowText(row)).toContain(note)
  })

  test('--list names the cases and measures nothing', async () => {
    expect(await run(['--list', '--filter', 'groupAdvantages'])).toBe(0)
    expect(written).toBe('groupAdvantages 4096 rewards in 512 groups\n')
  })

  test.each([
    [['--fast'], '--fast'],
    [['--json', path.join('no', 'such', 'folder', 'x.json')], 'cannot write'],
    [['--engine', 'abacus'], "no engine 'abacus'"],
    [['--filter', 'nothing-like-it'], 'no case'],
    [['--threads', '-1'], '--threads'],
    [['--vocab', '10,x'], "'x'"],
    [['--tokens', '0'], '--tokens'],
  ])('%j is wrong use, before anything is measured', async (argv, word) => {
    const error = await run(argv).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toContain(word)
    expect(written).toBe('')
  })
})
