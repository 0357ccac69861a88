// Whether a peer computes the same: a benchmark of two different things means nothing.
import type { LogitsDType } from './cases'
import type { TorchPeer } from './peer'
import type { CaseResult } from './subjects'

/** |ours - theirs| may be relative · |theirs| + absolute · max |theirs| + smallest. */
interface Tolerance {
  readonly relative: number
  readonly absolute: number
  readonly smallest: number
}

// Relative: float32 log-softmax of logits up to 20 is good to about 20 · 2^-24 · a few in the
// exponent. bfloat16 and float16: one unit in the last place of the gradient, from rounding each
// side's float32 value; below the smallest normal float16 the spacing is 2^-24.
const gradientTolerances: Readonly<Record<LogitsDType, Tolerance>> = {
  float32: { relative: 1e-4, absolute: 1e-6, smallest: 0 },
  bfloat16: { relative: 2 ** -7, absolute: 1e-6, smallest: 0 },
  float16: { relative: 2 ** -10, absolute: 1e-6, smallest: 2 ** -24 },
}
/** Of losses and log-probs, relative to max(1, |value|). */
const valueTolerance = 1e-5

export const toleranceText =
  `loss and log-probs ${valueTolerance}; gradients, relative, ` +
  Object.entries(gradientTolerances)
    .map(([dtype, { relative }]) => `${dtype} ${relative.toExponential(1)}`)
    .join(', ')

/** What disagrees; undefined if nothing does. */
export async function disagreement(
  ours: CaseResult,
  peer: Pick<TorchPeer, 'result' | 'output'>,
  dtype: LogitsDType,
): Promise<string | undefined> {
  const loss = await peer.result()
  const values = { relative: 0, absolute: valueTolerance, smallest: valueTolerance }
  const lossError = Math.abs((ours.loss ?? 0) - (loss ?? 0))
  if (ours.loss !== undefined && !(lossError <= valueTolerance * Math.max(1, Math.abs(ours.loss))))
    return `loss ${ours.loss} against ${loss}`
  for (const name of ['logProbs', 'logitsGrad', 'maskedLogitsGrad'] as const) {
    const tensor = ours[name]
    if (tensor === undefined) continue
    const tolerance = name === 'logProbs' ? values : gradientTolerances[dtype]
    const worst = firstOutside(tensor.toFloat32Array(), peer.output(name), tolerance)
    if (worst !== undefined) return `${name} ${worst}`
  }
  return undefined
}

function firstOutside(
  ours: Float32Array,
  theirs: Float32Array,
  { relative, absolute, smallest }: Tolerance,
): string | undefined {
  if (ours.length !== theirs.length) return `${ours.length} values against ${theirs.length}`
  let max = 0
  for (const value of theirs) max = Math.max(max, Math.abs(value))
  for (let i = 0; i < ours.length; i++) {
    const allowed = relative * Math.abs(theirs[i]!) + absolute * max + smallest
    if (!(Math.abs(ours[i]! - theirs[i]!) <= allowed))
      return `element ${i}: ${ours[i]} against ${theirs[i]}`
  }
  return undefined
}
