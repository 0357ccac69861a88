import type { PreparedCall } from '../call'
import type { Descriptor } from '../descriptor'
import type { DType } from '../dtype'
import type { Engine } from '../engine'
import { addon } from '../native'
import type { NativeEngine } from '../native'
import { toTensor } from '../tensor'
import { putPerToken, putPerTokenOrResponse } from './inputs'
import type { TokenInputs } from './inputs'
import { encodedObjective } from './objective'
import type { Objective } from './objective'
import { readSummary } from './results'
import type { LossSlot, PartialLossResult } from './results'
import { layoutOf } from './token-layout'
import type { TokenLayout } from './token-layout'

export interface LossOptions {
  /** false: only loss, terms and metrics (and gradients of logits). Default true. */
  perToken?: boolean
  /** Default: {@link defaultEngine}. */
  engine?: Engine
}

export function readLayout(shape: readonly number[], inputs: TokenInputs): TokenLayout {
  return layoutOf(shape, inputs.cuSeqlens, toTensor('advantages', inputs.advantages))
}

export function putTokenInputs(
  call: Descriptor<LossSlot>,
  inputs: TokenInputs,
  layout: TokenLayout,
  dtype: DType,
): void {
  putPerToken(call, 'responseMask', inputs.responseMask, layout, 'uint8')
  putPerToken(call, 'oldLogProbs', inputs.oldLogProbs, layout, dtype)
  putPerToken(call, 'refLogProbs', inputs.refLogProbs, layout, dtype)
  putPerTokenOrResponse(call, 'advantages', inputs.advantages, layout, dtype)
  putPerTokenOrResponse(call, 'tokenWeights', inputs.tokenWeights, layout, dtype)
  putPerTokenOrResponse(call, 'perceptionWeights', inputs.perceptionWeights, layout, dtype)
  putPerTokenOrResponse(call, 'sftMask', inputs.sftMask, layout, 'uint8')
}

interface LossCall {
  readonly handle: NativeEngine
  readonly objective: Objective
  readonly descriptor: Descriptor<LossSlot>
  readonly layout: TokenLayout
  readonly gradNorm: boolean
  readonly result: PartialLossResult
  readonly metrics: Float64Array
}

export function prepareLoss(call: LossCall): PreparedCall<PartialLossResult> {
  const { handle, objective, descriptor, layout, gradNorm, result, metrics } = call
  return {
    descriptor,
    run: (jobs) =>
      addon.loss(
        handle,
        encodedObjective(objective),
        descriptor.slots,
        descriptor.shapes,
        layout.cuSeqlens,
        layout.responses,
        gradNorm,
        jobs,
      ),
    finish: () => {
      readSummary(result, metrics)
      return result
    },
  }
}
