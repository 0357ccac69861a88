// What the demo prints: progress while it trains, then one table.
import type { Metrics } from '../index'
import { respond } from './rollout'
import { colors, maxLength, spell } from './task'
import type { StepReport, TrainReport } from './train'

export interface Progress {
  step(report: StepReport): void
  close(): void
}

/** A bar that redraws itself on a terminal; ten plain lines elsewhere. */
export function progress(stream: NodeJS.WriteStream, steps: number): Progress {
  const every = Math.max(1, Math.ceil(steps / 10))
  return {
    step({ step, reward, metrics }) {
      const done = step + 1
      const state = `step ${String(done).padStart(String(steps).length)}/${steps}`
      const kl = fixed(metrics.perceptionKlMean)
      const numbers = `reward ${reward.toFixed(3)}  perception KL ${kl}`
      if (stream.isTTY) stream.write(`\r${state} ${bar(done / steps)} ${numbers}\x1b[K`)
      else if (done % every === 0 || done === steps) stream.write(`${state}  ${numbers}\n`)
    },
    close() {
      if (stream.isTTY && steps > 0) stream.write('\n')
    },
  }
}

function bar(share: number): string {
  const width = 24
  const filled = Math.round(share * width)
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]`
}

/** Means over the first or last steps: one step's numbers are noisy. */
const window = 10

export interface Summary {
  readonly profile: string
  readonly engine: string
  readonly steps: number
  readonly seed: number
  readonly accuracy: {
    readonly before: TrainReport['before']
    readonly after: TrainReport['after']
  }
  readonly blindGuess: number
  readonly rewards: readonly number[]
  readonly first: Readonly<Record<string, number | null>>
  readonly last: Readonly<Record<string, number | null>>
  readonly seconds: number
  readonly lossSeconds: number
}

/** Everything but seconds and lossSeconds is a function of seed, steps, profile and engine. */
export function summarize(report: TrainReport, run: { engine: string; seed: number }): Summary {
  const { steps, before, after, blindGuess, seconds, lossSeconds } = report
  return {
    profile: report.objective.profile,
    ...run,
    steps: steps.length,
    accuracy: { before, after },
    blindGuess,
    rewards: steps.map(({ reward }) => reward),
    first: means(steps.slice(0, window)),
    last: means(steps.slice(-window)),
    seconds,
    lossSeconds,
  }
}

const shown: readonly (readonly [keyof Metrics, string])[] = [
  ['perceptionKlMean', 'perception KL (nats)'],
  ['meanEntropy', 'entropy (nats)'],
  ['meanMaskedEntropy', 'entropy, masked image (nats)'],
  ['clipFractionHigh', 'clipped above (share of tokens)'],
  ['clipFractionLow', 'clipped below (share of tokens)'],
]

function means(steps: readonly StepReport[]): Record<string, number | null> {
  const mean = (value: (report: StepReport) => number): number | null => {
    const result = steps.reduce((sum, report) => sum + value(report), 0) / steps.length
    return Number.isFinite(result) ? result : null // not known in this profile
  }
  const metrics = shown.map(([name]) => [name, mean(({ metrics: values }) => values[name])])
  return { reward: mean(({ reward }) => reward), ...Object.fromEntries(metrics) }
}

export function table(summary: Summary): string {
  const { accuracy, first, last, blindGuess } = summary
  const names: readonly (readonly [string, string])[] = [['reward', 'reward (0 to 1)'], ...shown]
  const rows = [
    ['', 'start', 'end'],
    ...names.map(([name, label]) => [label, fixed(first[name]), fixed(last[name])]),
    ['held-out accuracy', percent(accuracy.before.image), percent(accuracy.after.image)],
    [
      '... of the masked image',
      percent(accuracy.before.maskedImage),
      percent(accuracy.after.maskedImage),
    ],
    ['... of the best blind guess', percent(blindGuess), percent(blindGuess)],
  ]
  const time = summary.seconds.toFixed(1)
  const share = percent(summary.lossSeconds / summary.seconds)
  const where = `${summary.profile} on ${summary.engine}, seed ${summary.seed}`
  return (
    `\n${rows.map(columns).join('\n')}\n\n${verdict(summary)}\n` +
    `${where}: ${summary.steps} steps in ${time} s, ${share} of it in the loss and its gradient.\n`
  )
}

function columns([label, start, end]: readonly string[]): string {
  return `  ${label!.padEnd(34)}${start!.padStart(9)}${end!.padStart(9)}`
}

/** Says what happened, whether or not it flatters the method. */
function verdict({ accuracy: { before, after }, blindGuess }: Summary): string {
  if (!(after.image > before.image + 0.1 && after.image > blindGuess)) {
    return 'It has not learned the task in this run: accuracy is not clearly above the start.'
  }
  const gain = after.image - after.maskedImage
  if (gain < 0.1)
    return 'It has learned, but hiding patches costs it little: it hardly uses the image.'
  const points = (100 * gain).toFixed(1)
  return `It has learned, and from the image: hiding 60 % of the patches costs ${points} points.`
}

/** Some held-out questions with the greedy responses. */
export function samples({ policy, heldOut }: TrainReport, count: number): string {
  const prompts = heldOut.prompts.slice(0, count)
  const { tokens, mask } = respond(policy, prompts, heldOut.features, 1)
  const lines = prompts.map(({ question, answer }, i) => {
    const response = tokens.slice(i * maxLength, (i + 1) * maxLength)
    const length = mask.subarray(i * maxLength, (i + 1) * maxLength).reduce((sum, m) => sum + m, 0)
    const said = spell(response.subarray(0, length))
    return `  find ${colors[question]!.padEnd(7)} ${said.padEnd(20)} right: ${spell(answer)}`
  })
  return `\n${lines.join('\n')}\n`
}

function fixed(value: number | null | undefined): string {
  return value === null || value === undefined || Number.isNaN(value) ? '-' : value.toFixed(3)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
