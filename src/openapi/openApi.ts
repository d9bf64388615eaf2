/** The parts of OpenAPI 3.1 that are used here: enough for the compiler to find a misspelt member. */

/** Schema Object: JSON Schema 2020-12. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly oneOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly enum?: readonly (string | boolean | null)[]
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly default?: unknown
  readonly examples?: readonly unknown[]
}

export interface Reference {
  readonly $ref: string
}

export interface Example {
  readonly summary: string
  readonly value: unknown
}

export interface Media {
  readonly schema: Schema
  readonly examples?: Readonly<Record<string, Reference>>
}

export interface Header {
  readonly description: string
  readonly schema: Schema
}

export interface Answer {
  readonly description: string
  readonly headers?: Readonly<Record<string, Header | Reference>>
  readonly content?: Readonly<Record<string, Media>>
}

export interface Parameter {
  readonly name: string
  readonly in: 'query' | 'header' | 'path'
  readonly description: string
  readonly required?: boolean
  readonly schema: Schema
}

/** Answers by status, and `default` for all others. */
export type Answers = Readonly<Record<string, Answer | Reference>>

/** Any one of the entries will do; `{}` is nobody's key. */
export type Security = readonly Readonly<Record<string, readonly string[]>>[]

export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly (Parameter | Reference)[]
  readonly requestBody?: { readonly required: true; readonly content: Readonly<Record<string, Media>> }
  readonly security?: Security
  readonly responses: Answers
}

type PathItem = Readonly<Partial<Record<'get' | 'post' | 'put' | 'delete', Operation>>>
export type Paths = Readonly<Record<string, PathItem>>

/** A schema of the shared ones. */
export function named(schema: string): Schema {
  return { $ref: `#/components/schemas/${schema}` }
}

/** An object whose members are all there, but for those named optional. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', properties, ...(required.length > 0 && { required }) }
}

export function list(items: Schema, description?: string): Schema {
  return { type: 'array', items, ...(description !== undefined && { description }) }
}

/** An object used as a map: any names, one kind of value. */
export function map(values: Schema, description?: string): Schema {
  return { type: 'object', additionalProperties: values, ...(description !== undefined && { description }) }
}

export function text(description?: string): Schema {
  return { type: 'string', ...(description !== undefined && { description }) }
}

export function flag(description: string): Schema {
  return { type: 'boolean', description }
}

export function wholeNumber(description: string): Schema {
  return { type: 'integer', minimum: 0, description }
}

/** A number ≥ 0, such as seconds. */
export function amount(description: string): Schema {
  return { type: 'number', minimum: 0, description }
}

/** An answer in JSON. */
export function json(description: string, schema: Schema, headers?: Answer['headers']): Answer {
  return { description, ...(headers && { headers }), content: { 'application/json': { schema } } }
}

export function jsonBody(schema: Schema): NonNullable<Operation['requestBody']> {
  return { required: true, content: { 'application/json': { schema } } }
}
