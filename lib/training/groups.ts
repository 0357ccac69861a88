import type { DType } from '../dtype'
import { describe, invalid } from '../errors'
import { requireInteger, requireKeys, requireNumber } from '../options'
import type { TensorLike } from '../tensor'
import { readVector, requireSameLength } from './vector'

export interface GroupFilterOptions {
  /** A group is kept where its mean is above low, default 0.01, ... */
  low?: number
  /** ... and below high, default 0.99. */
  high?: number
}

export interface SelectGroupsOptions extends GroupFilterOptions {
  /** Groups that a batch has to have; default: as many as there are in this call. */
  targetGroups?: number
}

/** Every group of the call is in exactly one of the lists of ids, in order of its first row. */
export interface GroupSelection {
  /** Rows of the kept groups, ascending. */
  rows: Int32Array
  /** The first targetGroups groups with a mean strictly between low and high. */
  keptGroupIds: Int32Array
  /** Groups with another mean: nothing to learn from. */
  droppedGroupIds: Int32Array
  /** Groups like the kept ones, beyond targetGroups. */
  surplusGroupIds: Int32Array
  /** Share of all groups that were not dropped. */
  acceptance: number
  /** Groups to keep until there are targetGroups; 0 where there are. */
  missingGroups: number
  /** Prompts to sample for them, by the acceptance so far (docs/math.md Eq. 25). */
  promptsToDraw: number
}

/** The responses to one prompt. */
export interface Group {
  readonly id: number
  /** Of the metric. */
  readonly mean: number
  /** Ascending. */
  readonly rows: readonly number[]
}

export interface GroupFilter {
  readonly low: number
  readonly high: number
}

const realDTypes: readonly DType[] = ['float32', 'float64']
const optionNames = new Set(['low', 'high', 'targetGroups'])

/**
 * Dynamic sampling (DAPO, arXiv 2503.14476): drops the groups whose responses are all right or all
 * wrong, which have advantages of 0 and would only thin out the batch.
 *
 * The metric has to be the raw one, such as accuracy: a shaped reward (length penalty, format
 * bonus) differs within nearly every group, so that nothing would be dropped.
 *
 * @param metric float32 or float64 [B], finite
 * @param groupIds int32 [B]: any numbers in any order; equal ones are a group
 * @throws PapoError ERR_INVALID_ARGUMENT, ERR_INVALID_DTYPE, ERR_INVALID_SHAPE, ERR_INVALID_VALUE
 * (a metric that is not finite), ERR_INVALID_OPTION
 */
export function selectGroups(
  metric: TensorLike,
  groupIds: TensorLike,
  options: SelectGroupsOptions = {},
): GroupSelection {
  requireKeys('options', options, optionNames)
  const filter = requireFilter(options)
  const { groups } = readGroups(metric, groupIds)
  const target = requireInteger('targetGroups', options.targetGroups, groups.length, 1)
  const { kept, dropped, surplus } = partition(groups, filter, target)
  return {
    rows: rowsOf(kept),
    keptGroupIds: idsOf(kept),
    droppedGroupIds: idsOf(dropped),
    surplusGroupIds: idsOf(surplus),
    acceptance: (kept.length + surplus.length) / groups.length,
    missingGroups: target - kept.length,
    promptsToDraw: promptsToDraw(target - kept.length, kept.length, groups.length),
  }
}

export function requireFilter(options: GroupFilterOptions): GroupFilter {
  const low = requireNumber('low', options.low, 0.01)
  const high = requireNumber('high', options.high, 0.99)
  if (!(low < high))
    throw invalid('ERR_INVALID_OPTION', 'high', `a number above low, ${low}`, describe(high))
  return { low, high }
}

/** The groups of a round in order of their first rows; rows count from firstRow. */
export function readGroups(
  metric: TensorLike,
  groupIds: TensorLike,
  firstRow = 0,
): { groups: Group[]; rows: number } {
  const values = readVector('metric', metric, realDTypes)
  const ids = readVector('groupIds', groupIds, ['int32'])
  requireSameLength('groupIds', ids, values.length)
  const sums = new Map<number, { sum: number; rows: number[] }>()
  for (let i = 0; i < values.length; ++i) {
    const value = values[i]!
    if (!Number.isFinite(value))
      throw invalid('ERR_INVALID_VALUE', 'metric', 'finite numbers', `${value} in row ${i}`)
    const group = sums.get(ids[i]!) ?? { sum: 0, rows: [] }
    if (group.rows.length === 0) sums.set(ids[i]!, group)
    group.sum += value
    group.rows.push(firstRow + i)
  }
  const groups = Array.from(sums, ([id, { sum, rows }]) => ({ id, mean: sum / rows.length, rows }))
  return { groups, rows: values.length }
}

export function partition(groups: readonly Group[], filter: GroupFilter, target: number) {
  const isMixed = ({ mean }: Group) => mean > filter.low && mean < filter.high
  const mixed = groups.filter(isMixed)
  return {
    kept: mixed.slice(0, target),
    surplus: mixed.slice(target),
    dropped: groups.filter((group) => !isMixed(group)),
  }
}

/**
 * docs/math.md Eq. 25. One group more, kept, is counted in with those seen: where none was kept yet
 * the estimate would be infinite.
 */
export function promptsToDraw(missing: number, kept: number, seen: number): number {
  return Math.ceil((missing * (seen + 1)) / (kept + 1))
}

export function idsOf(groups: readonly Group[]): Int32Array {
  return Int32Array.from(groups, ({ id }) => id)
}

export function rowsOf(groups: readonly Group[]): Int32Array {
  return Int32Array.from(groups.flatMap(({ rows }) => rows)).sort()
}
