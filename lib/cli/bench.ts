import { closeSync, openSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { toleranceText } from '../bench/agreement'
import { measureBandwidth } from '../bench/bandwidth'
import { benchCases, filtered } from '../bench/cases'
import type { BenchCase } from '../bench/cases'
import { measureDeviceBandwidth } from '../bench/device-bandwidth'
import { NumpyPeer } from '../bench/numpy-peer'
import { TorchPeer } from '../bench/peer'
import { columnTitles, header, headerText, noiseText, rowText } from '../bench/report'
import { isMismatch, runCase } from '../bench/runner'
import type { BenchRow, RunOptions } from '../bench/runner'
import { Engine, instructionSets, PapoError } from '../index'
import type { Device } from '../index'
import { UsageError, parsed } from './arguments'

const help = `Usage: papo-kernels bench [options]

Measures log-probs, losses, gradients and masking on inputs that are not in the caches, next to the
copy bandwidth of the same run. GB/s are decimal: bytes that have to move over the median time.

Options:
  --filter WORDS  only cases whose name holds all of these words
  --quick         fewer cases and runs
  --tokens N      rows of logits (default 64)
  --vocab LIST    vocabulary sizes, with commas
  --device NAME   cpu (default) or cuda:N, timed by events; peers on a GPU: bench/gpu
  --threads N     threads of the engine, of the copy and of peers (default: as many as there are)
  --engine NAME   an instruction set (default: the fastest here)
  --peers         also PyTorch eager, and for masking a loop over NumPy, run by run in turn with
                  ours, if a python3 has them (PAPO_PYTHON names another python); results are
                  compared first
  --json FILE     write header and rows as JSON
  --list          name the cases and measure nothing
  --help          show this text

Gradients: reused = into tensors of the caller, new = into new ones, inPlace = over the logits.
Exit status: 0, 1 if a peer computes something else, 2 wrong use.
`

const optionTypes = {
  filter: { type: 'string', default: '' },
  quick: { type: 'boolean', default: false },
  tokens: { type: 'string', default: '64' },
  vocab: { type: 'string' },
  threads: { type: 'string', default: '0' },
  device: { type: 'string' },
  engine: { type: 'string' },
  peers: { type: 'boolean', default: false },
  json: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof optionTypes }>>['values']

/** `papo-kernels bench`; returns the exit status. */
export async function run(argv: string[]): Promise<number> {
  const parse = () => parseArgs({ args: argv, options: optionTypes, allowPositionals: true })
  const { values } = parsed(parse, 0)
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const cases = chosenCases(values)
  if (values.list) {
    process.stdout.write(cases.map(({ name }) => `${name}\n`).join(''))
    return 0
  }
  const engine = openEngine(values)
  try {
    if (values.json !== undefined) requireWritable(values.json)
    return await measureAll(cases, engine, values)
  } finally {
    engine.dispose()
  }
}

async function measureAll(
  cases: readonly BenchCase[],
  engine: Engine,
  { quick, peers, json }: Values,
): Promise<number> {
  const torch = peers ? await TorchPeer.start(engine.threads) : undefined
  const numpy = peers ? await NumpyPeer.start() : undefined
  try {
    const megabytes = quick ? 256 : 512
    const bandwidth =
      engine.device === 'cpu'
        ? await measureBandwidth(engine.threads, megabytes)
        : await measureDeviceBandwidth(engine, megabytes)
    const head = header(engine, bandwidth, {
      ...(torch instanceof TorchPeer ? { torch: torch.version } : {}),
      ...(numpy instanceof NumpyPeer ? { numpy: numpy.version } : {}),
    })
    process.stdout.write(headerText(head) + peerText(torch, numpy) + columnTitles(peers === true))
    const budget = quick
      ? { seconds: 0.3, minRuns: 5, maxRuns: 2000 }
      : { seconds: 1, minRuns: 9, maxRuns: 10_000 }
    const options: RunOptions = {
      engine,
      budget,
      copyBandwidth: bandwidth.copy,
      ...(torch === undefined ? {} : { torch }),
      ...(numpy === undefined ? {} : { numpy }),
    }
    const rows: BenchRow[] = []
    try {
      for (const benchCase of cases) {
        rows.push(await runCase(benchCase, options))
        process.stdout.write(rowText(rows.at(-1)!))
      }
    } finally {
      // Also where a peer died half-way: what was measured is kept.
      if (json !== undefined)
        writeFileSync(json, `${JSON.stringify({ header: head, rows }, null, 2)}\n`)
    }
    process.stdout.write(noiseText)
    return rows.some(isMismatch) ? 1 : 0
  } finally {
    if (torch instanceof TorchPeer) torch.close()
    if (numpy instanceof NumpyPeer) numpy.close()
  }
}

function peerText(torch?: TorchPeer | string, numpy?: NumpyPeer | string): string {
  if (torch === undefined || numpy === undefined) return ''
  const masking =
    typeof numpy === 'string'
      ? `NumPy is not measured: ${numpy}`
      : `NumPy ${numpy.version}, patch by patch, beside masking; agreement: exact`
  const losses =
    typeof torch === 'string'
      ? `PyTorch is not measured: ${torch}`
      : `PyTorch ${torch.version} eager, measured in turn; agreement: ${toleranceText}`
  return `${losses}\n${masking}\n\n`
}

function chosenCases({ quick, tokens, vocab, filter }: Values): BenchCase[] {
  const vocabSizes = vocab?.split(',').map((size) => wholeNumber('--vocab', size, 2, 10_000_000))
  const cases = filtered(
    benchCases({
      quick: quick === true,
      tokens: wholeNumber('--tokens', tokens ?? '', 1, 1_000_000),
      ...(vocabSizes === undefined ? {} : { vocabSizes }),
    }),
    filter ?? '',
  )
  if (cases.length > 0) return cases
  throw new UsageError(`no case matches '${filter}'; papo-kernels bench --list names them`)
}

function openEngine({ device, engine: name, threads: text, peers }: Values): Engine {
  if (device !== undefined && device !== 'cpu') {
    if (peers || name !== undefined || text !== '0')
      throw new UsageError(`--device ${device} takes none of --peers, --engine and --threads`)
    return openDevice(device)
  }
  const threads = wholeNumber('--threads', text ?? '', 0, 1024)
  if (name === undefined) return Engine.open({ threads })
  if (instructionSets().includes(name)) return Engine.open({ instructionSet: name, threads })
  throw new UsageError(`no engine '${name}'; here are: ${instructionSets().join(', ')}`)
}

function openDevice(device: string): Engine {
  try {
    return Engine.open({ device: device as Device })
  } catch (error) {
    throw error instanceof PapoError ? new UsageError(error.message) : error
  }
}

/** Before measuring: minutes later is too late to hear of a misspelt folder. */
function requireWritable(file: string): void {
  try {
    closeSync(openSync(file, 'a'))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new UsageError(`--json: cannot write '${file}' (${code})`)
  }
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new UsageError(`${option} expects a whole number from ${min} to ${max}, not '${text}'`)
}
