import { DynamicSampler, selectGroups, Tensor } from '../lib'
import type { DynamicSamplerOptions, SelectGroupsOptions, TensorLike } from '../lib'
import { detach, refusal } from './support'

const loosely = (value: unknown) => value as TensorLike
const listed = (ids: Int32Array) => Array.from(ids)

/** Whole numbers below a bound, repeatable. */
function draws(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}

/** Groups of any size under any ids, their rows in any order, with accuracies of 0 and 1. */
function round(seed: number, firstId: number): { metric: Float32Array; ids: Int32Array } {
  const draw = draws(seed)
  const rows: [number, number][] = []
  for (let group = 0; group < 1 + draw(12); group++) {
    const kind = draw(3)
    for (let i = 0; i < 1 + draw(6); i++)
      rows.push([(firstId + group) * (group % 2 ? -7 : 11), kind === 2 ? draw(2) : kind])
  }
  for (let i = rows.length - 1; i > 0; i--) {
    const j = draw(i + 1)
    ;[rows[i], rows[j]] = [rows[j]!, rows[i]!]
  }
  return {
    metric: Float32Array.from(rows, ([, value]) => value),
    ids: Int32Array.from(rows, ([id]) => id),
  }
}

/** The same from the definition: filter all rows once for every id. */
function plainSelection(metric: ArrayLike<number>, ids: ArrayLike<number>, target: number) {
  const seen = [...new Set(Array.from(ids))]
  const isMixed = (id: number) => {
    const values = Array.from(metric).filter((_, row) => ids[row] === id)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return 0.01 < mean && mean < 0.99
  }
  const mixed = seen.filter(isMixed)
  const kept = mixed.slice(0, target)
  const rows = Array.from(ids, (id, row) => [id, row] as const)
  return {
    rows: rows.filter(([id]) => kept.includes(id)).map(([, row]) => row),
    kept,
    surplus: mixed.slice(target),
    dropped: seen.filter((id) => !mixed.includes(id)),
  }
}

describe('selectGroups', () => {
  test('keeps groups that are neither all right nor all wrong, interleaved under any ids', () => {
    const metric = Float32Array.of(1, 0, 1, 0, 0, 1, 1, 0)
    const ids = Int32Array.of(-5, 2 ** 31 - 1, 7, -5, 2 ** 31 - 1, 7, -(2 ** 31), -(2 ** 31))
    const selection = selectGroups(metric, ids)
    expect(selection).toEqual({
      rows: Int32Array.of(0, 3, 6, 7),
      keptGroupIds: Int32Array.of(-5, -(2 ** 31)),
      droppedGroupIds: Int32Array.of(2 ** 31 - 1, 7),
      surplusGroupIds: new Int32Array(0),
      acceptance: 0.5,
      missingGroups: 2,
      promptsToDraw: 4, // 2 · (4 + 1) / (2 + 1), up
    })
  })

  test.each(Array.from({ length: 60 }, (_, seed) => seed))('is the definition, draw %i', (seed) => {
    const { metric, ids } = round(seed, 1)
    const targetGroups = 1 + (seed % 5)
    const plain = plainSelection(metric, ids, targetGroups)
    const mixed = plain.kept.length + plain.surplus.length
    const groups = mixed + plain.dropped.length
    const selection = selectGroups(metric, ids, { targetGroups })
    expect(listed(selection.rows)).toEqual(plain.rows)
    expect(listed(selection.keptGroupIds)).toEqual(plain.kept)
    expect(listed(selection.droppedGroupIds)).toEqual(plain.dropped)
    expect(listed(selection.surplusGroupIds)).toEqual(plain.surplus)
    expect(selection.acceptance).toBe(mixed / groups)
    const missing = targetGroups - plain.kept.length
    expect(selection.missingGroups).toBe(missing)
    expect(selection.promptsToDraw).toBe(
      Math.ceil((missing * (groups + 1)) / (plain.kept.length + 1)),
    )
  })

  test('leaves out a mean that is exactly low or high', () => {
    const metric = Float64Array.of(0.25, 0.25, 0.75, 0.75, 0.25, 0.26)
    const ids = Int32Array.of(1, 1, 2, 2, 3, 3)
    const { keptGroupIds } = selectGroups(metric, ids, { low: 0.25, high: 0.75 })
    expect(listed(keptGroupIds)).toEqual([3])
  })

  test('one right of a hundred is dropped, two are kept', () => {
    const right = (count: number) => Float32Array.from({ length: 100 }, (_, i) => +(i < count))
    expect(selectGroups(right(1), new Int32Array(100)).missingGroups).toBe(1)
    expect(selectGroups(right(2), new Int32Array(100)).missingGroups).toBe(0)
  })

  test('takes tensors, and leaves what they hold alone', () => {
    const data = Float32Array.of(1, 0, 9)
    const metric = Tensor.from(data, { shape: [2], rowStride: 3 })
    expect(listed(selectGroups(metric, Int32Array.of(4, 4)).rows)).toEqual([0, 1])
    expect(data).toEqual(Float32Array.of(1, 0, 9))
  })

  const metric = () => Float32Array.of(1, 0)
  const detached = new Float32Array(2)
  detach(detached)
  const ids = () => Int32Array.of(3, 3)

  test.each([
    ['no metric', undefined, ids(), 'ERR_INVALID_ARGUMENT', 'metric'],
    ['a plain metric', [1, 0], ids(), 'ERR_INVALID_ARGUMENT', 'metric'],
    ['an empty metric', new Float32Array(0), ids(), 'ERR_INVALID_SHAPE', 'metric'],
    ['a whole metric', Int32Array.of(1, 0), ids(), 'ERR_INVALID_DTYPE', 'metric'],
    ['a metric that was moved', detached, ids(), 'ERR_DETACHED', 'metric'],
    ['NaN', Float32Array.of(1, NaN), ids(), 'ERR_INVALID_VALUE', 'metric'],
    ['infinity', Float64Array.of(-Infinity, 0), ids(), 'ERR_INVALID_VALUE', 'metric'],
    ['a matrix', Tensor.zeros([1, 2]), ids(), 'ERR_INVALID_SHAPE', 'metric'],
    ['no ids', metric(), undefined, 'ERR_INVALID_ARGUMENT', 'groupIds'],
    ['float ids', metric(), new Float32Array(2), 'ERR_INVALID_DTYPE', 'groupIds'],
    ['one id', metric(), new Int32Array(1), 'ERR_INVALID_SHAPE', 'groupIds'],
    ['three ids', metric(), new Int32Array(3), 'ERR_INVALID_SHAPE', 'groupIds'],
  ])('refuses %s', (_, first, second, code, argument) => {
    expect(refusal(() => selectGroups(loosely(first), loosely(second)))).toEqual({ code, argument })
  })

  test.each([
    ['low', { low: NaN }],
    ['high', { high: 0.01 }],
    ['high', { low: 2 }],
    ['targetGroups', { targetGroups: 0 }],
    ['targetGroups', { targetGroups: 1.5 }],
    ['target', { target: 3 }],
  ])('refuses an unfit %s: %p', (argument, options) => {
    const call = () => selectGroups(metric(), ids(), options as SelectGroupsOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})

describe('DynamicSampler', () => {
  // Two groups of two each: the first is mixed, the second is all right.
  const metric = () => Float32Array.of(1, 1, 0, 1)
  const ids = (first: number) => Int32Array.of(first, first + 1, first, first + 1)

  function sampled(options: DynamicSamplerOptions, rounds: number): DynamicSampler {
    const sampler = new DynamicSampler(options)
    for (let i = 0; i < rounds; i++) sampler.add(metric(), ids(10 * i))
    return sampler
  }

  test('gathers rounds until there are enough groups', () => {
    const sampler = new DynamicSampler({ targetGroups: 2 })
    expect(sampler.status).toEqual({
      done: false,
      rounds: 0,
      keptGroups: 0,
      missingGroups: 2,
      promptsToDraw: 2,
    })
    expect(sampler.add(metric(), ids(0))).toEqual({
      done: false,
      rounds: 1,
      keptGroups: 1,
      missingGroups: 1,
      promptsToDraw: 2, // 1 · (2 + 1) / (1 + 1), up
    })
    expect(sampler.add(metric(), ids(10)).done).toBe(true)
    expect(sampler.result()).toEqual({
      rows: Int32Array.of(0, 2, 4, 6),
      keptGroupIds: Int32Array.of(0, 10),
      filledGroupIds: new Int32Array(0),
      droppedGroupIds: Int32Array.of(1, 11),
      surplusGroupIds: new Int32Array(0),
    })
  })

  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'is one selection over all rounds, draw %i',
    (seed) => {
      const targetGroups = 1 + (seed % 7)
      const sampler = new DynamicSampler({ targetGroups, maxRounds: 6, fallback: 'unfiltered' })
      const [metrics, allIds]: [number[], number[]] = [[], []]
      for (let i = 0; !sampler.status.done; i++) {
        const next = round(100 * seed + i, 1 + 20 * i)
        sampler.add(next.metric, next.ids)
        metrics.push(...next.metric)
        allIds.push(...next.ids)
      }
      const plain = plainSelection(metrics, allIds, targetGroups)
      const filled = plain.dropped.slice(0, targetGroups - plain.kept.length)
      const taken = [...plain.kept, ...filled]
      const result = sampler.result()
      expect(listed(result.keptGroupIds)).toEqual(plain.kept)
      expect(listed(result.filledGroupIds)).toEqual(filled)
      expect(listed(result.droppedGroupIds)).toEqual(plain.dropped.slice(filled.length))
      expect(listed(result.surplusGroupIds)).toEqual(plain.surplus)
      expect(listed(result.rows)).toEqual(
        allIds.flatMap((id, row) => (taken.includes(id) ? [row] : [])),
      )
    },
  )

  test('takes the first groups to come where the last round has more', () => {
    const sampler = sampled({ targetGroups: 2 }, 1)
    sampler.add(Float32Array.of(0, 0, 1, 1), Int32Array.of(-1, -2, -2, -1))
    const { keptGroupIds, surplusGroupIds, rows } = sampler.result()
    expect([listed(keptGroupIds), listed(surplusGroupIds)]).toEqual([[0, -1], [-2]])
    expect(listed(rows)).toEqual([0, 2, 4, 7])
  })

  test('tries 20 rounds unless told otherwise', () => {
    const sampler = sampled({ targetGroups: 100 }, 19)
    expect(sampler.status.done).toBe(false)
    expect(sampler.add(metric(), ids(1000)).done).toBe(true)
  })

  test('throws after the last round', () => {
    const sampler = sampled({ targetGroups: 3, maxRounds: 2 }, 2)
    expect(refusal(() => sampler.result())).toEqual({
      code: 'ERR_INVALID_VALUE',
      argument: 'metric',
    })
    expect(() => sampler.result()).toThrow('3 groups with a mean between 0.01 and 0.99 in 2 rounds')
  })

  test('or keeps what there is', () => {
    const { keptGroupIds, rows } = sampled(
      { targetGroups: 3, maxRounds: 2, fallback: 'keep' },
      2,
    ).result()
    expect([listed(keptGroupIds), listed(rows)]).toEqual([
      [0, 10],
      [0, 2, 4, 6],
    ])
  })

  test('but not nothing', () => {
    const sampler = new DynamicSampler({ targetGroups: 1, maxRounds: 1, fallback: 'keep' })
    sampler.add(Float32Array.of(1, 1), Int32Array.of(0, 0))
    expect(refusal(() => sampler.result()).code).toBe('ERR_INVALID_VALUE')
  })

  test('or fills up with dropped groups in order of arrival', () => {
    const options = { targetGroups: 3, maxRounds: 2, fallback: 'unfiltered' } as const
    const { filledGroupIds, droppedGroupIds, rows } = sampled(options, 2).result()
    expect([listed(filledGroupIds), listed(droppedGroupIds)]).toEqual([[1], [11]])
    expect(listed(rows)).toEqual([0, 1, 2, 3, 4, 6])
  })

  test('refuses a group of an earlier round, and adds nothing of that round', () => {
    const sampler = sampled({ targetGroups: 5 }, 1)
    const before = JSON.stringify(sampler)
    const again = () => sampler.add(Float32Array.of(1, 0, 1), Int32Array.of(50, 1, 50))
    expect(refusal(again)).toEqual({ code: 'ERR_INVALID_VALUE', argument: 'groupIds' })
    expect(again).toThrow('group 1 of an earlier round')
    expect(JSON.stringify(sampler)).toBe(before)
  })

  test.each([
    ['a result before the end', 1, (sampler: DynamicSampler) => sampler.result()],
    ['a round after the end', 2, (sampler: DynamicSampler) => sampler.add(metric(), ids(90))],
  ])('refuses %s', (_, rounds, call) => {
    const sampler = sampled({ targetGroups: 2 }, rounds)
    expect(refusal(() => call(sampler)).code).toBe('ERR_INVALID_ARGUMENT')
  })

  test.each([
    ['targetGroups', {}],
    ['targetGroups', { targetGroups: 0 }],
    ['maxRounds', { targetGroups: 1, maxRounds: 0 }],
    ['fallback', { targetGroups: 1, fallback: 'stop' }],
    ['low', { targetGroups: 1, low: 'a' }],
    ['retries', { targetGroups: 1, retries: 3 }],
  ])('refuses an unfit %s: %p', (argument, options) => {
    const call = () => new DynamicSampler(options as DynamicSamplerOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })

  describe('from JSON', () => {
    const options = { targetGroups: 4, fallback: 'keep' } as const
    const state = () => JSON.parse(JSON.stringify(sampled(options, 3)))

    test('goes on as if nothing had been', () => {
      const [whole, resumed] = [sampled(options, 3), DynamicSampler.fromJSON(state(), options)]
      expect(resumed.status).toEqual(whole.status)
      for (const sampler of [whole, resumed]) sampler.add(metric(), ids(70))
      expect(resumed.result()).toEqual(whole.result())
      expect(JSON.stringify(resumed)).toBe(JSON.stringify(whole))
      expect(
        refusal(() => DynamicSampler.fromJSON(state(), options).add(metric(), ids(0))),
      ).toEqual({ code: 'ERR_INVALID_VALUE', argument: 'groupIds' })
    })

    test.each([
      [{ targetGroups: 5, fallback: 'keep' }],
      [{ targetGroups: 4 }],
      [{ ...options, low: 0 }],
      [{ ...options, maxRounds: 21 }],
    ] as [DynamicSamplerOptions][])('refuses other options: %p', (others) => {
      const { code, argument } = refusal(() => DynamicSampler.fromJSON(state(), others))
      expect([code, argument]).toEqual(['ERR_INVALID_VALUE', 'state'])
    })

    test.each([
      ['another key', (s: State) => Object.assign(s, { other: 1 })],
      ['no rounds', (s: State) => delete s['rounds']],
      ['half a round', (s: State) => Object.assign(s, { rounds: 0.5 })],
      ['too many rounds', (s: State) => Object.assign(s, { rounds: 21 })],
      ['groups of null', (s: State) => Object.assign(s, { groups: null })],
      ['a mean of null', (s: State) => Object.assign(s.groups[0]!, { mean: null })],
      ['an id beyond int32', (s: State) => Object.assign(s.groups[0]!, { id: 2 ** 31 })],
      ['a group twice', (s: State) => Object.assign(s.groups[0]!, { id: 1 })],
      ['a row twice', (s: State) => Object.assign(s.groups[0]!, { rows: [0, 1] })],
      ['a row too many', (s: State) => Object.assign(s, { rows: 13 })],
      ['a row that is not there', (s: State) => Object.assign(s.groups[0]!, { rows: [0, 12] })],
    ])('refuses %s', (_, damage) => {
      const damaged = state()
      damage(damaged)
      const { code } = refusal(() => DynamicSampler.fromJSON(damaged, options))
      expect(code).toBe('ERR_INVALID_VALUE')
    })

    test.each([[null], ['{}'], [3], [[]]])('refuses %p', (value) => {
      const { code } = refusal(() => DynamicSampler.fromJSON(value, options))
      expect(code).toBe('ERR_INVALID_ARGUMENT')
    })
  })
})

type State = Record<string, unknown> & { groups: Record<string, unknown>[] }
