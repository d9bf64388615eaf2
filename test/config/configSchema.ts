/**
 * The JSON Schema of settings files, made from the settings. `config/config.schema.json` has to equal it; write it anew with
 * `node_modules/.bin/node test/config/configSchema.ts > config/config.schema.json`.
 */
import prettier from 'prettier'
import type { FormatName } from '../../src/config/formats.ts'
import { schema, variables, type Variable } from '../../src/config/schema.ts'

interface Row {
  readonly doc: string
  readonly format: FormatName
  readonly default: unknown
  readonly defaultText?: string
  readonly min?: number
  readonly max?: number
  readonly choices?: readonly string[]
  readonly optional?: boolean
}

const list = { type: 'array', items: { type: 'string' } }
const text = { type: 'string' }

/** What a value may be: as JSON has it, or as the text that the environment would hold. */
const FORMATS: Readonly<Record<FormatName, (row: Row) => object>> = {
  'whole-number': ({ min, max }) => ({
    anyOf: [
      { type: 'integer', minimum: min, maximum: max },
      { type: 'string', pattern: '^\\d+$' },
    ],
  }),
  workers: ({ min, max }) => ({
    anyOf: [
      { type: 'integer', minimum: min, maximum: max },
      { type: 'string', pattern: '^(\\d+|[aA][uU][tT][oO])$' },
    ],
  }),
  seconds: ({ min, max }) => ({
    anyOf: [
      { type: 'number', minimum: min, maximum: max },
      { type: 'string', pattern: '^(\\d+\\.?\\d*|\\.\\d+)$' },
    ],
  }),
  size: ({ min, max }) => ({
    anyOf: [
      { type: 'integer', minimum: min, maximum: max },
      { type: 'string', pattern: '^\\d+(\\.\\d+)?\\s*([bB]|[kKmMgGtT][bB])?$' },
    ],
  }),
  'true-or-false': () => ({
    anyOf: [{ type: 'boolean' }, { type: 'string', pattern: '^([tT][rR][uU][eE]|[fF][aA][lL][sS][eE])$' }],
  }),
  choice: ({ choices }) => ({ enum: choices }),
  text: ({ optional }) => (optional ? text : { ...text, minLength: 1 }),
  host: () => ({ ...text, minLength: 1 }),
  'http-url': () => ({ ...text, pattern: '^([hH][tT][tT][pP][sS]?://|$)' }),
  'proxy-url': () => text,
  'state-url': () => ({ ...text, pattern: '^(memory:$|sqlite:.|rediss?://.)' }),
  'trust-proxy': ({ max }) => ({
    anyOf: [{ const: false }, { type: 'integer', minimum: 0, maximum: max }, text, list],
  }),
  hosts: () => ({ anyOf: [list, text] }),
  addresses: () => ({ anyOf: [list, text] }),
  keys: () => ({ anyOf: [list, text] }),
  origins: () => ({ anyOf: [list, text] }),
  key: () => ({ ...text, pattern: '^[!-+\\--~]*$' }),
}

function property(variable: Variable): object {
  const row: Row = schema[variable]
  return { description: row.doc, default: row.defaultText ?? row.default, ...FORMATS[row.format](row) }
}

/** The text of `config/config.schema.json`. */
export async function configSchemaText(): Promise<string> {
  const whole = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Settings of the Infernet Gateway',
    description: 'The file that CONFIG_FILE names, and config/<NODE_ENV>.json.',
    type: 'object',
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      ...Object.fromEntries(variables.map((variable) => [variable, property(variable)])),
    },
  }
  return prettier.format(JSON.stringify(whole), { parser: 'json', printWidth: 120 })
}

if (import.meta.main) process.stdout.write(await configSchemaText())
