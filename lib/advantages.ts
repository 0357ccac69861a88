import { runNow } from './call'
import type { PreparedCall } from './call'
import { Descriptor, DescriptorLayout } from './descriptor'
import type { DType } from './dtype'
import { engineFor, engineHandle } from './engine'
import type { Engine } from './engine'
import { invalid } from './errors'
import { putPerToken, putVector } from './loss/inputs'
import { newPerToken } from './loss/results'
import { packedLayout, tokenShape } from './loss/token-layout'
import type { TokenLayout } from './loss/token-layout'
import { addon, slotNames } from './native'
import { runQueued, takeSignal } from './queue'
import type { Queued } from './queue'
import { requireKeys, requireNumber, requireOneOf } from './options'
import { describeTensor, elementsOf, toTensor } from './tensor'
import type { Tensor, TensorLike } from './tensor'

export interface GroupAdvantagesOptions {
  /**
   * 'grpo' (default, arXiv 2402.03300): (r - mean) / (std + epsilon), std unbiased.
   * 'drGrpo' (2503.20783): r - mean. 'rloo' (2402.14740): r - mean of the other members.
   */
  estimator?: 'grpo' | 'drGrpo' | 'rloo'
  /** Whose standard deviation 'grpo' divides by: the group's (default), the whole call's, none. */
  scale?: 'group' | 'batch' | 'none'
  /** Default 1e-6, as in the authors' code; 1e-4 in Hugging Face TRL. */
  epsilon?: number
  engine?: Engine
}

export interface ReinforcePlusPlusInputs {
  /** float32 or float64, [B, T], or [N] with cuSeqlens. */
  rewards: TensorLike
  /** uint8, as many: 1 = the token counts. */
  responseMask: TensorLike
  /** [B + 1]: first token of each packed response, and N at the end. */
  cuSeqlens?: readonly number[] | Int32Array
}

export interface ReinforcePlusPlusOptions {
  /** From a token's return to the one before, 0 to 1. Default 1. */
  discount?: number
  /** Under the root of the variance. Default 1e-8. */
  epsilon?: number
  engine?: Engine
}

export interface RemaxAdvantagesOptions {
  engine?: Engine
}

/** In the shape and dtype of the rewards. */
export interface ReinforcePlusPlusAdvantages {
  advantages: Tensor
  /** Before whitening. */
  returns: Tensor
}

// In the order of papo_advantage_estimator and papo_advantage_scale.
const estimators = ['grpo', 'drGrpo', 'rloo'] as const
const scales = ['group', 'batch', 'none'] as const
const remax = 3
const reinforcePlusPlus = 4

const groupOptionNames = new Set(['estimator', 'scale', 'epsilon', 'engine'])
const remaxOptionNames = new Set(['engine'])
const reinforceInputNames = new Set(['rewards', 'responseMask', 'cuSeqlens'])
const reinforceOptionNames = new Set(['discount', 'epsilon', 'engine'])
const layoutOfCall = new DescriptorLayout(slotNames.advantages)
const realDTypes: readonly DType[] = ['float32', 'float64']

type AdvantagesCall = Descriptor<(typeof slotNames.advantages)[number]>

/**
 * Advantages of responses from the rewards of their group (the responses to one prompt).
 *
 * A group whose rewards are all equal gives exactly 0; a group of one is ERR_INVALID_VALUE with the
 * group's id. Computed in float64.
 *
 * @param rewards float32 or float64 [B]
 * @param groupIds int32 [B]: any numbers in any order; equal ones are a group
 * @returns advantages in the shape and dtype of rewards
 * @throws PapoError with the argument's name
 */
export function groupAdvantages(
  rewards: TensorLike,
  groupIds: TensorLike,
  options: GroupAdvantagesOptions = {},
): Tensor {
  return runNow(prepareGroupAdvantages(rewards, groupIds, options))
}

/** {@link groupAdvantages} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function groupAdvantagesAsync(
  rewards: TensorLike,
  groupIds: TensorLike,
  options: Queued<GroupAdvantagesOptions> = {},
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareGroupAdvantages(rewards, groupIds, rest), signal)
}

function prepareGroupAdvantages(
  rewards: TensorLike,
  groupIds: TensorLike,
  options: GroupAdvantagesOptions,
): PreparedCall<Tensor> {
  requireKeys('options', options, groupOptionNames)
  const given = toTensor('rewards', rewards)
  const engine = engineFor(options.engine, given)
  const call: AdvantagesCall = new Descriptor(layoutOfCall, engine)
  const layout = putRewards(call, given)
  putPerToken(call, 'groupIds', required('groupIds', groupIds), layout, 'int32')
  const advantages = newPerToken(call, 'advantages', layout, layout.dtype)
  const settings = {
    estimator: estimators.indexOf(requireOneOf('estimator', options.estimator, estimators)),
    scale: scales.indexOf(requireOneOf('scale', options.scale, scales)),
    epsilon: requireNumber('epsilon', options.epsilon, 1e-6, 0),
    discount: 1,
  }
  return prepared(engine, call, layout, settings, advantages)
}

/**
 * Advantages against a baseline of each response: reward - baseline, where the baseline is the
 * reward of the greedy response to the same prompt (ReMax, arXiv 2310.10505).
 *
 * @param rewards float32 or float64 [B]
 * @param baselines as rewards
 * @returns advantages in the shape and dtype of rewards
 * @throws PapoError with the argument's name
 */
export function remaxAdvantages(
  rewards: TensorLike,
  baselines: TensorLike,
  options: RemaxAdvantagesOptions = {},
): Tensor {
  return runNow(prepareRemaxAdvantages(rewards, baselines, options))
}

/** {@link remaxAdvantages} through the queue of the device: see {@link lossFromLogitsAsync}. */
export async function remaxAdvantagesAsync(
  rewards: TensorLike,
  baselines: TensorLike,
  options: Queued<RemaxAdvantagesOptions> = {},
): Promise<Tensor> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareRemaxAdvantages(rewards, baselines, rest), signal)
}

function prepareRemaxAdvantages(
  rewards: TensorLike,
  baselines: TensorLike,
  options: RemaxAdvantagesOptions,
): PreparedCall<Tensor> {
  requireKeys('options', options, remaxOptionNames)
  const given = toTensor('rewards', rewards)
  const engine = engineFor(options.engine, given)
  const call: AdvantagesCall = new Descriptor(layoutOfCall, engine)
  const layout = putRewards(call, given)
  putPerToken(call, 'baselines', required('baselines', baselines), layout, layout.dtype)
  const advantages = newPerToken(call, 'advantages', layout, layout.dtype)
  const settings = { estimator: remax, scale: 0, epsilon: 0, discount: 1 }
  return prepared(engine, call, layout, settings, advantages)
}

/**
 * Per-token advantages of REINFORCE++ (arXiv 2501.03262): discounted returns from the end of each
 * response, whitened over all counted tokens: (R - mean) / sqrt(variance + epsilon). Tokens with
 * responseMask 0 carry no return to the one before; their own advantage is dropped by the loss.
 *
 * @returns advantages and the returns before whitening, in the shape and dtype of rewards
 * @throws PapoError with the argument's name
 */
export function reinforcePlusPlusAdvantages(
  inputs: ReinforcePlusPlusInputs,
  options: ReinforcePlusPlusOptions = {},
): ReinforcePlusPlusAdvantages {
  return runNow(prepareReinforcePlusPlus(inputs, options))
}

/**
 * {@link reinforcePlusPlusAdvantages} through the queue of the device: see
 * {@link lossFromLogitsAsync}.
 */
export async function reinforcePlusPlusAdvantagesAsync(
  inputs: ReinforcePlusPlusInputs,
  options: Queued<ReinforcePlusPlusOptions> = {},
): Promise<ReinforcePlusPlusAdvantages> {
  const [signal, rest] = takeSignal(options)
  return runQueued(prepareReinforcePlusPlus(inputs, rest), signal)
}

function prepareReinforcePlusPlus(
  inputs: ReinforcePlusPlusInputs,
  options: ReinforcePlusPlusOptions,
): PreparedCall<ReinforcePlusPlusAdvantages> {
  requireKeys('inputs', inputs, reinforceInputNames, 'ERR_INVALID_ARGUMENT')
  requireKeys('options', options, reinforceOptionNames)
  const rewards = toTensor('rewards', inputs.rewards)
  const engine = engineFor(options.engine, rewards)
  const call: AdvantagesCall = new Descriptor(layoutOfCall, engine)
  const layout = putRewards(call, rewards, inputs.cuSeqlens)
  if (layout.cuSeqlens === undefined && layout.shape.length === 1)
    throw invalid(
      'ERR_INVALID_SHAPE',
      'cuSeqlens',
      'cuSeqlens, or rewards of shape [B, T]',
      'neither',
    )
  putPerToken(call, 'responseMask', required('responseMask', inputs.responseMask), layout, 'uint8')
  const advantages = newPerToken(call, 'advantages', layout, layout.dtype)
  const returns = newPerToken(call, 'returns', layout, layout.dtype)
  const settings = {
    estimator: reinforcePlusPlus,
    scale: 0,
    epsilon: requireNumber('epsilon', options.epsilon, 1e-8, 0),
    discount: requireNumber('discount', options.discount, 1, 0, 1),
  }
  return prepared(engine, call, layout, settings, { advantages, returns })
}

interface RewardsLayout extends TokenLayout {
  readonly dtype: DType
}

function putRewards(
  call: AdvantagesCall,
  rewards: Tensor,
  cuSeqlens?: readonly number[] | Int32Array,
): RewardsLayout {
  const shape = tokenShape('rewards', rewards)
  if (!realDTypes.includes(rewards.dtype))
    throw invalid('ERR_INVALID_DTYPE', 'rewards', realDTypes.join(' or '), describeTensor(rewards))
  putVector(call, 'rewards', rewards, rewards.dtype)
  if (cuSeqlens !== undefined) return { ...packedLayout(shape, cuSeqlens), dtype: rewards.dtype }
  const rows = elementsOf(shape)
  const responses = shape.length === 2 ? shape[0]! : 1
  return { rows, responses, shape, cuSeqlens: undefined, dtype: rewards.dtype }
}

// putPerToken takes absent values; these are not optional.
function required(argument: string, value: TensorLike): Tensor {
  return toTensor(argument, value)
}

interface Settings {
  readonly estimator: number
  readonly scale: number
  readonly epsilon: number
  readonly discount: number
}

function prepared<Result>(
  engine: Engine,
  call: AdvantagesCall,
  layout: TokenLayout,
  settings: Settings,
  result: Result,
): PreparedCall<Result> {
  const handle = engineHandle(engine)
  const { responses, cuSeqlens } = layout
  const all = { ...settings, responses }
  return {
    descriptor: call,
    run: (jobs) => addon.advantages(handle, all, call.slots, call.shapes, cuSeqlens, jobs),
    finish: () => result,
  }
}
