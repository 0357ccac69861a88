import { parseArgs } from 'node:util'

import { UsageError, parsed } from '../cli/arguments'
import { Engine, instructionSets, profiles } from '../index'
import type { ProfileName } from '../index'
import { progress, samples, summarize, table } from './display'
import { train } from './train'

const help = `Usage: papo-kernels demo [options]

Trains a small policy from random weights to find coloured cells in images, through the public
API alone: group advantages, patch masks, and the PAPO loss on the logits of both views.

Options:
  --steps N       training steps, each of 16 prompts with 8 responses (default 300)
  --seed N        images, weights, samples and masks (default 1)
  --profile NAME  ${listed(Object.keys(profiles), 62, ' '.repeat(18))} (default papoG)
  --engine NAME   an instruction set (default: the fastest here)
  --json          print the numbers as JSON; progress goes to stderr
  --help          show this text

The profile's reference KL and masked entropy terms are off and its entropy term is a small bonus,
because the policy starts from random weights: nothing to stay near, everything to explore.
`

const optionTypes = {
  steps: { type: 'string', default: '300' },
  seed: { type: 'string', default: '1' },
  profile: { type: 'string', default: 'papoG' },
  engine: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** `papo-kernels demo`; returns the exit status. */
export async function run(argv: string[]): Promise<number> {
  const parse = () => parseArgs({ args: argv, options: optionTypes, allowPositionals: true })
  const { values } = parsed(parse, 0)
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const steps = wholeNumber('--steps', values.steps, 1, 1_000_000)
  const seed = wholeNumber('--seed', values.seed, 0, 2 ** 31 - 1)
  const profile = profileName(values.profile)
  const engine = Engine.open(instructionSet(values.engine))
  try {
    const shown = progress(values.json ? process.stderr : process.stdout, steps)
    const report = train({ steps, seed, profile, engine }, (step) => shown.step(step))
    shown.close()
    const summary = summarize(report, { engine: engine.instructionSet, seed })
    process.stdout.write(
      values.json ? `${JSON.stringify(summary, null, 2)}\n` : samples(report, 4) + table(summary),
    )
    return 0
  } finally {
    engine.dispose()
  }
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max) return value
  throw new UsageError(`${option} expects a whole number from ${min} to ${max}, not '${text}'`)
}

function profileName(name: string): ProfileName {
  if (Object.hasOwn(profiles, name)) return name as ProfileName
  throw new UsageError(`no profile '${name}'; there are: ${Object.keys(profiles).join(', ')}`)
}

function instructionSet(name: string | undefined): { instructionSet?: string } {
  if (name === undefined) return {}
  if (instructionSets().includes(name)) return { instructionSet: name }
  throw new UsageError(`no engine '${name}'; here are: ${instructionSets().join(', ')}`)
}

/** Names with commas, broken at the width, continued after the indent. */
function listed(names: readonly string[], width: number, indent: string): string {
  const lines = ['']
  for (const name of names) {
    const next = lines.at(-1) === '' ? name : `${lines.at(-1)}, ${name}`
    if (next.length <= width) lines[lines.length - 1] = next
    else lines.push(name)
  }
  return lines.join(`,\n${indent}`)
}
