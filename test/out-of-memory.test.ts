// Memory that runs out: a typed error, and the process goes on. In processes of their own, whose
// address space is limited from within by the shell.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.resolve(__dirname, '..')

/** What a script prints in a process with this much address space beyond what Node takes itself. */
function runLimited(script: string, kilobytes: number): string {
  const source = `const papo = require('papo-kernels')\n${script}`
  const shell = `ulimit -v ${kilobytes} && exec "$0" -e "$1"`
  const { status, signal, stdout, stderr } = spawnSync(
    'bash',
    ['-c', shell, process.execPath, source],
    { cwd: root, encoding: 'utf8', timeout: 60_000 },
  )
  if (status !== 0) throw new Error(`status ${status}, signal ${signal}\n${stderr}`)
  return stdout
}

// Rows of one logit need a record each: 2^24 rows are 64 MB of logits and gigabytes of workspace.
const calls = `
  const { Engine, lossFromLogits, PapoError, Tensor } = papo
  const inputs = (rows) => ({
    logits: Tensor.zeros([1, rows, 1]),
    tokens: new Int32Array(rows),
    advantages: new Float32Array(1),
  })
  const options = { gradient: 'inPlace', perToken: false }
  const code = (body) => {
    try {
      body()
      return 'none'
    } catch (error) {
      return error instanceof PapoError ? error.code + ' ' + error.argument : String(error)
    }
  }
`

describe('with 2.5 GB of address space', () => {
  // More than Node itself reserves, less than the workspace of 2^24 rows.
  const limit = 5 << 19

  test('a workspace that cannot be had is ERR_OUT_OF_MEMORY, and smaller calls go on', () => {
    const output = runLimited(
      `${calls}
      const large = inputs(2 ** 24)
      large.logits.data.fill(3)
      console.log(code(() => lossFromLogits(large, 'grpo', options)))
      console.log(large.logits.data.every((x) => x === 3))
      console.log(code(() => lossFromLogits(inputs(64), 'grpo', options)))`,
      limit,
    )
    expect(output).toBe('ERR_OUT_OF_MEMORY workspace\ntrue\nnone\n')
  })

  test('so it is through the queue', () => {
    const output = runLimited(
      `${calls}
      const queued = (rows) => papo.lossFromLogitsAsync(inputs(rows), 'grpo', options)
      queued(2 ** 24)
        .catch((error) => console.log(error.code, error.argument))
        .then(() => queued(64))
        .then(({ loss }) => console.log(Number.isFinite(loss)))`,
      limit,
    )
    expect(output).toBe('ERR_OUT_OF_MEMORY workspace\ntrue\n')
  })

  test('a tensor that cannot be had is ERR_OUT_OF_MEMORY', () => {
    const output = runLimited(
      `${calls}
      console.log(code(() => Tensor.zeros([2 ** 30, 4])))
      console.log(code(() => Tensor.zeros([2 ** 10, 4])))`,
      limit,
    )
    expect(output).toBe('ERR_OUT_OF_MEMORY shape\nnone\n')
  })

  test('an engine has fewer threads where there is no room for their stacks', () => {
    const output = runLimited(
      `${calls}
      const engine = Engine.open({ threads: 1024 })
      console.log(engine.threads < 1024, code(() => lossFromLogits(inputs(64), 'grpo', { engine })))`,
      limit,
    )
    expect(output).toBe('true none\n')
  })
})
