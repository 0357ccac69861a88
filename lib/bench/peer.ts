// PyTorch in a process of its own that stays alive between runs: bench/peers/torch_eager.py.
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

import { resolveObjective } from '../index'
import type { TypedArray } from '../index'
import { UsageError } from '../cli/arguments'
import type { BenchCase } from './cases'
import { pythonCandidates } from './python'
import type { CaseSubject } from './subjects'

const script = path.resolve(__dirname, '../../bench/peers/torch_eager.py')

type Reply = Readonly<Record<string, unknown>>

export class TorchPeer {
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'papo-bench-'))

  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly replies: AsyncIterator<string>,
    /** Of torch. */
    readonly version: string,
  ) {}

  /** The first python3 that has torch, or why there is none. */
  static async start(threads: number): Promise<TorchPeer | string> {
    if (!existsSync(script))
      return 'bench/peers is not in this package; clone the repository for it'
    const candidates = pythonCandidates()
    for (const python of candidates) {
      const child = spawn(python, ['-u', script, String(threads)])
      child.on('error', () => {}) // not there: its output ends, and the next one is tried
      child.stdin.on('error', () => {})
      const replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const first = await replies.next()
      if (!first.done) return new TorchPeer(child, replies, String(JSON.parse(first.value).torch))
    }
    return `no torch in ${candidates.join(' or ')}`
  }

  async load(benchCase: BenchCase, subject: CaseSubject): Promise<void> {
    for (const [name, data] of inputsOf(subject)) {
      writeFileSync(
        path.join(this.folder, name),
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      )
    }
    const { kind, rows, vocabSize, dtype, branches } = benchCase
    const isLoss = kind === 'loss'
    await this.ask({
      command: 'load',
      folder: this.folder,
      kind,
      rows,
      vocabSize,
      dtype,
      branches,
      gradient: isLoss && benchCase.gradient !== 'none',
      options: resolveObjective(isLoss ? benchCase.profile : 'grpo'),
    })
  }

  /** Milliseconds of one call. */
  async run(): Promise<number> {
    return Number((await this.ask({ command: 'run' })).milliseconds)
  }

  /** The loss; afterwards output() reads the rest. */
  async result(): Promise<number | undefined> {
    const { loss } = await this.ask({ command: 'result' })
    return loss === undefined ? undefined : Number(loss)
  }

  /** float32 values that result() left. */
  output(name: 'logProbs' | 'logitsGrad' | 'maskedLogitsGrad'): Float32Array {
    const bytes = readFileSync(path.join(this.folder, `out.${name}`))
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  }

  close(): void {
    this.child.stdin.end('{"command": "quit"}\n')
    rmSync(this.folder, { recursive: true, force: true })
  }

  private async ask(command: object): Promise<Reply> {
    this.child.stdin.write(`${JSON.stringify(command)}\n`)
    const reply = await this.replies.next()
    if (!reply.done) return JSON.parse(reply.value) as Reply
    const message = String(this.child.stderr.read() ?? 'no message')
      .trim()
      .split('\n')
      .at(-1)
    throw new UsageError(`the PyTorch process ended: ${message}`)
  }
}

/** float32 or logits' dtype, raw; advantages per token. */
function inputsOf({ logits, maskedLogits, tokenValues }: CaseSubject): [string, TypedArray][] {
  if (logits === undefined || tokenValues === undefined) return []
  const { tokens, responseMask, oldLogProbs, refLogProbs, advantages, cuSeqlens } = tokenValues
  const perToken = new Float32Array(tokens.length)
  advantages.forEach((advantage, b) => {
    perToken.fill(advantage, cuSeqlens[b], cuSeqlens[b + 1])
  })
  return [
    ['logits', logits.data],
    ...(maskedLogits === undefined
      ? []
      : [['maskedLogits', maskedLogits.data] as [string, TypedArray]]),
    ['tokens', tokens],
    ['responseMask', responseMask],
    ['advantages', perToken],
    ['oldLogProbs', Float32Array.from(oldLogProbs)],
    ['refLogProbs', Float32Array.from(refLogProbs)],
  ]
}
