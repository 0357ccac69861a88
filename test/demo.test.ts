import { Engine, instructionSets } from '../lib'
import { UsageError } from '../lib/cli/arguments'
import { summarize, table } from '../lib/demo/display'
import { run } from '../lib/demo/main'
import { Policy } from '../lib/demo/policy'
import type { Rows } from '../lib/demo/policy'
import { randomFrom } from '../lib/demo/random'
import { makePrompt, maxLength, patchFeatures, score, vocabSize } from '../lib/demo/task'
import { train } from '../lib/demo/train'
import type { TrainReport } from '../lib/demo/train'

const engine = Engine.open()
afterAll(() => engine.dispose())

function trained(steps: number, seed: number, on: Engine = engine): TrainReport {
  return train({ steps, seed, profile: 'papoG', engine: on }, () => {})
}

/** What has to be the same for the same seed. */
function numbers(report: TrainReport) {
  const { seconds, lossSeconds, ...rest } = summarize(report, { engine: 'any', seed: 0 })
  expect(lossSeconds).toBeLessThan(seconds)
  return rest
}

describe('the task', () => {
  const prompt = makePrompt(randomFrom(5))
  const answered = (...tokens: number[]) => score(Int32Array.of(...tokens), prompt)

  test('the right cells in any order and <end> earn everything', () => {
    for (const order of [prompt.answer, [...prompt.answer].reverse()])
      expect(answered(...order, 0)).toEqual({ reward: 1, correct: true })
  })

  test('a missing <end>, a repeated cell and a wrong cell cost', () => {
    const [cell] = prompt.answer as [number]
    const wrong = prompt.answer.includes(16) ? 15 : 16
    expect(answered(...prompt.answer)).toEqual({ reward: 0.9, correct: false })
    for (const tokens of [
      [...prompt.answer, cell, 0],
      [...prompt.answer, wrong, 0],
    ]) {
      const { reward, correct } = answered(...tokens)
      expect(correct).toBe(false)
      expect(reward).toBeLessThan(0.9)
    }
    expect(answered(wrong, 0).reward).toBeCloseTo(0.1, 12)
  })

  test('a black patch is the darkest feature', () => {
    const features = patchFeatures(new Uint8Array(16 * 16 * 3))
    expect(Array.from(features)).toEqual(new Array(48).fill(-1))
  })
})

// loss = sum of weights * logits, so that dloss/dlogits are the weights.
describe('the hand-written gradient of the policy', () => {
  const random = randomFrom(11)
  const policy = new Policy(random)
  const prompts = [makePrompt(random), makePrompt(random)]
  const rows: Rows = {
    features: prompts.map(({ image }) => patchFeatures(image)),
    questions: prompts.map(({ question }) => question),
    tokens: Int32Array.from({ length: 4 * maxLength }, () => Math.floor(random() * vocabSize)),
    mask: Uint8Array.from({ length: 4 * maxLength }, (_, n) => (n % maxLength < 3 ? 1 : 0)),
    groupSize: 2,
  }
  const weights = Float32Array.from({ length: 4 * maxLength * vocabSize }, () => random() - 0.5)
  const loss = () => policy.forward(rows).logits.reduce((sum, z, i) => sum + z * weights[i]!, 0)

  test('is the slope of the forward pass', () => {
    policy.backward(policy.forward(rows), weights)
    const { parameters, gradient } = policy
    const step = 1e-2
    let largest = 0
    let worst = 0
    for (let i = 0; i < parameters.length; i += 13) {
      const value = parameters[i]!
      parameters[i] = value + step
      const above = loss()
      parameters[i] = value - step
      const slope = (above - loss()) / (2 * step)
      parameters[i] = value
      largest = Math.max(largest, Math.abs(slope))
      worst = Math.max(worst, Math.abs(slope - gradient[i]!))
    }
    expect(largest).toBeGreaterThan(1)
    // float32 logits summed over 3072 terms, and the third derivative of tanh times step squared.
    expect(worst / largest).toBeLessThan(2e-3)
  })

  test('tokens that do not count add nothing', () => {
    const before = policy.gradient.slice()
    const zeros = { ...rows, mask: new Uint8Array(rows.mask.length) }
    policy.backward(policy.forward(zeros), weights)
    expect(policy.gradient).toEqual(before)
  })
})

describe('training', () => {
  test('the same seed gives the same numbers, another seed others', () => {
    const first = numbers(trained(6, 3))
    expect(numbers(trained(6, 3))).toEqual(first)
    expect(numbers(trained(6, 4)).rewards).not.toEqual(first.rewards)
  })

  test.each(instructionSets())('on %s every number is finite', (instructionSet) => {
    using on = Engine.open({ instructionSet, threads: 1 })
    const report = trained(3, 1, on)
    for (const { metrics, reward } of report.steps) {
      const { gradNorm, ...rest } = metrics
      expect(gradNorm).toBeNaN() // not asked for
      for (const value of [reward, ...Object.values(rest)]) expect(value).not.toBeNaN()
      expect(metrics.nonFiniteRows).toBe(0)
    }
    expect(report.policy.parameters.every(Number.isFinite)).toBe(true)
  })

  test('the policy learns, and from the image', () => {
    const report = trained(120, 1)
    const { before, after, blindGuess } = report
    expect(before.image).toBeLessThan(0.05)
    expect(after.image).toBeGreaterThan(0.3)
    expect(after.image).toBeGreaterThan(blindGuess + 0.2)
    expect(after.image).toBeGreaterThan(after.maskedImage + 0.2)
    const summary = summarize(report, { engine: 'any', seed: 1 })
    expect(summary.last.perceptionKlMean).toBeGreaterThan(summary.first.perceptionKlMean!)
    expect(table(summary)).toContain('It has learned, and from the image')
  }, 120_000)

  test('the table admits that nothing was learned', () => {
    expect(table(summarize(trained(2, 1), { engine: 'any', seed: 1 }))).toContain('not learned')
  })
})

describe('papo-kernels demo', () => {
  let written = ''
  beforeEach(() => {
    written = ''
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written += text
      return true
    })
    jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  })
  afterEach(() => jest.restoreAllMocks())

  test('--json prints nothing but JSON', async () => {
    expect(await run(['--steps', '2', '--seed', '9', '--profile', 'grpo', '--json'])).toBe(0)
    const summary = JSON.parse(written)
    expect(summary).toMatchObject({ profile: 'grpo', steps: 2, seed: 9 })
    expect(summary.rewards).toHaveLength(2)
  })

  test('without a terminal progress is plain lines', async () => {
    expect(await run(['--steps', '2'])).toBe(0)
    expect(written).toMatch(/^step 1\/2 {2}reward/)
    expect(written).toContain('held-out accuracy')
    expect(written).not.toContain('\x1b')
  })

  test.each([
    [['--step', '3'], '--step'],
    [['--steps', '0'], '--steps'],
    [['--steps', '1e3'], '1e3'],
    [['--seed', '-1'], '--seed'],
    [['--profile', 'toString'], "no profile 'toString'"],
    [['--engine', 'abacus'], "no engine 'abacus'"],
    [['now'], "'now'"],
  ])('%j is wrong use', async (argv, word) => {
    const error = await run(argv).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toContain(word)
    expect((error as Error).message).not.toContain('\n')
    expect(written).toBe('')
  })
})
