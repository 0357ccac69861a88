import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(__dirname, '..')
const folder = path.join(root, 'examples')

/** Lines without their indentation, which a quotation has and the original has not. */
const lines = (text: string) =>
  `\n${text
    .split('\n')
    .map((line) => line.trim())
    .join('\n')}\n`

const pages = ['README.md', ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`)]
const documentation = pages.map((name) => lines(readFileSync(path.join(root, name), 'utf8')))

describe('every example', () => {
  const files = readdirSync(folder).filter((name) => /\.m?js$/.test(name))

  test.each(files)('%s prints what the documentation quotes', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(folder, name)], {
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/\d/)
    const quoted = lines(stdout.trimEnd())
    expect(documentation.find((page) => page.includes(quoted)) ?? stdout).not.toBe(stdout)
  })

  test.each(files)('%s is named by the documentation', (name) => {
    expect(documentation.some((page) => page.includes(name))).toBe(true)
  })
})
