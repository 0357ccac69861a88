import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(__dirname, '..')
const manifest: { version: string } = JSON.parse(
  readFileSync(path.join(root, 'package.json'), 'utf8'),
)

function printed(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** The files below a folder of the root, relative to it. */
function sources(folder: string, ending: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name))
}

describe('the package', () => {
  // Node finds the names of a CommonJS module by reading its text, not by running it.
  test('exports the same names to ES modules and to CommonJS', () => {
    const show = `
      const added = ['default', 'module.exports', '__esModule']
      console.log(Object.keys(api).filter((name) => !added.includes(name)).sort().join())`
    const required = printed('-e', `const api = require('papo-kernels'); ${show}`)
    const imported = printed(
      '--input-type=module',
      '-e',
      `import * as api from 'papo-kernels'; ${show}`,
    )
    expect(required).toContain('PapoError')
    expect(imported).toBe(required)
  })

  test('exists once, however it is loaded', () => {
    const same = `
      import { createRequire } from 'node:module'
      import { PapoError } from 'papo-kernels'
      console.log(PapoError === createRequire(import.meta.url)('papo-kernels').PapoError)`
    expect(printed('--input-type=module', '-e', same)).toBe('true\n')
  })

  test('names its binary by its own version', () => {
    const addon = `require('node-gyp-build')('.')`
    expect(printed('-p', `${addon}.version`)).toBe(`${manifest.version}\n`)
  })
})

describe('native/sources.gypi', () => {
  const { variables }: { variables: Record<string, string[]> } = JSON.parse(
    readFileSync(path.join(root, 'native/sources.gypi'), 'utf8'),
  )
  const listed = (key: string) => variables[key]?.map((name) => path.join('native', name)).sort()

  const cuda = path.join('native', 'cuda', path.sep)

  test('core_files has every C++ file of native but those of CUDA', () => {
    const core = sources('native', '.cpp').filter((name) => !name.startsWith(cuda))
    expect(listed('core_files')).toEqual(core.sort())
  })

  test('cuda_files has every file of native/cuda that is compiled', () => {
    const files = ['.cpp', '.cu'].flatMap((ending) => sources(cuda, ending))
    expect(listed('cuda_files')).toEqual(files.sort())
  })

  test('binding_files has every file of bindings/node that is compiled', () => {
    expect(listed('binding_files')).toEqual(sources('bindings/node', '.cpp').sort())
  })
})
