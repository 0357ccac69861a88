'use strict'

/** @type {import('jest').Config} */
module.exports = {
  testMatch: ['<rootDir>/test/*.test.ts'],
  // ts first: the folder lib is its index.ts, not its index.mjs
  moduleFileExtensions: ['ts', 'js', 'mjs', 'cjs', 'json', 'node'],
  transform: { '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/test/tsconfig.json' }] },
  testTimeout: 60_000, // sanitizers on a machine with other work take more than the default of 5 s
  modulePathIgnorePatterns: ['<rootDir>/build/', '<rootDir>/prebuilds/'],
}
