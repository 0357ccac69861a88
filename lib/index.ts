export { PapoError } from './errors'
export type { PapoErrorCode } from './errors'

export { Tensor } from './tensor'
export type {
  CopyOptions,
  Device,
  PlacementOptions,
  TensorLike,
  TensorOptions,
} from './tensor'
export type { ShareHandle, UnsafePointer } from './foreign'
export type { DType, TypedArray } from './dtype'

export { defaultEngine, Engine, instructionSets } from './engine'
export type { EngineOptions, MemoryInfo } from './engine'
export { DeviceEvent } from './event'

export { profiles, resolveObjective } from './loss/objective'
export type { Objective, ObjectiveInput } from './loss/objective'
export type { Metrics, ObjectiveOptions, ProfileName } from './loss/objective-table'

export { lossFromLogits, lossFromLogitsAsync } from './loss/from-logits'
export type { LossFromLogitsOptions, LossFromLogitsResult } from './loss/from-logits'
export { lossFromLogProbs, lossFromLogProbsAsync } from './loss/from-log-probs'
export type { LossOptions } from './loss/loss-call'
export type { GradientOptions } from './loss/gradients'
export type { LossFromLogitsInputs, LossFromLogProbsInputs, TokenInputs } from './loss/inputs'
export type {
  LogitsGradients,
  LossResult,
  LossSummary,
  PartialLossResult,
  PerTokenValues,
  Terms,
} from './loss/results'

export { responseRowIndex } from './loss/row-index'
export type { PackedLengths, ResponseRows } from './loss/row-index'

export { tokenLogProbs, tokenLogProbsAsync } from './loss/token-log-probs'
export type {
  TokenLogProbs,
  TokenLogProbsInputs,
  TokenLogProbsOptions,
} from './loss/token-log-probs'

export {
  groupAdvantages,
  groupAdvantagesAsync,
  reinforcePlusPlusAdvantages,
  reinforcePlusPlusAdvantagesAsync,
  remaxAdvantages,
  remaxAdvantagesAsync,
} from './advantages'
export type { AbortSignalLike, Queued, QueueOptions } from './queue'

export type {
  GroupAdvantagesOptions,
  ReinforcePlusPlusAdvantages,
  ReinforcePlusPlusInputs,
  ReinforcePlusPlusOptions,
  RemaxAdvantagesOptions,
} from './advantages'

export { maskPatches, maskPatchesAsync } from './masking/mask-patches'
export type { MaskPatchesOptions } from './masking/mask-patches'
export { maskPatchRows, maskPatchRowsAsync } from './masking/mask-patch-rows'
export type { MaskPatchRowsOptions } from './masking/mask-patch-rows'
export {
  randomPatchMask,
  randomPatchMaskAsync,
  randomPatchMasks,
} from './masking/random-patch-mask'
export type {
  MaskedSize,
  RandomPatchMaskOptions,
  RandomPatchMasksOptions,
} from './masking/random-patch-mask'
export { saliencyPatchMask, saliencyPatchMaskAsync } from './masking/saliency-patch-mask'
export type { SaliencyPatchMaskOptions } from './masking/saliency-patch-mask'
export type { DestinationOptions } from './masking/destination'
export type { Fill } from './masking/fill'
export type { ImageLayout } from './masking/image-size'
export type { GridThw } from './masking/patch-order'
export type { CellOptions } from './masking/patch-grid'

export { selectGroups } from './training/groups'
export type { GroupFilterOptions, GroupSelection, SelectGroupsOptions } from './training/groups'
export { DynamicSampler } from './training/dynamic-sampler'
export type {
  DynamicSamplerOptions,
  DynamicSamplerState,
  DynamicSamplerStatus,
  SampledGroups,
} from './training/dynamic-sampler'

export { overlongMask, overlongPenalties } from './training/overlong'
export type { OverlongMaskOptions, OverlongPenaltyOptions } from './training/overlong'

export {
  constantSchedule,
  cosineAnnealing,
  linearAnnealing,
  perceptionSchedule,
} from './training/schedules'
export type {
  AnnealingOptions,
  PerceptionCoefficients,
  PerceptionScheduleOptions,
  Schedule,
} from './training/schedules'

export { AdaptiveKlController, FixedKlController } from './training/kl-controllers'
export type { AdaptiveKlOptions, AdaptiveKlState, KlController } from './training/kl-controllers'

export { CollapseMonitor } from './training/collapse-monitor'
export type { CollapseMonitorState, CollapseObservation } from './training/collapse-monitor'
export { collapseRemedies } from './training/collapse-signs'
export type {
  CollapseReport,
  CollapseSign,
  CollapseSignName,
  CollapseStatus,
  FirstSteps,
} from './training/collapse-signs'
export { collapseThresholds } from './training/collapse-options'
export type {
  CollapseMonitorOptions,
  CollapseSettings,
  Threshold,
  WatchedMetric,
} from './training/collapse-options'
