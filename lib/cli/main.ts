#!/usr/bin/env node
import { GoldenError } from '../golden/fields'
import { PapoError } from '../errors'
import { manifest } from '../package'
import { UsageError } from './arguments'

const help = `Usage: papo-kernels COMMAND [options]

Commands:
  verify  compare this build with reference values of the authors' code and of TRL
  bench   measure speed
  demo    train a small vision-language model with the loss
  doctor  say what this machine and this binary can do, and what is missing

Options:
  --help     show this text; after a command, the options of the command
  --version  print the version
`

type Command = (argv: string[]) => Promise<number>

/** Loaded on use, so that one command does not pay for another. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  verify: async () => (await import('./verify.js')).run,
  bench: async () => (await import('./bench.js')).run,
  demo: async () => (await import('../demo/main.js')).run,
  doctor: async () => (await import('./doctor.js')).run,
}

async function main([command, ...rest]: string[]): Promise<number> {
  if (command === '--help' || command === undefined) {
    const stream = command === undefined ? process.stderr : process.stdout
    stream.write(help)
    return command === undefined ? 2 : 0
  }
  if (command === '--version') {
    process.stdout.write(`${manifest().version}\n`)
    return 0
  }
  const load = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (load === undefined) {
    const what = command.startsWith('-') ? 'option' : 'command'
    throw new UsageError(`unknown ${what} '${command}'; see papo-kernels --help`)
  }
  return (await load())(rest)
}

/** Errors that a person can act on are one line; anything else is a defect and keeps its stack. */
function report(error: unknown): number {
  const expected =
    error instanceof UsageError || error instanceof GoldenError || error instanceof PapoError
  if (!expected) throw error
  process.stderr.write(`papo-kernels: ${error.message.replaceAll('\n', ' ')}\n`)
  return 2
}

// A closed pipe (papo-kernels verify | head) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

main(process.argv.slice(2))
  .catch(report)
  .then((status) => {
    process.exitCode = status
  })
