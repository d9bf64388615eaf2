import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { askChat, chat, lastCall } from './support.ts'

const file = { after }

interface Entry {
  id: string
  object: string
  created: number
  owned_by: string
}

async function listOf(gateway: Gateway): Promise<Entry[]> {
  return (await request(`${gateway.url}/v1/models`)).json<{ data: Entry[] }>().data
}

describe('the list of models', () => {
  test('has each entry as its service lists it, with what it leaves out, sorted, the first service’s where several have one', async (t) => {
    const [one, two] = await Promise.all([startFakeOpenAi({}, t), startFakeOpenAi({}, t)])
    const whole = '{"id":"b","object":"model","created":7,"owned_by":"x","max_model_len":123456789012345678901,"n":1.0}'
    await one.answer(200, 'models', { body: `{"object":"list","data":[{"id":"c","root":"r"},${whole}]}` })
    await two.answer(200, 'models', { body: '[{"id":"b","owned_by":"other"},{"id":"a"},{"no":"id"},7]' })
    const gateway = await gatewayForServices(t, [
      { name: 'one', url: one.url },
      { name: 'two', url: two.url },
    ])
    for (const path of ['/v1/models', '/models']) {
      const { text, headers } = await request(gateway.url + path)
      assert.match(headers['content-type']!, /^application\/json/)
      assert.ok(text.includes(`,${whole},`), text)
      const { data } = JSON.parse(text) as { data: (Entry & { root?: string })[] }
      const [a, , c] = data
      assert.deepEqual(
        data.map(({ id }) => id),
        ['a', 'b', 'c'],
      )
      assert.deepEqual([a!.object, a!.owned_by, c!.object, c!.owned_by, c!.root], ['model', 'two', 'model', 'one', 'r'])
      assert.ok(Math.abs(a!.created - Date.now() / 1000) < 600)
    }
  })

  test('is empty where there is no service', async (t) => {
    const gateway = await spawnGateway(t, { services: [] })
    const { status, text } = await request(`${gateway.url}/v1/models`)
    assert.deepEqual([status, text], [200, '{"object":"list","data":[]}'])
  })
})

describe('one model', async () => {
  const service = await startFakeOpenAi({ models: ['plain', 'org/large:7b', 'tagged:latest', 'odd%2Fname'] }, file)
  const gateway = await gatewayForServices(file, [entryOf(service, { aliases: { gpt: 'org/large:7b' } })])

  test('is its entry in the list, whether slashes in its name are encoded or not', async () => {
    for (const [path, id] of [
      ['plain', 'plain'],
      ['plain/', 'plain'],
      ['org/large:7b', 'org/large:7b'],
      ['org%2Flarge%3A7b', 'org/large:7b'],
      ['tagged', 'tagged:latest'],
      ['gpt', 'gpt'],
      ['odd%252Fname', 'odd%2Fname'],
    ] as const) {
      for (const prefix of ['/v1/models/', '/models/', '/openai/v1/models/', '/openai/models/']) {
        const answer = await request(`${gateway.url}${prefix}${path}`)
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.json<Entry>().id, id)
        assert.equal(answer.json<Entry>().owned_by, 'simulated')
      }
    }
  })

  test('that nobody has is a 404, and other methods are a 405', async () => {
    for (const path of ['none', 'org', 'odd/name', 'PLAIN']) {
      assertError(await request(`${gateway.url}/v1/models/${path}`), 404, 'model_not_found')
      assertError(await request(`${gateway.url}/models/${path}`), 404)
    }
    assertError(await post(`${gateway.url}/v1/models/plain`, chat()), 405)
  })
})

describe('a model under another name', async () => {
  const [one, two] = await Promise.all([
    startFakeOpenAi({ models: ['org/model'] }, file),
    startFakeOpenAi({ models: ['other/model', 'tagged:latest'] }, file),
  ])
  const gateway = await gatewayForServices(file, [
    entryOf(one, { aliases: { 'gpt-4': 'org/model' } }),
    entryOf(two, { aliases: { 'gpt-4': 'other/model' } }),
  ])

  test('reaches each service by the name that it has there, with all other bytes as they came', async () => {
    const body = '{"seed":123456789012345678901, "model" : "gpt\\u002d4","messages":[],"x":1e2}'
    for (const [first, second, name] of [
      [one, two, 'other/model'],
      [two, one, 'org/model'],
    ] as const) {
      // Whichever is asked first, the second gets it in the end.
      await first.answer(503, 'chat')
      const answer = await post(`${gateway.url}/v1/chat/completions`, body)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(lastCall(second).text, body.replace('gpt\\u002d4', name))
      await first.behave('chat')
    }
  })

  test('is rewritten in a form too', async () => {
    const form = (model: string): string =>
      `--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n${'\u0001'.repeat(1000)}\r\n` +
      `--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n--X--\r\n`
    const headers = { 'Content-Type': 'multipart/form-data; boundary=X' }
    const answer = await post(`${gateway.url}/v1/audio/transcriptions`, form('gpt-4'), { headers })
    assert.equal(answer.status, 200, answer.text)
    const [service, name] =
      answer.headers['x-infernet-node'] === one.address ? [one, 'org/model'] : [two, 'other/model']
    assert.equal(lastCall(service).text, form(name))
  })

  test('without a tag is also name:latest', async () => {
    assert.equal((await askChat(gateway, chat({}, { model: 'tagged' }))).status, 200)
    assert.equal(lastCall(two).json<{ model: string }>().model, 'tagged:latest')
    assertError(await askChat(gateway, chat({}, { model: 'tagged:7b' })), 404, 'model_not_found')
  })

  test('is listed', async () => {
    const ids = (await listOf(gateway)).map(({ id }) => id)
    assert.deepEqual(ids, ['gpt-4', 'org/model', 'other/model', 'tagged:latest'])
  })
})

test('a service with "*" takes any model, and one that others list too', async (t) => {
  const [any, named] = await Promise.all([
    startFakeOpenAi({ models: ['own', 'unheard', 'named'] }, t),
    startFakeOpenAi({ models: ['named'] }, t),
  ])
  const gateway = await gatewayForServices(t, [entryOf(any, { models: ['*'] }), entryOf(named)])
  for (const model of ['own', 'unheard']) {
    const answer = await askChat(gateway, chat({}, { model }))
    assert.deepEqual([answer.status, answer.headers['x-infernet-node']], [200, any.address])
  }
  for (const [first, second] of [
    [any, named],
    [named, any],
  ] as const) {
    await first.answer(503, 'chat')
    const answer = await askChat(gateway, chat({}, { model: 'named' }))
    assert.deepEqual([answer.status, answer.headers['x-infernet-node']], [200, second.address])
    await first.behave('chat')
  }
  // What it does not have it says itself.
  assert.equal((await askChat(gateway, chat({}, { model: 'nobody-has-it' }))).headers['x-infernet-node'], any.address)
  await any.refuse()
  await gateway.ready(1)
  const isDown = await askChat(gateway, chat({}, { model: 'unheard' }))
  assert.ok([502, 503].includes(isDown.status), isDown.text)
})

describe('a model that no healthy service has', () => {
  const unavailable = (answer: Answer, model: string): void => {
    assert.equal(assertError(answer, 503, 'no_healthy_backend'), `No healthy services available for model '${model}'`)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  }

  test('is a 503 where an unhealthy one is known to have it, else a 404', async (t) => {
    const service = await startFakeOpenAi({ models: ['m'] }, t)
    const gateway = await gatewayForServices(t, [entryOf(service)], { REFRESH_INTERVAL: '0.1' })
    await service.refuse()
    await gateway.waitForLog(({ message }) => message === 'node down')
    unavailable(await askChat(gateway, chat({}, { model: 'm' })), 'm')
    const answer = await askChat(gateway, chat({}, { model: 'other' }))
    assertError(answer, 404, 'model_not_found')
    assert.equal(answer.headers['retry-after'], undefined)
  })

  test('is a 503 where a service that has never answered might have it', async (t) => {
    const service = await startFakeOpenAi({ models: ['m'] }, t)
    const silent = { name: 'silent', url: `http://127.0.0.1:${await freePort()}` }
    const gateway = await gatewayForServices(t, [entryOf(service), silent], {}, 1)
    unavailable(await askChat(gateway, chat({}, { model: 'other' })), 'other')
    await gateway.setServices([entryOf(service), { ...silent, models: ['another'] }])
    await eventually(async () => (await askChat(gateway, chat({}, { model: 'other' }))).status === 404)
  })

  test('is a 404 where there is no service at all', async (t) => {
    const gateway = await spawnGateway(t, { services: [] })
    assertError(await askChat(gateway), 404, 'model_not_found')
  })
})
