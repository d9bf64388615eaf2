import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { modelSteps } from '../../src/fleet/modelList.ts'
import { namesOf, ServiceModels, type ModelRules } from '../../src/fleet/serviceModels.ts'
import { atOnce } from '../kit/steps.ts'

const DEFAULTS = { ownedBy: 'the-service', created: 1_700_000_000 }

const listOf = (text: string) => atOnce(modelSteps(Buffer.from(text), DEFAULTS))
const entriesOf = (text: string) => listOf(text)?.models.map(({ json }) => json)

describe('a list of models', () => {
  test('keeps each entry as it is written, and adds what clients need and it leaves out', () => {
    const whole =
      '{"id":"a","object":"model","created":1,"owned_by":"x", "max_model_len":4e3,"permission":[{"id":"p"}]}'
    assert.deepEqual(entriesOf(`{"data":[${whole}]}`), [whole])
    assert.deepEqual(entriesOf('{"data":[{"id":"a","x":1}]}'), [
      '{"id":"a","x":1,"object":"model","created":1700000000,"owned_by":"the-service"}',
    ])
    assert.deepEqual(entriesOf('{"data":[{"owned_by":null, "id":"a","object": null,"created":2.5}]}'), [
      '{"owned_by":"the-service", "id":"a","object": "model","created":2.5}',
    ])
  })

  test('is read as far as it can be', () => {
    const ids = (text: string) => listOf(text)?.models.map(({ id }) => id)
    assert.deepEqual(ids('[{"id":"a"},{"id":"b"}]'), ['a', 'b'])
    assert.deepEqual(ids('{"data":[{"id":"a"},{"name":"b"},{"id":3},{"id":""},null,"c",[],{"id":"d"}]}'), ['a', 'd'])
    assert.deepEqual(ids('{"data":null}'), [])
    assert.deepEqual(ids('[]'), [])
    for (const text of ['{"models":[]}', '{"data":{}}', '"a"', '3']) assert.equal(ids(text), undefined, text)
  })

  test('keeps only the id of an entry that is too long, or that not every client could read', () => {
    const minimal = '{"id":"a","object":"model","created":1700000000,"owned_by":"the-service"}'
    assert.deepEqual(entriesOf(`[{"id":"a","x":"${'x'.repeat(40_000)}"}]`), [minimal])
    assert.deepEqual(entriesOf('[{"id":"a","x":NaN}]'), [minimal])
    assert.equal(entriesOf('[{"id":"a","x":"NaN"}]')?.[0], minimal.replace('"a"', '"a","x":"NaN"'))
  })

  test('takes no more than a bounded number of bytes', () => {
    const long = Array.from({ length: 100 }, (_, i) => `{"id":"m${i}","x":"${'x'.repeat(20_000)}"}`)
    const kept = entriesOf(`[${long.join(',')}]`)!
    assert.equal(kept.length, 100)
    assert.ok(kept.join('').length < 1_200_000)
  })
})

describe('a model is found', () => {
  const models = (rules: ModelRules, ...ids: string[]): ServiceModels =>
    new ServiceModels(
      rules,
      DEFAULTS,
      ids.map((id) => ({ id, json: `{"id":"${id}","x":1}` })),
    )

  test('by its exact name, else, without a tag, as name:latest', () => {
    const some = models({}, 'a', 'a:latest', 'b:latest', 'host:5000/c:latest')
    for (const [asked, found] of [
      ['a', 'a'],
      ['b', 'b:latest'],
      ['b:latest', 'b:latest'],
      ['host:5000/c', 'host:5000/c:latest'],
      ['A', undefined],
      ['b:7b', undefined],
      ['b:', undefined],
      ['constructor', undefined],
    ] as const) {
      assert.equal(some.nameFor(asked), found, asked)
      assert.equal(some.has(asked), found !== undefined)
    }
    assert.deepEqual(namesOf('x:y'), ['x:y'])
  })

  test('by an alias, whatever the service lists under that name', () => {
    const some = models({ aliases: { gpt: 'a', 'b:latest': 'a', a: 'b', gone: 'unlisted' } }, 'a', 'b')
    assert.deepEqual(
      ['gpt', 'a', 'b', 'gone', 'x'].map((asked) => some.nameFor(asked)),
      ['a', 'b', 'b', 'unlisted', undefined],
    )
    assert.deepEqual([...some.entries.keys()].sort(), ['a', 'b', 'b:latest', 'gone', 'gpt'])
    assert.equal(some.entries.get('gpt'), '{"id":"gpt","x":1}')
  })

  test('under any name where the operator says so, but then it is none that is listed', () => {
    const any = models({ models: ['*', 'named'] }, 'own')
    assert.deepEqual(
      ['own', 'named', 'other'].map((asked) => [any.nameFor(asked), any.has(asked)]),
      [
        ['own', true],
        ['named', true],
        ['other', false],
      ],
    )
    assert.deepEqual([...any.entries.keys()], ['own', 'named'])
    assert.deepEqual(any.names, ['*', 'own', 'named'])
  })

  test('only among those that the operator names, with what the service says of them', () => {
    const named = models({ models: ['b', 'c'] }, 'a', 'b')
    assert.deepEqual([...named.entries.keys()], ['b', 'c'])
    assert.equal(named.entries.get('b'), '{"id":"b","x":1}')
    assert.equal(named.entries.get('c'), '{"id":"c","object":"model","created":1700000000,"owned_by":"the-service"}')
  })

  test('for certain only where the list is known, or the operator has given it', () => {
    assert.equal(new ServiceModels({}, DEFAULTS).isComplete, false)
    assert.equal(new ServiceModels({ aliases: { a: 'b' } }, DEFAULTS).isComplete, false)
    assert.equal(new ServiceModels({ models: ['a'] }, DEFAULTS).isComplete, true)
    assert.equal(models({}).isComplete, true)
  })
})
