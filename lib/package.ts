import { readFileSync } from 'node:fs'
import path from 'node:path'

/** From lib/ and from dist/ alike. */
export const packageRoot = path.join(__dirname, '..')

export interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly binary: { readonly napi_versions: readonly number[] }
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as Manifest
}

/** How a missing binary comes about: for the error of the loader and for the doctor alike. */
export const mending = {
  scripts: 'npm 12 and pnpm run no install scripts unless they are allowed',
  scriptCommands: ['npm install-scripts approve papo-kernels', 'npm rebuild papo-kernels'],
  build: 'a build from source needs python3, make and a C++17 compiler',
} as const
