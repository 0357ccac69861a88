#!/usr/bin/env node
// Writes everything that repeats native/loss/options.json: the C struct and enums, the C++ table,
// the TypeScript types and table, and the reference page. `--check` fails where a file is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { options, profiles, metrics } = JSON.parse(
  readFileSync(join(root, 'native/loss/options.json'), 'utf8'),
)
const source = 'native/loss/options.json'
const isEnum = (option) => option.type === 'enum'
const isNumber = (option) => option.type === 'number'
const constant = (name) => name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()
const snake = (name) => constant(name).toLowerCase()

/** How C stores a value: words of numbers become their sentinel, names their index. */
function stored(option, value) {
  if (value === 'off') return 'Infinity'
  if (value === 'unset') return '0'
  if (isEnum(option)) return String(option.values.indexOf(value))
  if (typeof value === 'boolean') return value ? '1' : '0'
  return String(value)
}

function sentinel(option) {
  const words = [option.default, ...profiles.map((profile) => profile.set[option.name])]
  if (option.name === 'klLogRatioClamp' || option.name === 'klValueClamp') return 'off'
  return words.find((word) => word === 'off' || word === 'unset')
}

function range(option) {
  if (isEnum(option)) return option.values.map((value) => `\`${value}\``).join(', ')
  if (!isNumber(option)) return '`true`, `false`'
  const low =
    option.above !== undefined
      ? `> ${option.above}`
      : option.min !== undefined
        ? `≥ ${option.min}`
        : 'finite'
  const high = option.max !== undefined ? `, ≤ ${option.max}` : ''
  const word = sentinel(option)
  return low + high + (word ? `, or \`${word}\`` : '')
}

function cHeader() {
  const enums = options.filter(isEnum).map((option) => {
    const rows = option.values.map(
      (value, i) => `  PAPO_${constant(option.name)}_${constant(value)} = ${i}`,
    )
    return `typedef enum papo_${snake(option.name)} {\n${rows.join(',\n')}\n} papo_${snake(option.name)};`
  })
  const fields = options.map((option) => {
    const type = isNumber(option) ? 'double' : 'int32_t'
    const words = { off: ' INFINITY: off.', unset: ' 0: unset.' }[sentinel(option)] ?? ''
    const kind = isEnum(option) ? ` (papo_${snake(option.name)})` : ''
    return `  /* ${option.text}${words}${kind} */\n  ${type} ${option.name};`
  })
  const list = options.map(
    (option) => `  ${isNumber(option) ? 'NUMBER' : 'INTEGER'}(${option.name})`,
  )
  const indices = metrics.map(
    (metric, i) => `  PAPO_METRIC_${metric.name} = ${i}, /* ${metric.text} */`,
  )
  return `/* Generated from ${source} by scripts/generate-options.mjs; edit that list. */
#ifndef PAPO_OBJECTIVE_H
#define PAPO_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

${enums.join('\n\n')}

/* Every option of the loss (docs/options.md). Fill with papo_objective_init, then change fields. */
typedef struct papo_objective {
  size_t size; /* sizeof(papo_objective) */
${fields.join('\n')}
} papo_objective;

/* The fields in order, for code that moves them one by one. */
#define PAPO_OBJECTIVE_FIELDS(NUMBER, INTEGER) \\
${list.join(' \\\n')}

#define PAPO_OBJECTIVE_FIELD_COUNT ${options.length}

/* Indices into papo_loss_args.metrics. */
typedef enum papo_metric {
${indices.join('\n')}
  PAPO_METRIC_COUNT = ${metrics.length}
} papo_metric;

#endif
`
}

function cNumber(text) {
  return text === 'Infinity' ? 'INFINITY' : text
}

function cTable() {
  const rows = options.map((option) => {
    const bound = (value) => (value === undefined ? 'kNone' : String(value))
    const max = isNumber(option) ? bound(option.max) : String((option.values?.length ?? 2) - 1)
    const min = isNumber(option) ? bound(option.min) : '0'
    const word = isNumber(option) ? (sentinel(option) ?? '') : ''
    return (
      `    {"${option.name}", offsetof(papo_objective, ${option.name}), ${isNumber(option)}, ` +
      `${min},\n     ${bound(option.above)}, ${max}, "${word}", ${cNumber(stored(option, option.default))}},`
    )
  })
  const sets = profiles.map((profile) => {
    const entries = Object.entries(profile.set).map(([name, value]) => {
      const index = options.findIndex((option) => option.name === name)
      if (index < 0) throw new Error(`profile ${profile.name}: no option ${name}`)
      return `    {${index}, ${cNumber(stored(options[index], value))}},  // ${name}`
    })
    return { name: profile.name, entries }
  })
  return `// Generated from ${source} by scripts/generate-options.mjs; edit that list.
// clang-format off
#pragma once

#include <cmath>
#include <cstddef>

#include "papo.h"

namespace papo {

struct OptionRow {
  const char* name;
  size_t offset;    // in papo_objective
  bool isNumber;    // double, else int32_t
  double min;       // NaN: no bound
  double above;     // exclusive lower bound, NaN: none
  double max;
  const char* word; // "off": INFINITY is allowed; "unset": 0 is allowed
  double initial;
};

struct OptionSetting {
  int option;  // index into kOptions
  double value;
};

struct ProfileRow {
  const char* name;
  const OptionSetting* first;
  int count;
};

constexpr double kNone = NAN;

constexpr OptionRow kOptions[] = {
${rows.join('\n')}
};

${sets.map((set) => `constexpr OptionSetting kProfile_${set.name}[] = {\n${set.entries.join('\n')}\n};`).join('\n')}

constexpr ProfileRow kProfiles[] = {
${sets.map((set) => `    {"${set.name}", kProfile_${set.name}, ${set.entries.length}},`).join('\n')}
};

}  // namespace papo
// clang-format on
`
}

function tsTable() {
  const type = (option) => {
    if (isEnum(option)) return option.values.map((value) => `'${value}'`).join(' | ')
    if (!isNumber(option)) return 'boolean'
    return sentinel(option) ? `number | '${sentinel(option)}'` : 'number'
  }
  const literal = (value) => (typeof value === 'string' ? `'${value}'` : String(value))
  const fields = options.map(
    (option) =>
      `  /** ${option.text} Range: ${range(option)}. Default: \`${option.default}\`. */\n  ${option.name}: ${type(option)}`,
  )
  const rows = options.map((option) => {
    const parts = [
      `name: '${option.name}'`,
      `type: '${option.type}'`,
      `initial: ${literal(option.default)}`,
    ]
    if (isEnum(option)) parts.push(`values: [${option.values.map(literal).join(', ')}]`)
    for (const key of ['min', 'above', 'max'])
      if (option[key] !== undefined) parts.push(`${key}: ${option[key]}`)
    if (isNumber(option) && sentinel(option)) parts.push(`word: '${sentinel(option)}'`)
    return `  { ${parts.join(', ')} },`
  })
  const sets = profiles.map((profile) => {
    const entries = Object.entries(profile.set).map(([name, value]) => `${name}: ${literal(value)}`)
    return `  /** ${profile.text} */\n  ${profile.name}: { ${entries.join(', ')} },`
  })
  return `// Generated from ${source} by scripts/generate-options.mjs; edit that list.

/** Every option of the objective. Symbols and formulas: docs/math.md. */
export interface ObjectiveOptions {
${fields.join('\n')}
}

/** Named option sets, each tied to reference cases of the code it stands for (docs/options.md). */
export type ProfileName =
${profiles.map((profile) => `  | '${profile.name}'`).join('\n')}

/** Scalars of one loss call; all in nats where they are log-probs, KLs or entropies. */
export interface Metrics {
${metrics.map((metric) => `  /** ${metric.text} */\n  ${metric.name}: number`).join('\n')}
}

export interface OptionRow {
  readonly name: keyof ObjectiveOptions
  readonly type: 'number' | 'enum' | 'boolean'
  readonly initial: number | string | boolean
  readonly values?: readonly string[]
  readonly min?: number
  readonly above?: number
  readonly max?: number
  /** A word that is accepted in place of a number. */
  readonly word?: 'off' | 'unset'
}

/** In the order of the C struct. */
export const optionRows: readonly OptionRow[] = [
${rows.join('\n')}
]

export const profileSettings: Readonly<Record<ProfileName, Partial<ObjectiveOptions>>> = {
${sets.join('\n')}
}

/** In the order of papo_metric. */
export const metricNames: readonly (keyof Metrics)[] = [
${metrics.map((metric) => `  '${metric.name}',`).join('\n')}
]

/** From the array of a call. A literal: a loop over metricNames takes ten times as long. */
export function readMetrics(values: Float64Array): Metrics {
  return {
${metrics.map((metric, i) => `    ${metric.name}: values[${i}]!,`).join('\n')}
  }
}
`
}

function page() {
  const table = options.map(
    (option) =>
      `| \`${option.name}\` | ${range(option).replaceAll('|', '\\|')} | \`${option.default}\` | ${option.text} |`,
  )
  const sets = profiles.map((profile) => {
    const values = Object.entries(profile.set)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
    const golden = profile.golden.map((name) => `\`${name}\``).join(', ') || '–'
    return `| \`${profile.name}\` | ${profile.text} | ${values || '–'} | ${golden} |`
  })
  return `# Options, profiles and metrics

Generated from \`${source}\` by \`npm run generate\`. The names are the same in TypeScript, C and C++.

## Options of the objective

| option | range | default | meaning |
| --- | --- | --- | --- |
${table.join('\n')}

In C, \`off\` is \`INFINITY\`, \`unset\` is 0, and names are the enumerators of \`papo_objective.h\`.

## Profiles

What a profile does not set has its default. The last column names the reference cases in \`test/golden\` that it is held against.

| profile | what it is | sets | reference cases |
| --- | --- | --- | --- |
${sets.join('\n')}

## Metrics

| metric | meaning |
| --- | --- |
${metrics.map((metric) => `| \`${metric.name}\` | ${metric.text} |`).join('\n')}
`
}

const files = {
  'native/include/papo_objective.h': cHeader(),
  'native/loss/objective_table.h': cTable(),
  'lib/loss/objective-table.ts': tsTable(),
  'docs/options.md': page(),
}
const check = process.argv.includes('--check')
let stale = 0
for (const [name, text] of Object.entries(files)) {
  const path = join(root, name)
  let old = ''
  try {
    old = readFileSync(path, 'utf8')
  } catch {}
  if (old === text) continue
  stale += 1
  if (check) console.error(`${name} is not what ${source} says; run: npm run generate`)
  else writeFileSync(path, text)
}
if (check && stale > 0) process.exit(1)
