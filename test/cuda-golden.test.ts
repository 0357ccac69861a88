// The values and gradients of the reference cases on a device. See cuda-support.ts.
import { Engine } from '../lib'
import { ownCases, readCases } from '../lib/golden/read'
import { verifyCase } from '../lib/golden/verify'
import { describeOnDevice } from './cuda-support'

describeOnDevice('cuda gives the values and gradients of', () => {
  let engine: Engine
  beforeAll(() => {
    engine = Engine.open({ device: 'cuda:0' })
  })
  afterAll(() => engine.dispose())

  test.each(readCases(ownCases).map((golden) => [golden.name, golden] as const))(
    '%s',
    (_, golden) => {
      const { fields } = verifyCase(golden, engine)
      expect(fields.filter(({ pass }) => !pass)).toEqual([])
    },
  )
})
