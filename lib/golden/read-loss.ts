import type {
  Body,
  CaseObjective,
  Dialect,
  LossCase,
  LossCaseArrays,
  LossCaseInputs,
  Terms,
} from './case'
import type { Fields } from './fields'
import { objectiveOf } from './objective'

interface Shape {
  readonly B: number
  readonly T: number
  readonly V: number
}

export function readLossCase(fields: Fields, dialect: Dialect): Body<LossCase> {
  const sizes = fields.object('shape')
  const shape = { B: sizes.count('B'), T: sizes.count('T'), V: sizes.count('V') }
  const expected = fields.object('expected')
  const inputs = readInputs(fields.object('inputs'), dialect, shape)
  return {
    objective: readObjective(fields, dialect, inputs, shape),
    responses: shape.B,
    tokensPerResponse: shape.T,
    vocabSize: shape.V,
    responsesPerCall: readResponsesPerCall(fields.object('config'), shape.B),
    inputs,
    arrays: readArrays(expected, dialect, shape),
    totalLoss: expected.number('totalLoss'),
    terms: readTerms(expected.object('terms'), dialect),
    termWeights: readTerms(expected.object('termWeights'), dialect),
    microBatchTerms: readMicroBatchTerms(expected, dialect),
    metrics: readMetrics(expected.object('metrics')),
    edges: readEdges(fields, shape),
  }
}

function readObjective(
  fields: Fields,
  dialect: Dialect,
  { responseMask }: LossCaseInputs,
  shape: Shape,
): CaseObjective {
  const temperature = fields.object('inputs').number('temperature')
  const validTokens = responseMask.reduce((sum, counted) => sum + counted, 0)
  return objectiveOf(dialect, fields.object('config'), temperature, {
    responses: shape.B,
    validTokens,
  })
}

function readInputs(inputs: Fields, dialect: Dialect, { B, T, V }: Shape): LossCaseInputs {
  const papo = dialect === 'papo'
  return {
    logits: inputs.numbers('logits', [B, T, V]),
    maskedLogits: dialect === 'trl_grpo' ? undefined : inputs.numbers('maskedLogits', [B, T, V]),
    tokens: inputs.numbers('tokens', [B, T]),
    responseMask: inputs.numbers('responseMask', [B, T]),
    oldLogProbs: papo
      ? inputs.numbers('oldLogProbs', [B, T])
      : inputs.optionalNumbers('oldLogProbs', [B, T]),
    refLogProbs: inputs.optionalNumbers('refLogProbs', [B, T]),
    advantages: papo ? undefined : inputs.numbers('advantages', [B]),
    rewards: papo ? inputs.numbers('rewards', [B]) : undefined,
    groupIds: papo ? inputs.numbers('groupIds', [B]) : undefined,
    perceptionWeights: papo ? inputs.numbers('klPrcpWeighting', [B]) : undefined,
    sftMask: inputs.optionalNumbers('correctnessMask', [B]),
  }
}

/** What every case of the dialect has is demanded; the rest is null where it does not apply. */
function readArrays(expected: Fields, dialect: Dialect, { B, T, V }: Shape): LossCaseArrays {
  const given = (name: string, shape: number[]) => expected.numbers(name, shape)
  const optional = (name: string, shape: number[]) => expected.optionalNumbers(name, shape)
  const masked = dialect === 'trl_grpo' ? optional : given
  return {
    advantages: (dialect === 'papo' ? given : optional)('advantages', [B]),
    logProbs: given('logProbs', [B, T]),
    maskedLogProbs: masked('maskedLogProbs', [B, T]),
    entropies: given('entropies', [B, T]),
    maskedEntropies: masked('maskedEntropies', [B, T]),
    klRefPerToken: optional('klRefPerToken', [B, T]),
    klPrcpPerToken: optional('klPrcpPerToken', [B, T]),
    gradLogProbs: given('gradLogProbs', [B, T]),
    gradMaskedLogProbs: masked('gradMaskedLogProbs', [B, T]),
    gradLogits: given('gradLogits', [B, T, V]),
    gradMaskedLogits: masked('gradMaskedLogits', [B, T, V]),
  }
}

function readResponsesPerCall(config: Fields, responses: number): number {
  if (!config.has('microBatchSize')) return responses
  const size = config.count('microBatchSize')
  if (responses % size !== 0) {
    throw config.error('microBatchSize', `${size} does not divide the ${responses} responses`)
  }
  return size
}

const termNames: Readonly<Record<Dialect, readonly string[]>> = {
  papo: ['policy', 'klRef', 'klPrcp', 'augEntropy', 'oriEntropy', 'sft'],
  trl_papo: ['base', 'perception', 'entropy', 'maskedEntropy'],
  trl_grpo: ['base', 'entropy'],
}

function readTerms(terms: Fields, dialect: Dialect): Terms {
  const unknown = terms.names().find((name) => !termNames[dialect].includes(name))
  if (unknown !== undefined) throw terms.error(unknown, `no term of dialect ${dialect}`)
  return Object.fromEntries(terms.names().map((name) => [name, terms.number(name)]))
}

function readMicroBatchTerms(expected: Fields, dialect: Dialect): Terms[] | undefined {
  if (!expected.has('microBatchTerms')) return undefined
  return expected.objects('microBatchTerms').map((terms) => readTerms(terms, dialect))
}

function readMetrics(metrics: Fields): Record<string, number | Float64Array> {
  return Object.fromEntries(metrics.names().map((name) => [name, metrics.numberOrList(name)]))
}

function readEdges(fields: Fields, { B, T }: Shape): ReadonlySet<number> {
  if (!fields.has('info') || !fields.object('info').has('edgePositions')) return new Set()
  const info = fields.object('info')
  const pairs = info.numbers('edgePositions', [-1, 2])
  const edges = new Set<number>()
  for (let i = 0; i < pairs.length; i += 2) {
    const [b, t] = [pairs[i] ?? -1, pairs[i + 1] ?? -1]
    if (!(b >= 0 && b < B && t >= 0 && t < T))
      throw info.error('edgePositions', 'outside the batch')
    edges.add(b * T + t)
  }
  return edges
}
