import { readFileSync } from 'node:fs'
import path from 'node:path'

/** A reference file that cannot be used; the message is one line that names file and field. */
export class GoldenError extends Error {
  override readonly name = 'GoldenError'
}

/** Numbers that JSON has no word for are strings (test/golden/FORMAT.md, section 1). */
const nonFinite: Readonly<Record<string, number>> = {
  Infinity: Infinity,
  '-Infinity': -Infinity,
  NaN: NaN,
}

/** Checked access to an object of a reference file; every complaint names file and field. */
export class Fields {
  private constructor(
    private readonly file: string,
    private readonly prefix: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  static read(file: string): Fields {
    const name = path.basename(file)
    let value: unknown
    try {
      value = JSON.parse(readFileSync(file, 'utf8'))
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]
      throw new GoldenError(`${name}: not readable as JSON: ${reason}`)
    }
    if (!isObject(value)) throw new GoldenError(`${name}: expected one JSON object`)
    return new Fields(name, '', value)
  }

  names(): string[] {
    return Object.keys(this.values)
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null
  }

  object(name: string): Fields {
    const value = this.values[name]
    if (!isObject(value)) throw this.expected(name, 'an object')
    return new Fields(this.file, `${this.prefix}${name}.`, value)
  }

  objects(name: string): Fields[] {
    const value = this.values[name]
    if (!Array.isArray(value) || !value.every(isObject)) throw this.expected(name, 'objects')
    return value.map((entry, i) => new Fields(this.file, `${this.prefix}${name}[${i}].`, entry))
  }

  string(name: string): string {
    const value = this.values[name]
    if (typeof value !== 'string') throw this.expected(name, 'a string')
    return value
  }

  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice {
    const value = this.string(name)
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw this.expected(name, `one of ${choices.join(', ')}`)
    return found
  }

  boolean(name: string): boolean {
    const value = this.values[name]
    if (typeof value !== 'boolean') throw this.expected(name, 'true or false')
    return value
  }

  number(name: string): number {
    const value = toNumber(this.values[name])
    if (value === undefined) throw this.expected(name, 'a number')
    return value
  }

  optionalNumber(name: string): number | undefined {
    return this.has(name) ? this.number(name) : undefined
  }

  count(name: string): number {
    const value = this.number(name)
    if (!Number.isInteger(value) || value < 1) throw this.expected(name, 'a whole number above 0')
    return value
  }

  /** Nested arrays of exactly this shape, flattened row by row. A size of -1 takes what comes. */
  numbers(name: string, shape: readonly number[]): Float64Array {
    const sizes = shape.map((size) => (size < 0 ? 'n' : size)).join(', ')
    const flat: number[] = []
    if (!flatten(this.values[name], shape, flat)) throw this.expected(name, `numbers [${sizes}]`)
    return Float64Array.from(flat)
  }

  /** Rows and columns of a nested array, judged by its first row. */
  matrixShape(name: string): [number, number] {
    const value = this.values[name]
    const first: unknown = Array.isArray(value) ? value[0] : undefined
    if (!Array.isArray(value) || !Array.isArray(first)) throw this.expected(name, 'numbers [n, n]')
    return [value.length, first.length]
  }

  optionalNumbers(name: string, shape: readonly number[]): Float64Array | undefined {
    return this.has(name) ? this.numbers(name, shape) : undefined
  }

  /** A number, or one number for each micro-batch. */
  numberOrList(name: string): number | Float64Array {
    return Array.isArray(this.values[name]) ? this.numbers(name, [-1]) : this.number(name)
  }

  error(name: string, problem: string): GoldenError {
    return new GoldenError(`${this.file}: ${this.prefix}${name}: ${problem}`)
  }

  private expected(name: string, what: string): GoldenError {
    const missing = this.values[name] === undefined
    return this.error(name, missing ? `missing; expected ${what}` : `expected ${what}`)
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && Object.hasOwn(nonFinite, value) ? nonFinite[value] : undefined
}

function flatten(value: unknown, shape: readonly number[], into: number[]): boolean {
  const [size, ...inner] = shape
  if (size === undefined) {
    const number = toNumber(value)
    if (number !== undefined) into.push(number)
    return number !== undefined
  }
  if (!Array.isArray(value) || (size >= 0 && value.length !== size)) return false
  return value.every((entry) => flatten(entry, inner, into))
}
