// A peer in a Python process of its own that stays alive between runs: one JSON object a line each way.
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

import { UsageError } from '../cli/arguments'
import type { TypedArray } from '../index'
import { pythonCandidates } from './python'

export type Reply = Readonly<Record<string, unknown>>

export class PeerProcess {
  /** Arrays travel as raw files in it. */
  readonly folder = mkdtempSync(path.join(tmpdir(), 'papo-bench-'))

  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly replies: AsyncIterator<string>,
    /** The first line it wrote. */
    readonly hello: Reply,
  ) {}

  /** By the first python3 that has the module which the script imports, or why there is none. */
  static async start(
    script: string,
    module: string,
    ...args: string[]
  ): Promise<PeerProcess | string> {
    const file = path.resolve(__dirname, '../../bench/peers', script)
    if (!existsSync(file)) return 'bench/peers is not in this package; clone the repository for it'
    const candidates = pythonCandidates()
    for (const python of candidates) {
      const child = spawn(python, ['-u', file, ...args])
      child.on('error', () => {}) // not there: its output ends, and the next one is tried
      child.stdin.on('error', () => {})
      const replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const first = await replies.next()
      if (!first.done) return new PeerProcess(child, replies, JSON.parse(first.value) as Reply)
    }
    return `no ${module} in ${candidates.join(' or ')}`
  }

  async ask(command: object): Promise<Reply> {
    this.child.stdin.write(`${JSON.stringify(command)}\n`)
    const reply = await this.replies.next()
    if (!reply.done) return JSON.parse(reply.value) as Reply
    const message = String(this.child.stderr.read() ?? 'no message')
      .trim()
      .split('\n')
      .at(-1)
    throw new UsageError(`the Python process ended: ${message}`)
  }

  write(name: string, data: TypedArray): void {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    writeFileSync(path.join(this.folder, name), bytes)
  }

  read(name: string): Buffer {
    return readFileSync(path.join(this.folder, name))
  }

  close(): void {
    this.child.stdin.end('{"command": "quit"}\n')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
