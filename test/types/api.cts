// The public API as a CommonJS TypeScript program sees it. Compiled only.
import {
  CollapseMonitor,
  DynamicSampler,
  Engine,
  groupAdvantages,
  linearAnnealing,
  lossFromLogits,
  lossFromLogProbs,
  maskPatches,
  overlongPenalties,
  PapoError,
  perceptionSchedule,
  profiles,
  randomPatchMask,
  resolveObjective,
  Tensor,
  tokenLogProbs,
} from 'papo-kernels'
import type {
  CollapseReport,
  CollapseStatus,
  DeviceEvent,
  LossFromLogitsInputs,
  LossSummary,
  Metrics,
  Objective,
  PapoErrorCode,
  ProfileName,
  ShareHandle,
  TensorLike,
} from 'papo-kernels'

const floats = new Float32Array(6)
const tokens = new Int32Array(6)
const inputs: LossFromLogitsInputs = { logits: floats, tokens, advantages: floats }

// --- what compiles, with its types ---------------------------------------------------------------

const full = lossFromLogits(inputs, 'papoG', { gradient: 'inPlace', gradNorm: true })
const loss: number = full.loss
const metrics: Metrics = full.metrics
const logProbs: Tensor = full.logProbs
const gradient: Tensor | undefined = full.logitsGrad
const lean: LossSummary = lossFromLogits(inputs, undefined, { perToken: false })
const slopes: Tensor = lossFromLogProbs({ logProbs: floats, advantages: floats }).logProbsGrad

const objective: Objective = resolveObjective({
  profile: 'papoD',
  dualClip: 'off',
  maxLength: 1024,
})
const coefficient: number = linearAnnealing({ start: 1, end: 0, steps: 10 })(3)
const scheduled: Objective = resolveObjective({
  profile: 'papoD',
  ...perceptionSchedule({ start: 0.02, end: 0, steps: 10 })(3),
})
const sampler = new DynamicSampler({ targetGroups: 8, fallback: 'keep' })
const kept: Int32Array = sampler.result().rows
const report: CollapseReport = new CollapseMonitor().observe({ step: 0, metrics, reward: 1 })
const status: CollapseStatus = report.status
const penalties: Tensor = overlongPenalties(tokens, { maxLength: 8, cacheLength: 2 })
const half: TensorLike = Tensor.from(new Uint16Array(2), { dtype: 'bfloat16' })
const mask: Tensor = maskPatches(new Uint8Array(4), {
  height: 2,
  width: 2,
  patchMask: randomPatchMask({ height: 2, width: 2, seed: 1n }),
})
const name: ProfileName = objective.profile
const code: PapoErrorCode = new PapoError('ERR_OVERLAP', 'text').code

const onDevice: Tensor = Tensor.empty([2, 3], 'bfloat16', { device: 'cuda:0' })
const moved: Promise<Tensor> = onDevice.toAsync('cpu')
const shared: ShareHandle = onDevice.shareHandle()
const foreign: Tensor = Tensor.fromUnsafePointer({
  pointer: onDevice.pointer,
  dtype: 'bfloat16',
  shape: shared.shape,
  device: onDevice.device,
})
const event: DeviceEvent = Engine.open({ device: 'cuda:1', stream: 1n }).recordEvent()
const milliseconds: number = event.elapsedSince(event)

export { foreign, milliseconds, moved }
export { code, coefficient, gradient, half, lean, logProbs, loss, mask, metrics, name, slopes }
export { kept, penalties, scheduled, status }

// --- what must not compile -----------------------------------------------------------------------

// @ts-expect-error plain arrays are not tensors
groupAdvantages([1, 2], tokens)
// @ts-expect-error advantages are missing
lossFromLogits({ logits: floats, tokens })
// @ts-expect-error a misspelt input
lossFromLogits({ ...inputs, oldLogprobs: floats })
// @ts-expect-error a misspelt option
lossFromLogits(inputs, { perceptionKLCoef: 1 })
// @ts-expect-error a profile that there is not
lossFromLogits(inputs, 'ppo')
// @ts-expect-error the word of another option
resolveObjective({ dualClip: 'unset' })
// @ts-expect-error profiles are frozen
profiles.papoG.refKlCoef = 1
// @ts-expect-error per-token values may be missing
export const missing: Tensor = lossFromLogits(inputs, 'papoG', { perToken: false }).logProbs
// @ts-expect-error gradient belongs to lossFromLogits
lossFromLogProbs({ logProbs: floats, advantages: floats }, 'papoG', { gradient: 'none' })
// @ts-expect-error no such dtype
Tensor.zeros([1], 'float8')
// @ts-expect-error made by Tensor.from() and Tensor.zeros()
new Tensor(floats)
// @ts-expect-error a device has a number
Engine.open({ device: 'cuda' })
// @ts-expect-error an address is a bigint
Tensor.fromUnsafePointer({ pointer: 4096, dtype: 'float32', shape: [1], device: 'cuda:0' })
// @ts-expect-error made by Engine.open()
new Engine()
// @ts-expect-error the target is missing
new DynamicSampler({})
// @ts-expect-error a misspelt metric
new CollapseMonitor().observe({ step: 0, metrics: { perceptionKL: 1 } })
// @ts-expect-error the seed is missing
randomPatchMask({ height: 2, width: 2 })
// @ts-expect-error temperature is a number
tokenLogProbs({ logits: floats, tokens }, { temperature: '1' })
