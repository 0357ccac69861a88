// That memory is flat over 10^5 calls of each kind, in a process of its own that can collect garbage
// on demand. The same over the C interface is what AddressSanitizer looks for in test/native.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const calls = 100_000

type Memory = Readonly<Record<'rss' | 'heapUsed' | 'external' | 'arrayBuffers', number>>

// A leak of one small object a call is 16 bytes or more, 1.6 MB in all. The resident set moves in
// steps of the allocator's; 8 MB are 84 bytes a call.
const bounds: Memory = { rss: 8e6, heapUsed: 1e6, external: 1e6, arrayBuffers: 1e6 }

let growth: Record<string, Memory> = {}

beforeAll(() => {
  const script = join(__dirname, 'leaks.mjs')
  const output = execFileSync(process.execPath, ['--expose-gc', script, String(calls)])
  growth = JSON.parse(output.toString()) as Record<string, Memory>
}, 300_000)

test.each([
  'loss',
  'lossInPlace',
  'tokenLogProbs',
  'advantages',
  'masking',
  'objective',
  'tensors',
  'engines',
  'errorsOfTypeScript',
  'errorsOfTheAddon',
  'queue',
])('%s', (name) => {
  expect(growth).toHaveProperty(name)
  for (const kind of Object.keys(bounds) as (keyof Memory)[])
    expect([kind, growth[name]![kind] < bounds[kind]]).toEqual([kind, true])
})
