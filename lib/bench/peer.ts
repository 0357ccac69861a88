// PyTorch in a process of its own: bench/peers/torch_eager.py.
import { resolveObjective } from '../index'
import type { TypedArray } from '../index'
import type { BenchCase } from './cases'
import { PeerProcess } from './peer-process'
import type { CaseSubject } from './subjects'

export class TorchPeer {
  private constructor(private readonly python: PeerProcess) {}

  /** The first python3 that has torch, or why there is none. */
  static async start(threads: number): Promise<TorchPeer | string> {
    const python = await PeerProcess.start('torch_eager.py', 'torch', String(threads))
    return typeof python === 'string' ? python : new TorchPeer(python)
  }

  /** Of torch. */
  get version(): string {
    return String(this.python.hello.torch)
  }

  async load(benchCase: BenchCase, subject: CaseSubject): Promise<void> {
    for (const [name, data] of inputsOf(subject)) this.python.write(name, data)
    const { kind, rows, vocabSize, dtype, branches } = benchCase
    const isLoss = kind === 'loss'
    await this.python.ask({
      command: 'load',
      folder: this.python.folder,
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
    return Number((await this.python.ask({ command: 'run' })).milliseconds)
  }

  /** The loss; afterwards output() reads the rest. */
  async result(): Promise<number | undefined> {
    const { loss } = await this.python.ask({ command: 'result' })
    return loss === undefined ? undefined : Number(loss)
  }

  /** float32 values that result() left. */
  output(name: 'logProbs' | 'logitsGrad' | 'maskedLogitsGrad'): Float32Array {
    const bytes = this.python.read(`out.${name}`)
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  }

  close(): void {
    this.python.close()
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
