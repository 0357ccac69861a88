import { parseArgs } from 'node:util'

import { advise, isUsable } from '../doctor/advise'
import { gather } from '../doctor/gather'
import { asJson, asTable, schemaVersion } from '../doctor/render'
import { parsed } from './arguments'

const help = `Usage: papo-kernels doctor [options]

Says what this machine and this binary can do, and for everything that is missing how to get it.
Works also where the binary does not load.

Options:
  --json          print one object instead of the table (schema: docs/doctor.md)
  --no-bandwidth  do not measure the memory
  --help          show this text

Exit status: 0 if the package can be used here, 1 if not, 2 wrong use.
`

const optionTypes = {
  json: { type: 'boolean', default: false },
  'no-bandwidth': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** `papo-kernels doctor`; returns the exit status. */
export async function run(argv: string[]): Promise<number> {
  const parse = () => parseArgs({ args: argv, options: optionTypes, allowPositionals: true })
  const { values } = parsed(parse, 0)
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const facts = await gather({ bandwidth: values['no-bandwidth'] !== true })
  const advice = advise(facts)
  const usable = isUsable(advice)
  const report = { schema: schemaVersion, usable, ...facts, advice } as const
  process.stdout.write(values.json ? asJson(report) : asTable(report))
  return usable ? 0 : 1
}
