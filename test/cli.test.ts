import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { instructionSets } from '../lib'
import { ownCases } from '../lib/golden/read'

const main = path.resolve(__dirname, '../dist/cli/main.js')
const folder = mkdtempSync(path.join(tmpdir(), 'papo-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

function cli(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

/** A folder with one small case, its text changed. */
function folderWith(name: string, change: (text: string) => string, from = 'adv_rloo'): string {
  const made = path.join(folder, name)
  mkdirSync(made)
  const text = readFileSync(path.join(ownCases, `${from}.json`), 'utf8')
  writeFileSync(path.join(made, `${from}.json`), change(text))
  return made
}

function expectUsageError(result: ReturnType<typeof cli>, ...words: string[]): void {
  expect(result.status).toBe(2)
  expect(result.stdout).toBe('')
  expect(result.stderr).toMatch(/^papo-kernels: [^\n]+\n$/)
  for (const word of words) expect(result.stderr).toContain(word)
}

describe('papo-kernels', () => {
  test('--version is the version of the package', () => {
    const manifest: { version: string } = JSON.parse(
      readFileSync(path.resolve(__dirname, '../package.json'), 'utf8'),
    )
    expect(cli('--version')).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  test('--help names every command', () => {
    const { status, stdout } = cli('--help')
    expect(status).toBe(0)
    expect(stdout).toMatch(/verify.*bench.*demo/s)
  })

  test('without a command the help goes to stderr and the status is 2', () => {
    const { status, stdout, stderr } = cli()
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: papo-kernels/)
  })

  test('an unknown command or option is one line', () => {
    expectUsageError(cli('toString'), "unknown command 'toString'")
    expectUsageError(cli('--fast'), "unknown option '--fast'")
  })
})

describe('papo-kernels verify', () => {
  test('prints one line for each case and succeeds', () => {
    const { status, stdout, stderr } = cli('verify')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const lines = stdout.trimEnd().split('\n')
    const manifest = path.join(ownCases, 'MANIFEST.json')
    const listed: { name: string }[] = JSON.parse(readFileSync(manifest, 'utf8'))
    expect(lines).toHaveLength(listed.length + 2)
    expect(lines.at(-1)).toBe(`${instructionSets()[0]}: ${listed.length} cases, all pass`)
    for (const { name } of listed) expect(stdout).toMatch(new RegExp(`^${name} +pass  \\S`, 'm'))
  })

  test('--engine all --json gives a report for each engine', () => {
    const { status, stdout } = cli('verify', '--engine', 'all', '--json')
    expect(status).toBe(0)
    const reports: { engine: string; cases: unknown[] }[] = JSON.parse(stdout)
    expect(reports.map(({ engine }) => engine)).toEqual(instructionSets())
    expect(reports[0]?.cases[0]).toEqual({
      name: expect.any(String),
      pass: true,
      worst: {
        field: expect.any(String),
        error: expect.any(Number),
        tolerance: expect.any(Number),
      },
    })
  })

  test('--engine reference --json gives one report', () => {
    const { stdout } = cli('verify', '--engine', 'reference', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ engine: 'reference' })
  })

  test('--verbose lists fields, and metrics without counterpart', () => {
    const made = path.join(folder, 'verbose')
    mkdirSync(made)
    const file = 'papo_g_paper_token.json'
    copyFileSync(path.join(ownCases, file), path.join(made, file))
    const { status, stdout } = cli('verify', made, '--verbose')
    expect(status).toBe(0)
    expect(stdout).toMatch(/pass +gradLogits +\d/)
    expect(stdout).toMatch(/metrics\.actor\/kl_coef +no counterpart/)
  })

  test('an exceeded tolerance is named, with status 1', () => {
    const made = folderWith(
      'wrong',
      (text) => {
        const golden: { expected: { totalLoss: number } } = JSON.parse(text)
        golden.expected.totalLoss += 0.01
        return JSON.stringify(golden)
      },
      'papo_g_paper_token',
    )
    const { status, stdout } = cli('verify', made)
    expect(status).toBe(1)
    expect(stdout).toMatch(/^papo_g_paper_token +FAIL +totalLoss +1\.00e-2 /m)
    expect(stdout).toMatch(/: 1 case, 1 FAIL\n$/)
  })

  test('wrong use is one line', () => {
    expectUsageError(cli('verify', '--fast'), '--fast')
    expectUsageError(cli('verify', '--engine'), '--engine')
    expectUsageError(cli('verify', '--engine', 'neon512'), "'neon512'", 'reference')
    expectUsageError(cli('verify', 'a', 'b'), "'b'")
  })

  test('an unusable folder is one line', () => {
    expectUsageError(cli('verify', path.join(folder, 'absent')), 'absent', 'no such folder')
    expectUsageError(cli('verify', main), 'main.js', 'not a folder')
    const empty = path.join(folder, 'empty')
    mkdirSync(empty)
    expectUsageError(cli('verify', empty), 'empty', 'no case files')
  })

  test('an unusable case is one line that names file and field', () => {
    const bad = (name: string, change: (text: string) => string, from?: string) =>
      cli('verify', folderWith(name, change, from))
    const without = (pattern: RegExp, by: string) => (text: string) => {
      expect(text).toMatch(pattern)
      return text.replace(pattern, by)
    }
    const file = 'adv_rloo.json'
    expectUsageError(
      bad('cut', (text) => text.slice(0, 100)),
      file,
      'JSON',
    )
    expectUsageError(
      bad('array', () => '[]'),
      file,
      'object',
    )
    expectUsageError(
      bad('null', () => 'null'),
      file,
      'object',
    )
    expectUsageError(
      bad('kind', without(/"kind": *"advantage"/, '"kind": "soup"')),
      file,
      'kind',
      'blackening',
    )
    expectUsageError(
      bad('missing', without(/"rewards"/, '"rewardz"')),
      file,
      'inputs.rewards',
      'missing',
    )
    expectUsageError(
      bad('shape', without(/"groupIds": *\[\s*1,/, '"groupIds": [')),
      file,
      'inputs.groupIds',
      '[7]',
    )
    expectUsageError(
      bad('text', without(/"rewards": *\[/, '"rewards": ["one",')),
      file,
      'inputs.rewards',
    )
    expectUsageError(
      bad('config', without(/"klCoef"/, '"klCoeff"'), 'grpo_plain'),
      'grpo_plain.json',
      'config.klCoef',
    )
    expectUsageError(
      bad('sizes', without(/"B": *6/, '"B": 5'), 'grpo_plain'),
      'grpo_plain.json',
      'inputs.',
    )
    expectUsageError(
      bad('token', without(/"tokens": *\[\s*\[\s*\d+/, '"tokens": [[99'), 'grpo_plain'),
      'grpo_plain.json',
      'tokens',
    )
  })
})
