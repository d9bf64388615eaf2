/** Holds values against the schemas of a description. Stricter than JSON Schema: a member that is not described is a problem. */
import type { Schema } from '../../src/openapi/openApi.ts'

/** What lies at a reference such as `#/components/schemas/Job`. Throws where there is nothing. */
export function resolve(document: object, reference: string): unknown {
  const names = reference.replace(/^#\//, '').split('/')
  let found: unknown = document
  for (const name of names) found = (found as Record<string, unknown> | undefined)?.[name.replaceAll('~1', '/')]
  if (found === undefined || !reference.startsWith('#/')) throw new Error(`${reference} leads nowhere`)
  return found
}

/** What is wrong with a value, each with its place in it; empty where nothing is. */
export function problems(document: object, schema: Schema, value: unknown, place = 'it'): string[] {
  if (schema.$ref !== undefined) return problems(document, resolve(document, schema.$ref) as Schema, value, place)
  const alternatives = schema.oneOf ?? schema.anyOf
  if (alternatives) return alternativeProblems(document, alternatives, schema.oneOf !== undefined, value, place)
  const types = schema.type === undefined ? [] : [schema.type].flat()
  const type = typeOf(value)
  if (types.length > 0 && !types.includes(type) && !(type === 'integer' && types.includes('number'))) {
    return [`${place} is ${type}, not ${types.join(' or ')}`]
  }
  if (Array.isArray(value)) return listProblems(document, schema, value, place)
  if (type === 'object') return objectProblems(document, schema, value as Record<string, unknown>, place)
  return plainProblems(schema, value, place)
}

function alternativeProblems(
  document: object,
  alternatives: readonly Schema[],
  isExclusive: boolean,
  value: unknown,
  place: string,
): string[] {
  const found = alternatives.map((alternative) => problems(document, alternative, value, place))
  const fitting = found.filter((list) => list.length === 0).length
  if (fitting === 0) return [`${place} fits no alternative: ${found.flat().join('; ')}`]
  return isExclusive && fitting > 1 ? [`${place} fits ${fitting} alternatives`] : []
}

function listProblems(
  document: object,
  { items, minItems, maxItems }: Schema,
  list: unknown[],
  place: string,
): string[] {
  const wrong = items ? list.flatMap((item, index) => problems(document, items, item, `${place}[${index}]`)) : []
  if (list.length < (minItems ?? 0) || list.length > (maxItems ?? Infinity))
    wrong.push(`${place} has ${list.length} items`)
  return wrong
}

function objectProblems(
  document: object,
  { properties, required = [], additionalProperties = properties === undefined }: Schema,
  object: Record<string, unknown>,
  place: string,
): string[] {
  const missing = required.filter((name) => !(name in object)).map((name) => `${place}.${name} is missing`)
  const wrong = Object.entries(object).flatMap(([name, member]) => {
    const schema = properties?.[name] ?? additionalProperties
    if (typeof schema === 'boolean') return schema ? [] : [`${place}.${name} is not described`]
    return problems(document, schema, member, `${place}.${name}`)
  })
  return [...missing, ...wrong]
}

function plainProblems(schema: Schema, value: unknown, place: string): string[] {
  const text = typeof value === 'string' ? value : ''
  const isRight =
    (schema.enum === undefined || schema.enum.includes(value as string)) &&
    (schema.pattern === undefined || new RegExp(schema.pattern).test(text)) &&
    (schema.minimum === undefined || Number(value) >= schema.minimum) &&
    (schema.exclusiveMinimum === undefined || Number(value) > schema.exclusiveMinimum) &&
    (schema.format !== 'date-time' || value === null || !Number.isNaN(Date.parse(text)))
  return isRight ? [] : [`${place} is ${JSON.stringify(value)}`]
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}
