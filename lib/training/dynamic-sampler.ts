import { describe, invalid } from '../errors'
import { requireInteger, requireKeys, requireOneOf } from '../options'
import type { TensorLike } from '../tensor'
import { idsOf, partition, promptsToDraw, readGroups, requireFilter, rowsOf } from './groups'
import type { Group, GroupFilter, GroupFilterOptions } from './groups'
import { requireSameOptions, stateArray, stateInteger, stateNumber, stateObject } from './state'

export interface DynamicSamplerOptions extends GroupFilterOptions {
  /** Groups that a batch has to have. */
  targetGroups: number
  /** Rounds of sampling after which fallback decides; default 20, as in the paper (2507.06448). */
  maxRounds?: number
  /**
   * What result() gives where maxRounds were not enough: 'error' (default) throws; 'keep' goes on
   * with the kept groups, of which there has to be one; 'unfiltered' fills up with dropped groups.
   */
  fallback?: 'error' | 'keep' | 'unfiltered'
}

export interface DynamicSamplerStatus {
  /** No further round: there are targetGroups groups, or maxRounds were added. */
  done: boolean
  rounds: number
  keptGroups: number
  missingGroups: number
  /** Prompts to sample in the next round, by the acceptance so far (docs/math.md Eq. 25). */
  promptsToDraw: number
}

/** Every group of all rounds is in exactly one of the lists of ids, in order of arrival. */
export interface SampledGroups {
  /** Rows of kept and filled groups, ascending, in the rounds laid one after the other. */
  rows: Int32Array
  /** The first targetGroups groups with a mean strictly between low and high. */
  keptGroupIds: Int32Array
  /** Groups with another mean, taken by the fallback 'unfiltered'. */
  filledGroupIds: Int32Array
  droppedGroupIds: Int32Array
  /** Groups like the kept ones, beyond targetGroups. */
  surplusGroupIds: Int32Array
}

/** What JSON.stringify writes of a sampler. */
export interface DynamicSamplerState {
  options: Required<DynamicSamplerOptions>
  rounds: number
  rows: number
  groups: Group[]
}

const optionNames = new Set(['targetGroups', 'maxRounds', 'fallback', 'low', 'high'])
const fallbacks = ['error', 'keep', 'unfiltered'] as const

interface Settings extends GroupFilter {
  readonly targetGroups: number
  readonly maxRounds: number
  readonly fallback: (typeof fallbacks)[number]
}

function requireSettings(options: DynamicSamplerOptions): Settings {
  requireKeys('options', options, optionNames)
  return {
    targetGroups: requireInteger('targetGroups', options.targetGroups, undefined, 1),
    maxRounds: requireInteger('maxRounds', options.maxRounds, 20, 1),
    fallback: requireOneOf('fallback', options.fallback, fallbacks),
    ...requireFilter(options),
  }
}

/**
 * Dynamic sampling over rounds (DAPO, arXiv 2503.14476): sample, add the raw metric, go on until
 * there are enough groups to learn from. See {@link selectGroups} for what is kept and why.
 *
 * A group belongs to one round: an id of an earlier round is ERR_INVALID_VALUE. Merging would
 * silently mix prompts where a trainer numbers the groups of every round from 0.
 *
 * @example
 * const sampler = new DynamicSampler({ targetGroups: 128, fallback: 'keep' })
 * while (!sampler.status.done) {
 *   const { accuracy, groupIds } = sample(sampler.status.promptsToDraw)
 *   sampler.add(accuracy, groupIds)
 * }
 * const { rows } = sampler.result()
 *
 * @throws PapoError ERR_INVALID_OPTION
 */
export class DynamicSampler {
  readonly #settings: Settings
  readonly #ids = new Set<number>()
  #groups: Group[] = []
  #rounds = 0
  #rows = 0

  constructor(options: DynamicSamplerOptions) {
    this.#settings = requireSettings(options)
  }

  /**
   * A sampler that goes on where the saved one was, under the same options.
   *
   * @throws PapoError ERR_INVALID_VALUE where the state is damaged or was saved under other options
   */
  static fromJSON(state: unknown, options: DynamicSamplerOptions): DynamicSampler {
    const sampler = new DynamicSampler(options)
    sampler.#restore(state)
    return sampler
  }

  /**
   * Takes over one round of complete groups.
   *
   * @param metric float32 or float64 [B], finite
   * @param groupIds int32 [B]: equal ones are a group; none of an earlier round
   * @throws PapoError as {@link selectGroups}; ERR_INVALID_ARGUMENT once done. Nothing is added then.
   */
  add(metric: TensorLike, groupIds: TensorLike): DynamicSamplerStatus {
    if (this.status.done)
      throw invalid('ERR_INVALID_ARGUMENT', 'metric', 'no round after the last', 'one more')
    const { groups, rows } = readGroups(metric, groupIds, this.#rows)
    const repeated = groups.find(({ id }) => this.#ids.has(id))
    if (repeated !== undefined)
      throw invalid(
        'ERR_INVALID_VALUE',
        'groupIds',
        'groups of this round alone',
        `group ${repeated.id} of an earlier round`,
      )
    this.#groups = this.#groups.concat(groups)
    for (const { id } of groups) this.#ids.add(id)
    this.#rows += rows
    this.#rounds += 1
    return this.status
  }

  get status(): DynamicSamplerStatus {
    const { targetGroups, maxRounds } = this.#settings
    const keptGroups = this.#partition().kept.length
    const missingGroups = targetGroups - keptGroups
    return {
      done: missingGroups === 0 || this.#rounds === maxRounds,
      rounds: this.#rounds,
      keptGroups,
      missingGroups,
      promptsToDraw: promptsToDraw(missingGroups, keptGroups, this.#groups.length),
    }
  }

  /**
   * The batch.
   *
   * @throws PapoError ERR_INVALID_ARGUMENT before it is done; ERR_INVALID_VALUE where maxRounds were
   * not enough and fallback is 'error', or is 'keep' and no group was kept
   */
  result(): SampledGroups {
    const { done, rounds, missingGroups } = this.status
    const { targetGroups, fallback } = this.#settings
    const { kept, dropped, surplus } = this.#partition()
    if (!done)
      throw invalid(
        'ERR_INVALID_ARGUMENT',
        'result',
        `${targetGroups} groups or the last round`,
        `${kept.length} groups in ${rounds} rounds`,
      )
    if (missingGroups > 0 && (fallback === 'error' || (fallback === 'keep' && kept.length === 0)))
      throw this.#tooFew(kept.length)
    const filled = fallback === 'unfiltered' ? missingGroups : 0
    return {
      rows: rowsOf([...kept, ...dropped.slice(0, filled)]),
      keptGroupIds: idsOf(kept),
      filledGroupIds: idsOf(dropped.slice(0, filled)),
      droppedGroupIds: idsOf(dropped.slice(filled)),
      surplusGroupIds: idsOf(surplus),
    }
  }

  /** Everything needed to go on: {@link DynamicSampler.fromJSON}. */
  toJSON(): DynamicSamplerState {
    return {
      options: { ...this.#settings },
      rounds: this.#rounds,
      rows: this.#rows,
      groups: this.#groups.map(({ id, mean, rows }) => ({ id, mean, rows: [...rows] })),
    }
  }

  #partition() {
    return partition(this.#groups, this.#settings, this.#settings.targetGroups)
  }

  #tooFew(kept: number): Error {
    const { targetGroups, maxRounds, low, high } = this.#settings
    return invalid(
      'ERR_INVALID_VALUE',
      'metric',
      `${targetGroups} groups with a mean between ${low} and ${high} in ${maxRounds} rounds`,
      `${kept}`,
    )
  }

  #restore(value: unknown): void {
    const state = stateObject('state', value, ['options', 'rounds', 'rows', 'groups'])
    requireSameOptions(state.options, this.#settings)
    this.#rounds = stateInteger('rounds', state.rounds, 0)
    this.#groups = stateArray('groups', state.groups).map(restoreGroup)
    for (const { id } of this.#groups) this.#ids.add(id)
    const rows = this.#groups.flatMap((group) => group.rows)
    this.#rows = stateInteger('rows', state.rows, 0)
    const isWhole =
      this.#rounds <= this.#settings.maxRounds &&
      this.#ids.size === this.#groups.length &&
      new Set(rows).size === this.#rows &&
      rows.length === this.#rows &&
      rows.every((row) => row < this.#rows)
    if (!isWhole)
      throw invalid(
        'ERR_INVALID_VALUE',
        'state',
        'every row in one group',
        `${rows.length} of ${describe(state.rows)} rows in ${this.#groups.length} groups`,
      )
  }
}

function restoreGroup(value: unknown): Group {
  const { id, mean, rows } = stateObject('groups', value, ['id', 'mean', 'rows'])
  const restored = stateArray('groups.rows', rows).map((row) => stateInteger('row', row, 0))
  return {
    id: stateInteger('groups.id', id, -(2 ** 31), 2 ** 31 - 1),
    mean: stateNumber('groups.mean', mean),
    rows: restored,
  }
}
