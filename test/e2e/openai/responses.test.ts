import OpenAI from 'openai'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { startResponsesService } from './responsesService.ts'
import type { LacksPrevious, ResponsesService } from './responsesService.ts'

const file = { after }
const SELDOM = { REFRESH_INTERVAL: '60' }
const KEYS = { API_KEYS: 'key-of-one,key-of-two' }
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })

interface Fleet {
  services: ResponsesService[]
  gateway: Gateway
}

async function fleetOf(t: Cleanup, lacks: LacksPrevious[], env: Record<string, string> = {}): Promise<Fleet> {
  const services = await Promise.all(lacks.map((each) => startResponsesService(t, { lacks: each })))
  const gateway = await gatewayForServices(
    t,
    services.map((each) => entryOf(each)),
    { ...SELDOM, ...env },
  )
  return { services, gateway }
}

const clientOf = ({ url }: Gateway, apiKey = 'sk-any'): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })

interface Turn {
  id: string
  turns: number
}

async function nextTurn(client: OpenAI, previous: string | null): Promise<Turn> {
  const response = await client.responses.create({ model: 'm', input: 'go on', previous_response_id: previous })
  return response as unknown as Turn
}

async function nextStreamedTurn(client: OpenAI, previous: string | null): Promise<Turn> {
  const body = { model: 'm', input: 'go on', previous_response_id: previous, stream: true as const }
  for await (const event of await client.responses.create(body)) {
    if (event.type === 'response.completed') return event.response as unknown as Turn
  }
  assert.fail('the stream ended without a response')
}

/** A response that the services have and the gateway does not know, as after its restart. */
function plant(service: ResponsesService, id = 'resp_planted'): string {
  service.responses.set(id, 1)
  return id
}

describe('a conversation by previous_response_id', async () => {
  const { gateway, services } = await fleetOf(file, ['as vLLM', 'as OpenAI', 'as vLLM'])
  const client = clientOf(gateway)

  test('stays at the service that has it: 20 at once, streamed and not, and none breaks', async () => {
    const turns = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        let id: string | null = null
        for (let turn = 1; turn <= 5; turn++) {
          const response: Turn = await ((i + turn) % 2 === 0 ? nextTurn(client, id) : nextStreamedTurn(client, id))
          assert.equal(response.turns, turn)
          id = response.id
        }
        return services.findIndex(({ responses }) => responses.has(id!))
      }),
    )
    assert.ok(new Set(turns).size > 1, 'all were at one service')
    assert.ok(!services.some(({ calls }) => calls.length === 0))
  })

  test('is looked for at one service after the other where the gateway does not know it', async () => {
    for (const [i, service] of services.entries()) {
      const id = plant(service, `resp_unknown_${i}`)
      assert.equal((await nextTurn(client, id)).turns, 2)
    }
    const answer = await post(`${gateway.url}/v1/responses`, {
      model: 'm',
      input: 'a',
      previous_response_id: 'resp_no',
    })
    assert.ok(answer.status === 404 || answer.status === 400)
    assert.match(answer.text, /Previous response with id 'resp_no' not found/)
  })
})

describe('a response', async () => {
  const { gateway, services } = await fleetOf(file, ['as vLLM', 'as vLLM', 'as vLLM'])
  const client = clientOf(gateway)
  const callsAbout = (id: string): string[] =>
    services.flatMap(({ calls }) => calls.filter((call) => call.includes(id)))

  test('is read, cancelled and deleted at the service that made it, and nowhere else', async () => {
    const { id } = await client.responses.create({ model: 'm', input: 'a' })
    assert.equal((await client.responses.retrieve(id)).id, id)
    assert.equal((await client.responses.inputItems.list(id, { limit: 5 })).data.length, 1)
    assert.equal((await client.responses.cancel(id)).status, 'cancelled')
    await client.responses.delete(id)
    const [home] = services.filter(({ calls }) => calls.some((call) => call.includes(id)))
    assert.deepEqual(
      callsAbout(id),
      home!.calls.filter((call) => call.includes(id)),
    )
    assert.deepEqual(callsAbout(id), [
      `GET /v1/responses/${id}`,
      `GET /v1/responses/${id}/input_items?limit=5`,
      `POST /v1/responses/${id}/cancel`,
      `DELETE /v1/responses/${id}`,
    ])
    await assert.rejects(client.responses.retrieve(id), OpenAI.NotFoundError)
  })

  test('that the gateway does not know is asked for at each service, and remembered where it is', async () => {
    for (const [i, service] of services.entries()) {
      const id = plant(service, `resp_planted_${i}`)
      assert.equal((await client.responses.retrieve(id)).id, id)
      const asked = callsAbout(id).length
      await client.responses.inputItems.list(id)
      assert.equal(callsAbout(id).length, asked + 1)
    }
    const id = plant(services[1]!, 'resp_to_delete')
    await client.responses.delete(id)
    assert.equal(services[1]!.responses.has(id), false)
  })

  test('that no service has is 404 in the words of one, after each was asked once', async () => {
    const answer = await request(`${gateway.url}/v1/responses/resp_nowhere`)
    assert.equal(answer.status, 404)
    assert.match(answer.text, /Response with id 'resp_nowhere' not found/)
    assert.equal(callsAbout('resp_nowhere').length, 3)
  })

  test('has an id that cannot lead elsewhere', async () => {
    const before = services.flatMap(({ calls }) => calls).length
    for (const id of ['..%2f..%2fadmin', '%2e%2e', 'a%2fb', 'a%5cb', 'x'.repeat(257)]) {
      const answer = await request(`${gateway.url}/v1/responses/${id}`)
      assert.equal(answer.status, 404, answer.text)
    }
    assert.equal(services.flatMap(({ calls }) => calls).length, before)
  })

  test('has no other methods, and a path below it without a meaning is no path', async () => {
    const answer = await request(`${gateway.url}/v1/responses/resp_1`, { method: 'PUT' })
    assertError(answer, 405)
    assert.match(answer.headers['allow'] ?? '', /DELETE/)
    assert.equal((await request(`${gateway.url}/v1/responses/resp_1/other`)).status, 404)
  })
})

describe("a service's answer that says little", () => {
  test('ends the search neither: one that takes only ids of its own kind says 400', async (t) => {
    const services = await Promise.all([
      startResponsesService(t, { statusOfForeign: 400 }),
      startResponsesService(t, { statusOfForeign: 405 }),
      startResponsesService(t),
    ])
    const gateway = await gatewayForServices(
      t,
      services.map((each) => entryOf(each)),
      SELDOM,
    )
    for (const [i, service] of services.entries()) {
      const id = plant(service, `id_${i}`)
      assert.equal((await request(`${gateway.url}/v1/responses/${id}`)).status, 200)
    }
  })
})

describe('with keys', async () => {
  const { gateway, services } = await fleetOf(file, ['as vLLM', 'as vLLM'], KEYS)

  test("another caller's response is unknown", async () => {
    const { id } = await clientOf(gateway, 'key-of-one').responses.create({ model: 'm', input: 'a' })
    const before = services.flatMap(({ calls }) => calls).length
    const other = clientOf(gateway, 'key-of-two')
    await assert.rejects(other.responses.retrieve(id), OpenAI.NotFoundError)
    await assert.rejects(other.responses.inputItems.list(id).then(), OpenAI.NotFoundError)
    await assert.rejects(other.responses.cancel(id), OpenAI.NotFoundError)
    await assert.rejects(other.responses.delete(id), OpenAI.NotFoundError)
    const next = { model: 'm', input: 'b', previous_response_id: id }
    await assert.rejects(other.responses.create(next), OpenAI.NotFoundError)
    assert.equal(services.flatMap(({ calls }) => calls).length, before)
    assert.equal((await clientOf(gateway, 'key-of-one').responses.retrieve(id)).id, id)
  })

  test('each path needs one', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/input_items'],
      ['POST', '/cancel'],
    ] as const) {
      assertError(await request(`${gateway.url}/v1/responses/resp_1${path}`, { method }), 401)
    }
    assert.equal((await request(`${gateway.url}/v1/responses/resp_1`, { headers: bearer('key-of-one') })).status, 404)
  })
})

test('a response whose service is down is not looked for elsewhere: 503 says why', async (t) => {
  const { gateway, services } = await fleetOf(t, ['as vLLM', 'as vLLM'])
  const { id } = await clientOf(gateway).responses.create({ model: 'm', input: 'a' })
  const [home, other] = services[0]!.responses.has(id) ? services : services.toReversed()
  await home!.refuse()
  const before = other!.calls.length
  for (let i = 0; i < 2; i++) {
    const read = await request(`${gateway.url}/v1/responses/${id}`)
    assert.match(assertError(read, 503), /The service that has response 'resp_\w+' is not available/)
    assert.ok(Number(read.headers['retry-after']) >= 1)
    const body = { model: 'm', input: 'b', previous_response_id: id }
    assert.match(assertError(await post(`${gateway.url}/v1/responses`, body), 503), /is not available/)
  }
  assert.equal(other!.calls.length, before)
})
