/** What the official SDKs show their users, of this major and the one before; strict clients are stood in for by the shapes that OpenAI publishes. */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { AzureOpenAI } from 'openai'
import PreviousOpenAI, { AzureOpenAI as PreviousAzureOpenAI } from 'openai-previous'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { lastCall } from './support.ts'

const file = { after }
const model = 'org/small:7b'
const messages = [{ role: 'user' as const, content: 'Say it again' }]
const service = await startFakeOpenAi({ models: [model, 'tagged:latest'] }, file)
const entries = [entryOf(service, { aliases: { gpt: model } })]
const [gateway, guarded, limited] = await Promise.all([
  gatewayForServices(file, entries),
  gatewayForServices(file, entries, { API_KEYS: 'the-key' }),
  gatewayForServices(file, entries, { PROXY_RATELIMIT_REQS_PER_MIN: '1' }),
])
/** Spends the only request of a minute. */
await post(`${limited.url}/v1/chat/completions`, { model, messages })

/** What an SDK's error shows. */
interface Shown {
  constructor: { name: string }
  status?: number
  code?: string | null
  type?: string | null
  message: string
}

async function shownBy(asking: PromiseLike<unknown>): Promise<Shown> {
  return asking.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error as Shown,
  )
}

const MAJORS = [
  ['of this major', OpenAI, AzureOpenAI],
  // The calls made here are the same in both.
  [
    'of the major before',
    PreviousOpenAI as unknown as typeof OpenAI,
    PreviousAzureOpenAI as unknown as typeof AzureOpenAI,
  ],
] as const

for (const [which, Client, AzureClient] of MAJORS) {
  describe(`the openai SDK ${which}`, () => {
    const clientOf = (url: string, apiKey = 'any'): OpenAI =>
      new Client({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })
    const client = clientOf(gateway.url)
    const chatAt = (url: string, key?: string, name = model): Promise<unknown> =>
      clientOf(url, key).chat.completions.create({ model: name, messages })

    test('lists models and reads one, by its name, an alias and without its tag', async () => {
      const ids: string[] = []
      for await (const entry of client.models.list()) ids.push(`${entry.object} ${entry.id} ${entry.owned_by}`)
      assert.deepEqual(ids, [`model gpt simulated`, `model ${model} simulated`, 'model tagged:latest simulated'])
      for (const [asked, id] of [
        [model, model],
        ['gpt', 'gpt'],
        ['tagged', 'tagged:latest'],
      ] as const) {
        assert.equal((await client.models.retrieve(asked)).id, id)
      }
    })

    test('chats, embeds and uses responses, under an alias', async () => {
      const answer = await client.chat.completions.create({ model: 'gpt', messages })
      assert.equal(answer.choices[0]!.message.content, 'echo: Say it again')
      assert.equal(lastCall(service).json<{ model: string }>().model, model)
      assert.equal((await client.embeddings.create({ model: 'gpt', input: ['a', 'b'] })).data.length, 2)
      assert.equal((await client.responses.create({ model: 'gpt', input: 'Once' })).output_text, 'echo: Once')
    })

    test('tells an unknown model, a wrong key and a spent budget apart, by class, code and text', async () => {
      for (const [ask, name, status, code, text] of [
        [
          () => chatAt(gateway.url, 'any', 'misspelt'),
          'NotFoundError',
          404,
          'model_not_found',
          /'misspelt' does not exist/,
        ],
        [
          () => client.models.retrieve('misspelt'),
          'NotFoundError',
          404,
          'model_not_found',
          /'misspelt' does not exist/,
        ],
        [() => chatAt(guarded.url, 'wrong'), 'AuthenticationError', 401, 'invalid_api_key', /valid API key/],
        [() => chatAt(limited.url), 'RateLimitError', 429, 'rate_limit_exceeded', /1 a minute/],
      ] as const) {
        const error = await shownBy(ask())
        assert.equal(error.constructor.name, name)
        assert.deepEqual([error.status, error.code], [status, code])
        assert.match(error.message, text)
      }
    })

    test('does not repeat a request for an unknown model', async () => {
      let asked = 0
      const counted: typeof fetch = (...call) => {
        asked++
        return fetch(...call)
      }
      const patient = new Client({ baseURL: `${gateway.url}/v1`, apiKey: 'any', maxRetries: 3, fetch: counted })
      await shownBy(patient.chat.completions.create({ model: 'misspelt', messages }))
      assert.equal(asked, 1)
    })

    test('as a client of Azure’s chats with a deployment, embeds, uses responses, and lists models', async () => {
      const azure = new AzureClient({
        endpoint: guarded.url,
        apiKey: 'the-key',
        apiVersion: '2025-01-01',
        maxRetries: 0,
      })
      const answer = await azure.chat.completions.create({ model, messages })
      assert.equal(answer.choices[0]!.message.content, 'echo: Say it again')
      const seen = lastCall(service)
      assert.equal(seen.url, '/v1/chat/completions')
      assert.equal(seen.header('api-key'), undefined)
      assert.equal((await azure.embeddings.create({ model: 'gpt', input: 'a' })).data.length, 1)
      assert.equal((await azure.responses.create({ model, input: 'Once' })).output_text, 'echo: Once')
      assert.equal(lastCall(service).url, '/v1/responses')
      assert.equal((await azure.models.list()).data.length, 3)
      const error = await shownBy(azure.chat.completions.create({ model: 'misspelt', messages }))
      assert.deepEqual([error.status, error.code], [404, 'model_not_found'])
    })

    test('with Azure’s base URL of today, /openai/v1, works as with /v1', async () => {
      const azure = new Client({ baseURL: `${gateway.url}/openai/v1/`, apiKey: 'any', maxRetries: 0 })
      assert.equal((await azure.responses.create({ model, input: 'Once' })).output_text, 'echo: Once')
      assert.equal((await azure.models.retrieve(model)).id, model)
    })
  })
}

describe('the Anthropic SDK', () => {
  const clientOf = (url: string, apiKey = 'any'): Anthropic => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 })
  const ask = { model: 'gpt', max_tokens: 9, messages }

  test('sends messages, streaming too, and counts their tokens', async () => {
    const { messages: api } = clientOf(guarded.url, 'the-key')
    const answer = await api.create(ask)
    assert.deepEqual(
      answer.content.map((part) => (part.type === 'text' ? part.text : part.type)),
      ['echo: Say it again'],
    )
    assert.equal(lastCall(service).json<{ model: string }>().model, model)
    assert.equal((await api.countTokens({ model: 'gpt', messages })).input_tokens, 7)
    assert.equal(lastCall(service).url, '/v1/messages/count_tokens')
    let text = ''
    for await (const event of await api.create({ ...ask, stream: true })) {
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
    }
    assert.equal(text, 'echo: Say it again')
  })

  test('tells an unknown model, a wrong key and a spent budget apart, by class, type and text', async () => {
    for (const [refused, name, type, text] of [
      [
        () => clientOf(gateway.url).messages.create({ ...ask, model: 'misspelt' }),
        'NotFoundError',
        'not_found_error',
        /misspelt/,
      ],
      [
        () => clientOf(guarded.url, 'wrong').messages.create(ask),
        'AuthenticationError',
        'authentication_error',
        /API key/,
      ],
      [() => clientOf(limited.url).messages.create(ask), 'RateLimitError', 'rate_limit_error', /1 a minute/],
      [
        () => clientOf(gateway.url).messages.countTokens({ model: 'misspelt', messages }),
        'NotFoundError',
        'not_found_error',
        /misspelt/,
      ],
    ] as const) {
      const error = (await shownBy(refused())) as Shown & { error: { type: string; error: { type: string } } }
      assert.equal(error.constructor.name, name)
      assert.deepEqual([error.error.type, error.error.error.type], ['error', type])
      assert.match(error.message, text)
    }
  })
})

/** The members that OpenAI's description requires, with their types: of Model, ListModelsResponse and Error. */
const REQUIRED = {
  Model: { id: 'string', object: 'string', created: 'integer', owned_by: 'string' },
  List: { object: 'string', data: 'object' },
  Error: { type: 'string', message: 'string', param: 'string or null', code: 'string or null' },
}

function typesOf(value: object, names: readonly string[]): Record<string, string> {
  const typeOf = (member: unknown): string =>
    member === null ? 'null' : Number.isInteger(member) ? 'integer' : typeof member
  return Object.fromEntries(names.map((name) => [name, typeOf((value as Record<string, unknown>)[name])]))
}

function assertShape(value: object, shape: Readonly<Record<string, string>>): void {
  for (const [name, type] of Object.entries(typesOf(value, Object.keys(shape)))) {
    assert.ok(shape[name]!.split(' or ').includes(type), `${name} is ${type}, not ${shape[name]}`)
  }
}

test('what the gateway writes itself has the shapes of OpenAI’s description, for clients that check them', async (t) => {
  const bare = await startFakeOpenAi({}, t)
  await bare.answer(200, 'models', {
    body: '[{"id":"bare"},{"id":"nulls","object":null,"created":null,"owned_by":null}]',
  })
  const strict = await gatewayForServices(t, [entryOf(bare, { aliases: { other: 'bare', unlisted: 'x' } })])
  const list = (await request(`${strict.url}/v1/models`)).json<{ object: string; data: object[] }>()
  assertShape(list, REQUIRED.List)
  assert.equal(list.object, 'list')
  assert.equal(list.data.length, 4)
  for (const entry of list.data) assertShape(entry, REQUIRED.Model)
  assertShape((await request(`${strict.url}/v1/models/nulls`)).json<object>(), REQUIRED.Model)
  for (const path of ['/v1/models/none', '/v1/none', '/v1/chat/completions']) {
    assertShape((await request(strict.url + path)).json<{ error: object }>().error, REQUIRED.Error)
  }
})
