import assert from 'node:assert/strict'
import { FAULT_EXAMPLES } from '../../src/openapi/faultAnswers.ts'
import { test } from 'node:test'
import { FAULTS, type FaultCode } from '../../src/faults.ts'
import type { Schema } from '../../src/openapi/openApi.ts'
import { problems, resolve } from './conformance.ts'
import { description, operations, walk } from './document.ts'

function references(): Set<string> {
  const found = new Set<string>()
  walk(description, ({ $ref }) => {
    if (typeof $ref === 'string') found.add($ref)
  })
  return found
}

test('every reference leads somewhere', () => {
  const found = references()
  assert.ok(found.size > 50)
  for (const reference of found) assert.ok(resolve(description, reference))
})

test('every shared part is used', () => {
  const used = references()
  for (const kind of ['schemas', 'parameters', 'headers', 'examples', 'responses']) {
    for (const name of Object.keys(description.components[kind]!)) {
      assert.ok(used.has(`#/components/${kind}/${name}`), `${kind}/${name} is used nowhere`)
    }
  }
})

/** The faults whose examples are named anywhere in a value. */
function faultsIn(value: unknown): string[] {
  const codes: string[] = []
  walk(value, ({ $ref }) => {
    const code = typeof $ref === 'string' ? /^#\/components\/examples\/(\w+)(?:\.\w+)?$/.exec($ref)?.[1] : undefined
    if (code !== undefined) codes.push(code)
  })
  return codes
}

test('every fault that a client can see is described, under its own status', () => {
  const seen = new Set(faultsIn(description.components['responses']))
  for (const { operation } of operations) {
    for (const [status, answer] of Object.entries(operation.responses)) {
      for (const code of faultsIn(answer)) {
        assert.equal(status, String(FAULTS[code as FaultCode].status), `${code} of ${operation.operationId}`)
        seen.add(code)
      }
    }
  }
  const seeable = Object.keys(FAULTS).filter((code) => code !== 'ERR_CLIENT_GONE')
  assert.deepEqual([...seen].sort(), seeable.sort())
})

test('the examples of faults are errors as they are sent', () => {
  const schemas: Record<string, string> = { openai: 'OpenAiError', anthropic: 'AnthropicError' }
  for (const [name, example] of Object.entries(description.components['examples']!)) {
    const schema = schemas[name.split('.')[1] ?? ''] ?? 'Error'
    const { value } = example as { value: unknown }
    assert.deepEqual(problems(description, { $ref: `#/components/schemas/${schema}` }, value), [], name)
  }
})

test('every operation has an id of its own, a known tag, known keys and an answer for success and for any fault', () => {
  const ids = operations.map(({ operation }) => operation.operationId)
  assert.deepEqual([...new Set(ids)], ids)
  const tags = description.tags.map(({ name }) => name)
  const schemes = Object.keys(description.components['securitySchemes']!)
  for (const { operation } of operations) {
    assert.ok(operation.tags.length === 1 && tags.includes(operation.tags[0]!), operation.operationId)
    for (const scheme of (operation.security ?? []).flatMap(Object.keys)) assert.ok(schemes.includes(scheme), scheme)
    const { responses } = operation
    assert.ok((responses['200'] ?? responses['101']) && responses['default'], operation.operationId)
  }
})

test('what a schema requires is among its properties', () => {
  walk(description.components['schemas'], (schema) => {
    const { required, properties } = schema as Schema
    if (Array.isArray(required)) for (const name of required as string[]) assert.ok(name in properties!, name)
  })
})

test('a member that is not described, one that is missing and one of another type are found', () => {
  const schema = { $ref: '#/components/schemas/Alive' }
  assert.deepEqual(problems(description, schema, { status: 'alive' }), [])
  assert.deepEqual(problems(description, schema, { status: 'alive', extra: 1 }), ['it.extra is not described'])
  assert.deepEqual(problems(description, schema, {}), ['it.status is missing'])
  assert.deepEqual(problems(description, schema, { status: 1 }), ['it.status is integer, not string'])
  assert.deepEqual(problems(description, schema, { status: 'dead' }), ['it.status is "dead"'])
})

test('a fault that may come after a node took the job never promises that nothing was run', () => {
  for (const code of ['ERR_LEDGER', 'ERR_INTERNAL', 'ERR_NODE_RESET', 'ERR_NODE_SILENT']) {
    assert.match(FAULT_EXAMPLES[code]!.summary, /Something may have been run\.$/, code)
  }
})
