import { CollapseMonitor, collapseThresholds, lossFromLogits } from '../lib'
import type { CollapseMonitorOptions, CollapseObservation, CollapseReport } from '../lib'
import { lossInputs, refusal } from './support'

/** Repeatable numbers of a normal distribution, by the sum of twelve. */
function gaussian(seed: number): () => number {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return () => Array.from({ length: 12 }, uniform).reduce((sum, u) => sum + u, -6)
}

interface Levels {
  perceptionKlMean: number
  perceptionKlVariance: number
  entropy: number
  maskedEntropy: number
  clipFractionHigh: number
  reward: number
}

const start: Levels = {
  perceptionKlMean: 0.04,
  perceptionKlVariance: 0.02,
  entropy: 0.3,
  maskedEntropy: 0.5,
  clipFractionHigh: 0.004,
  reward: 0.5,
}

/** A run whose levels follow a course, each scattering by a tenth of its start. */
function series(steps: number, seed: number, course: (step: number) => Partial<Levels>) {
  const normal = gaussian(seed)
  return Array.from({ length: steps }, (_, step): CollapseObservation => {
    const levels = { ...start, ...course(step) }
    for (const name of Object.keys(start) as (keyof Levels)[])
      levels[name] = Math.max(0, levels[name] + 0.1 * start[name] * normal())
    const { reward, ...metrics } = levels
    return { step, metrics, reward }
  })
}

const healthy = () => ({})

/** Learning: reward and perception KL up, entropies down, variance up with the KL. */
const learning = (step: number): Partial<Levels> => {
  const done = Math.min(step / 200, 1)
  return {
    perceptionKlMean: 0.04 + 0.08 * done,
    perceptionKlVariance: 0.02 + 0.2 * done,
    entropy: 0.3 - 0.15 * done,
    maskedEntropy: 0.5 + 0.3 * done,
    clipFractionHigh: 0.004 + 0.004 * done,
    reward: 0.5 + 0.3 * done,
  }
}

const onset = 100
/** As in the paper: KL, entropies and clip fraction climb, the variance most; the reward later. */
const collapse = (step: number): Partial<Levels> => {
  const depth = Math.max(0, step - onset) / 60
  return {
    perceptionKlMean: 0.04 * (1 + 4 * depth),
    perceptionKlVariance: 0.02 * (1 + 7.4 * depth),
    entropy: 0.3 * (1 + 3 * depth),
    maskedEntropy: 0.5 * (1 + 3 * depth),
    clipFractionHigh: 0.004 * (1 + 5 * depth),
    reward: 0.5 - 0.4 * Math.max(0, depth - 0.5),
  }
}

function watch(
  observations: readonly CollapseObservation[],
  monitor = new CollapseMonitor(),
): CollapseReport[] {
  return observations.map((observation) => monitor.observe(observation))
}

const last = (reports: readonly CollapseReport[]) => reports[reports.length - 1]!
const names = ({ signs }: CollapseReport) => signs.map(({ name }) => name)
const seeds = Array.from({ length: 10 }, (_, seed) => seed + 1)

describe('stays quiet', () => {
  test.each(seeds)('on scatter, seed %i', (seed) => {
    const { status, signs, firstSteps, remedies } = last(watch(series(500, seed, healthy)))
    expect({ status, signs, firstSteps, remedies }).toEqual({
      status: 'healthy',
      signs: [],
      firstSteps: {},
      remedies: undefined,
    })
  })

  test.each(seeds)('on learning, seed %i', (seed) => {
    const { firstSteps } = last(watch(series(600, seed, learning)))
    expect(firstSteps).not.toHaveProperty('warning')
  })

  test.each(seeds)('on a slow drift of everything by a quarter, seed %i', (seed) => {
    const drift = (step: number): Partial<Levels> => {
      const factor = 1 + (0.25 * step) / 600
      return {
        perceptionKlMean: 0.04 * factor,
        entropy: 0.3 * factor,
        maskedEntropy: 0.5 * factor,
        clipFractionHigh: 0.004 * factor,
        reward: 0.5 / factor ** 0.5,
      }
    }
    expect(last(watch(series(600, seed, drift))).firstSteps).not.toHaveProperty('warning')
  })

  test.each([0, 5, 60, 150, 199])('on a single outlier of everything at step %i', (at) => {
    const spike = (step: number): Partial<Levels> =>
      step === at
        ? {
            perceptionKlMean: 9,
            perceptionKlVariance: 100,
            entropy: 12,
            maskedEntropy: 12,
            clipFractionHigh: 1,
            reward: 0,
          }
        : {}
    expect(last(watch(series(200, 3, spike))).firstSteps).toEqual({})
  })

  test.each([
    ['the reward does', (step: number) => ({ reward: 0.5 + step / 100 })],
    ['nobody tells the reward', () => ({ reward: NaN })],
  ])('on a perception KL that rises while %s and the entropies stay', (_, reward) => {
    const looking = (step: number) => ({ perceptionKlMean: 0.04 + step / 1000, ...reward(step) })
    expect(last(watch(series(300, 4, looking))).firstSteps).toEqual({})
  })
})

describe('names a collapse', () => {
  test.each(seeds)('as in the paper before the reward falls, seed %i', (seed) => {
    const reports = watch(series(200, seed, collapse))
    const { firstSteps, status, remedies } = last(reports)
    expect(status).toBe('collapse')
    expect(remedies).toHaveLength(4)
    expect(names(last(reports))).toEqual([
      'risingTogether',
      'unrewardedKl',
      'clipFractionHigh',
      'perceptionKlVariance',
      'reward',
    ])
    const { warning, collapse: named, reward } = firstSteps
    expect(warning).toBeGreaterThan(onset)
    expect(named).toBeGreaterThanOrEqual(warning!)
    expect(reward! - warning!).toBeGreaterThanOrEqual(20)
    expect(reports[warning! - 1]!.status).toBe('healthy')
    expect(reports[warning!]!.status).not.toBe('healthy')
  })

  test('that follows learning, where the entropies begin far above where they collapse from', () => {
    const course = (step: number): Partial<Levels> => {
      const fall = Math.exp(-step / 30)
      const depth = Math.max(0, step - 200) / 60
      return {
        perceptionKlMean: 0.04 + (0.1 + 0.4 * depth) * (1 - fall),
        perceptionKlVariance: 0.1 + 2 * depth,
        entropy: 0.3 + 3 * fall + depth,
        maskedEntropy: 0.5 + 3 * fall + depth,
        clipFractionHigh: 0.004 + 0.02 * depth,
        reward: 0.8 - 0.7 * fall,
      }
    }
    const { firstSteps, status } = last(watch(series(300, 6, course)))
    expect(status).toBe('collapse')
    expect(firstSteps.warning).toBeGreaterThan(200)
    expect(firstSteps.warning).toBeLessThan(250)
  })

  test('without a reward', () => {
    const observations = series(200, 7, collapse).map(({ step, metrics }) => ({ step, metrics }))
    const report = last(watch(observations))
    expect(report.status).toBe('collapse')
    expect(report.firstSteps).not.toHaveProperty('reward')
  })

  test('warns where nothing but the three rise', () => {
    const three = (step: number): Partial<Levels> => {
      const { perceptionKlVariance, clipFractionHigh, ...rising } = collapse(step)
      return { ...rising, reward: NaN }
    }
    const report = last(watch(series(200, 8, three)))
    expect([report.status, names(report)]).toEqual(['warning', ['risingTogether']])
    expect(report.remedies).toHaveLength(4)
  })

  test('warns where the perception KL rises and the reward has been better', () => {
    const runaway = (step: number) => ({
      perceptionKlMean: 0.04 + 0.004 * Math.max(0, step - onset),
      reward: step < onset ? 0.5 + step / 250 : 0.8 - Math.max(0, step - 150) / 100,
    })
    const reports = watch(series(200, 8, runaway))
    const { firstSteps, status, remedies } = last(reports)
    expect(firstSteps.unrewardedKl).toBe(firstSteps.warning)
    expect(firstSteps.warning).toBeGreaterThan(onset)
    expect(firstSteps.reward! - firstSteps.warning!).toBeGreaterThanOrEqual(20)
    expect([status, names(last(reports))]).toEqual(['collapse', ['unrewardedKl', 'reward']])
    expect(firstSteps.collapse).toBe(firstSteps.reward)
    expect(remedies).toHaveLength(4)
  })

  test('is healthy again once they come back', () => {
    const course = (step: number) => (step < 160 ? collapse(step) : {})
    const report = last(watch(series(260, 9, course)))
    expect(report.status).toBe('healthy')
    expect(report.firstSteps.collapse).toBeLessThan(160)
  })

  test('with numbers that say what moved', () => {
    const { signs } = last(watch(series(200, 1, collapse)))
    for (const { name, value, baseline, threshold, sentence, since } of signs) {
      const isBeyond = name === 'reward' ? value < threshold : value > threshold
      expect([name, isBeyond]).toEqual([name, true])
      expect(Math.sign(threshold - baseline)).toBe(name === 'reward' ? -1 : 1)
      expect(sentence).toContain(String(Number(value.toPrecision(3))))
      expect(sentence).toContain(String(Number(baseline.toPrecision(3))))
      expect(since).toBeGreaterThan(onset)
    }
  })
})

test('a reward that falls alone is a warning, without remedies for the perception term', () => {
  const falling = (step: number) => ({ reward: step < 80 ? 0.5 : 0.2 })
  const report = last(watch(series(120, 2, falling)))
  expect([report.status, names(report)]).toEqual(['warning', ['reward']])
  expect(report).not.toHaveProperty('remedies')
})

test('rows that are not finite are a warning at once and at that step alone', () => {
  const observations = series(60, 2, healthy)
  observations[3]!.metrics.nonFiniteRows = 2
  observations[4]!.metrics.nonFiniteRows = 0
  const reports = watch(observations)
  expect(reports[3]).toMatchObject({
    status: 'warning',
    signs: [{ name: 'nonFiniteRows', value: 2, since: 3 }],
  })
  expect(reports[4]!.status).toBe('healthy')
  expect(last(reports).firstSteps).toEqual({ nonFiniteRows: 3, warning: 3 })
})

describe('metrics that are not there', () => {
  const absent = [NaN, Infinity, -Infinity, undefined] as number[]

  test('are skipped: those in between count as if there were no others', () => {
    const observations = series(200, 5, collapse)
    const spaced = observations.flatMap(({ step, metrics, reward }) => [
      { step: 2 * step, metrics, ...(reward === undefined ? {} : { reward }) },
      {
        step: 2 * step + 1,
        metrics: Object.fromEntries(
          Object.keys(metrics).map((name, i) => [name, absent[(step + i) % 4]!]),
        ),
        reward: NaN,
      },
    ])
    const { firstSteps } = last(watch(observations))
    const doubled = Object.entries(firstSteps).map(([name, step]) => [name, 2 * step])
    expect(last(watch(spaced)).firstSteps).toEqual(Object.fromEntries(doubled))
  })

  test.each(['entropy', 'maskedEntropy'] as const)('such as %s leave the others', (name) => {
    const observations = series(200, 5, collapse)
    for (const { metrics } of observations) metrics[name] = NaN
    expect(last(watch(observations)).status).toBe('collapse')
  })

  test('such as all of a policy without masked images say nothing', () => {
    const observations = series(200, 5, collapse).map(({ step }) => ({ step, metrics: {} }))
    expect(last(watch(observations))).toEqual({
      status: 'healthy',
      signs: [],
      step: 199,
      firstSteps: {},
    })
  })

  test('have their next of kin: the capped KL and the exact entropies', () => {
    const observations = series(200, 5, collapse).map(({ step, metrics }) => ({
      step,
      metrics: {
        perceptionKl: metrics.perceptionKlMean!,
        meanEntropy: metrics.entropy!,
        meanMaskedEntropy: metrics.maskedEntropy!,
        clipFractionHigh: metrics.clipFractionHigh!,
      },
    }))
    expect(last(watch(observations)).status).toBe('collapse')
  })
})

test('steps may have gaps: observations count, not steps', () => {
  const observations = series(200, 5, collapse)
  const gaps = observations.map((observation) => ({ ...observation, step: observation.step ** 2 }))
  const squared = Object.entries(last(watch(observations)).firstSteps).map(([name, step]) => [
    name,
    step ** 2,
  ])
  expect(last(watch(gaps)).firstSteps).toEqual(Object.fromEntries(squared))
})

test('takes the metrics of a loss call as they are', () => {
  const { metrics } = lossFromLogits(lossInputs(), 'papoG')
  const report = new CollapseMonitor().observe({ step: 0, metrics, reward: 0.5 })
  expect(report).toEqual({ status: 'healthy', signs: [], step: 0, firstSteps: {} })
})

describe('options', () => {
  test('thresholds move what is a sign', () => {
    const deaf: CollapseMonitorOptions = { thresholds: { perceptionKl: { relative: 100 } } }
    const keen: CollapseMonitorOptions = {
      noise: 0,
      thresholds: {
        perceptionKl: { relative: 0.2 },
        entropy: { relative: 0.2, absolute: 0 },
        maskedEntropy: { relative: 0.2, absolute: 0 },
      },
    }
    const observations = series(200, 5, collapse)
    const first = (options?: CollapseMonitorOptions) =>
      last(watch(observations, new CollapseMonitor(options))).firstSteps.risingTogether
    expect(first(deaf)).toBe(undefined)
    expect(first(keen)).toBeLessThan(first()!)
  })

  test('defaults are those that are exported, frozen', () => {
    const { thresholds } = new CollapseMonitor().toJSON().options
    expect(thresholds).toEqual(collapseThresholds)
    expect(() => Object.assign(collapseThresholds.reward, { relative: 1 })).toThrow(TypeError)
  })

  test.each([
    ['window', { window: 2 }],
    ['smoothing', { smoothing: 0 }],
    ['smoothing', { smoothing: 1.1 }],
    ['patience', { patience: 0 }],
    ['noise', { noise: -1 }],
    ['relative', { thresholds: { reward: { relative: -1 } } }],
    ['absolute', { thresholds: { reward: { absolute: NaN } } }],
    ['factor', { thresholds: { reward: { factor: 1 } } }],
    ['loss', { thresholds: { loss: {} } }],
    ['ema', { ema: 0.1 }],
  ])('refuses an unfit %s: %p', (argument, options) => {
    const call = () => new CollapseMonitor(options as CollapseMonitorOptions)
    expect(refusal(call)).toEqual({ code: 'ERR_INVALID_OPTION', argument })
  })
})

describe('observe refuses', () => {
  test.each([
    ['step', 'ERR_INVALID_OPTION', { step: -1 }],
    ['step', 'ERR_INVALID_OPTION', { step: undefined }],
    ['step', 'ERR_INVALID_VALUE', { step: 7 }],
    ['metrics', 'ERR_INVALID_ARGUMENT', { metrics: undefined }],
    ['perceptionKL', 'ERR_INVALID_ARGUMENT', { metrics: { perceptionKL: 1 } }],
    ['entropy', 'ERR_INVALID_VALUE', { metrics: { entropy: '1' } }],
    ['reward', 'ERR_INVALID_VALUE', { reward: null }],
    ['rewards', 'ERR_INVALID_ARGUMENT', { rewards: 1 }],
  ])('an unfit %s with %s, and takes nothing over', (argument, code, changed) => {
    const monitor = new CollapseMonitor()
    monitor.observe({ step: 7, metrics: { entropy: 1 } })
    const before = JSON.stringify(monitor)
    const observation = { step: 8, metrics: { entropy: 2 }, ...changed } as CollapseObservation
    expect(refusal(() => monitor.observe(observation))).toEqual({ code, argument })
    expect(JSON.stringify(monitor)).toBe(before)
  })
})

describe('from JSON', () => {
  const observations = series(180, 11, collapse)

  test.each([0, 1, 2, 19, 20, 21, 110, 130, 179])('goes on after step %i, bit for bit', (at) => {
    const whole = new CollapseMonitor()
    watch(observations.slice(0, at), whole)
    const resumed = CollapseMonitor.fromJSON(JSON.parse(JSON.stringify(whole)))
    for (const observation of observations.slice(at))
      expect(resumed.observe(observation)).toEqual(whole.observe(observation))
    expect(JSON.stringify(resumed)).toBe(JSON.stringify(whole))
  })

  test('keeps a zero whose sign JSON drops', () => {
    const whole = new CollapseMonitor()
    for (let step = 0; step < 30; step++) whole.observe({ step, metrics: { entropy: -0 } })
    expect(whole.toJSON()).toEqual(JSON.parse(JSON.stringify(whole)))
  })

  const state = () => {
    const monitor = new CollapseMonitor()
    watch(observations.slice(0, 140), monitor)
    return JSON.parse(JSON.stringify(monitor))
  }

  test.each([
    { window: 21 },
    { smoothing: 0.3 },
    { patience: 4 },
    { noise: 2 },
    { thresholds: { reward: { absolute: 1 } } },
  ])('refuses other options: %p', (options) => {
    const { code } = refusal(() => CollapseMonitor.fromJSON(state(), options))
    expect(code).toBe('ERR_INVALID_VALUE')
  })

  test.each([
    ['another key', (s: State) => Object.assign(s, { other: 1 })],
    ['no step', (s: State) => delete s['step']],
    ['half a step', (s: State) => Object.assign(s, { step: 0.5 })],
    ['an unknown sign', (s: State) => Object.assign(s, { firstSteps: { loss: 3 } })],
    ['a first step of null', (s: State) => Object.assign(s, { firstSteps: { reward: null } })],
    ['no series of entropies', (s: State) => delete s.series['entropy']],
    ['another series', (s: State) => Object.assign(s.series, { loss: {} })],
    ['a recent null', (s: State) => Object.assign(s.series['reward']!, { recent: [null] })],
    [
      'too many values',
      (s: State) => Object.assign(s.series['reward']!, { recent: Array(101).fill(1) }),
    ],
    ['a baseline of text', (s: State) => Object.assign(s.series['reward']!, { baseline: '1' })],
    ['no average', (s: State) => Object.assign(s.series['reward']!, { smoothed: null })],
    ['a negative streak', (s: State) => Object.assign(s.series['reward']!, { streak: -1 })],
  ])('refuses %s', (_, damage) => {
    const damaged = state()
    damage(damaged)
    expect(refusal(() => CollapseMonitor.fromJSON(damaged)).code).toBe('ERR_INVALID_VALUE')
  })

  test.each([[null], ['{}'], [3], [[]]])('refuses %p', (value) => {
    expect(refusal(() => CollapseMonitor.fromJSON(value)).code).toBe('ERR_INVALID_ARGUMENT')
  })
})

type State = Record<string, unknown> & { series: Record<string, Record<string, unknown>> }
