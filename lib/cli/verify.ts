import { parseArgs } from 'node:util'

import { Engine, defaultEngine, instructionSets } from '../index'
import type { Device, EngineOptions } from '../index'
import type { GoldenCase } from '../golden/case'
import type { FieldResult } from '../golden/compare'
import { ownCases, readCases } from '../golden/read'
import { verifyCase } from '../golden/verify'
import type { CaseReport } from '../golden/verify'
import { UsageError, parsed } from './arguments'

const help = `Usage: papo-kernels verify [FOLDER] [options]

Runs reference cases (schema: test/golden/FORMAT.md) and compares every value and gradient with
what upstream code gives. FOLDER defaults to the cases that come with the package.

Options:
  --engine NAME  an instruction set, 'reference' for the float64 oracle, or 'all'
  --device NAME  a CUDA device, as cuda:0
  --json         print {engine, cases: [{name, pass, worst}]}; an array of these with --engine all
  --verbose      list every field, and the upstream metrics that have no counterpart
  --help         show this text

Exit status: 0 all pass, 1 a tolerance is exceeded, 2 wrong use or unusable cases.
`

const optionTypes = {
  engine: { type: 'string' },
  device: { type: 'string' },
  json: { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

interface EngineReport {
  readonly engine: string
  readonly cases: readonly CaseReport[]
}

/** `papo-kernels verify`; returns the exit status. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parsed(
    () => parseArgs({ args: argv, options: optionTypes, allowPositionals: true }),
    1,
  )
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const choices = engineChoices(values.engine, values.device)
  const cases = readCases(positionals[0] ?? ownCases)
  const reports = choices.map((choice) => verifyOn(choice, cases))
  const text = values.json
    ? asJson(reports, values.engine === 'all')
    : reports.map((report) => asTable(report, values.verbose)).join('\n')
  process.stdout.write(text)
  return reports.every((report) => report.cases.every(({ pass }) => pass)) ? 0 : 1
}

/** undefined stands for the default engine. */
function engineChoices(
  option: string | undefined,
  device: string | undefined,
): (EngineOptions | undefined)[] {
  if (device !== undefined) return [{ device: cudaDevice(option, device) }]
  if (option === undefined) return [undefined]
  const available = instructionSets()
  if (option === 'all') return available.map((instructionSet) => ({ instructionSet }))
  if (available.includes(option)) return [{ instructionSet: option }]
  throw new UsageError(`no engine '${option}'; here are: ${available.join(', ')}, all`)
}

function cudaDevice(option: string | undefined, device: string): Device {
  if (option !== undefined) throw new UsageError('--engine is of the CPU, --device of CUDA')
  const index = /^cuda:(\d{1,3})$/.exec(device)?.[1]
  if (index === undefined) throw new UsageError(`--device expects cuda:N, not '${device}'`)
  return `cuda:${Number(index)}`
}

function verifyOn(choice: EngineOptions | undefined, cases: readonly GoldenCase[]): EngineReport {
  const engine = choice === undefined ? defaultEngine() : Engine.open(choice)
  try {
    return {
      engine: engine.instructionSet,
      cases: cases.map((golden) => verifyCase(golden, engine)),
    }
  } finally {
    if (choice !== undefined) engine.dispose()
  }
}

/** JSON has no NaN; like in the case files it is a string. */
function asJson(reports: readonly EngineReport[], many: boolean): string {
  const number = (value: number) => (Number.isFinite(value) ? value : String(value))
  const plain = reports.map(({ engine, cases }) => ({
    engine,
    cases: cases.map(({ name, pass, worst: { field, error, tolerance } }) => ({
      name,
      pass,
      worst: { field, error: number(error), tolerance: number(tolerance) },
    })),
  }))
  return `${JSON.stringify(many ? plain : plain[0], null, 2)}\n`
}

function asTable({ engine, cases }: EngineReport, verbose: boolean): string {
  const rows = [
    ['case', '', 'worst field', 'error', 'tolerance'],
    ...cases.flatMap((report) => caseRows(report, verbose)),
  ]
  const failed = cases.filter(({ pass }) => !pass).length
  const result = failed === 0 ? 'all pass' : `${failed} FAIL`
  return `${aligned(rows)}${engine}: ${cases.length} ${cases.length === 1 ? 'case' : 'cases'}, ${result}\n`
}

function caseRows(report: CaseReport, verbose: boolean): string[][] {
  const line = (label: string, { field, error, tolerance }: FieldResult, pass: boolean) => [
    label,
    pass ? 'pass' : 'FAIL',
    field,
    error.toExponential(2),
    tolerance.toExponential(2),
  ]
  const summary = line(report.name, report.worst, report.pass)
  if (!verbose) return [summary]
  const details = report.fields.map((field) => line('', field, field.pass))
  const missing = report.withoutCounterpart.map((name) => [
    '',
    '',
    `metrics.${name}`,
    'no counterpart',
  ])
  return [summary, ...details, ...missing]
}

function aligned(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const widths = [0, 1, 2, 3, 4].map(width)
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}
