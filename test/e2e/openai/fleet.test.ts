import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { FakeOpenAiOptions } from '../../kit/fakeOpenAi/index.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'
import { askChat, chat, inFlightIs, lastCall, openChat } from './support.ts'

const file = { after }
/** Polls come often, so that health changes soon. */
const OFTEN = { REFRESH_INTERVAL: '0.2' }
const start = (options: FakeOpenAiOptions = {}) => startFakeOpenAi(options, file)

async function modelsOf({ url }: Gateway): Promise<string[]> {
  const { data } = (await request(`${url}/v1/models`)).json<{ data: { id: string }[] }>()
  return data.map(({ id }) => id).sort()
}

interface Shown {
  name: string
  url: string
  healthy: boolean
  models?: string[]
}

async function servicesOf({ url }: Gateway): Promise<Shown[]> {
  return (await request(`${url}/services`)).json<{ services: Shown[] }>().services
}

const modelsBecome = (gateway: Gateway, wanted: readonly string[]) =>
  eventually(async () => assert.deepEqual(await modelsOf(gateway), wanted) ?? true, { withinMs: 10_000, everyMs: 25 })

const ask = (gateway: Gateway, model: string) => askChat(gateway, chat({}, { model }))

describe('a service', async () => {
  const [v1, short, silent, named] = await Promise.all([
    start({ models: ['at-v1'] }),
    start({ models: ['at-root'], prefix: '' }),
    start({ models: ['unlisted'], listsModels: false }),
    start({ models: ['its-own', 'told'] }),
  ])
  const nobody = `127.0.0.1:${await freePort()}`
  const entries = [
    entryOf(v1, { url: `${v1.url}/v1` }),
    entryOf(short, { url: `${short.url}/` }),
    entryOf(silent, { models: ['unlisted'] }),
    entryOf(named, { url: `${named.url}/v1/`, models: ['told', 'not-there'] }),
    entryOf({ address: nobody, url: `http://${nobody}` }, { models: ['never-there'] }),
  ]
  const gateway = await gatewayForServices(file, entries, OFTEN, 4)

  test('is asked at the prefix at which its model list is, /v1 before none, also where its url ends in /v1', async () => {
    for (const [model, service, url] of [
      ['at-v1', v1, '/v1/chat/completions'],
      ['at-root', short, '/chat/completions'],
      ['unlisted', silent, '/v1/chat/completions'],
    ] as const) {
      assert.equal((await ask(gateway, model)).status, 200)
      assert.equal(lastCall(service).url, url)
    }
    assert.deepEqual(
      short.requests.slice(0, 2).map(({ url }) => url),
      ['/v1/models', '/models'],
    )
    assert.ok(v1.seen('models').every(({ url }) => url === '/v1/models'))
  })

  test('has the models that its entry names, whatever it lists itself', async () => {
    assert.equal((await ask(gateway, 'told')).status, 200)
    assertError(await ask(gateway, 'its-own'), 404, 'model_not_found')
    // It is asked, and its own refusal goes on.
    const refused = await ask(gateway, 'not-there')
    assert.equal(refused.status, 404)
    assert.equal(refused.headers['x-infernet-node'], named.address)
  })

  test('is shown like a node, with its models instead of containers', async () => {
    const shown = (await servicesOf(gateway)).find(({ name }) => name === named.address)
    assert.partialDeepStrictEqual(shown, { url: named.url, healthy: true, models: ['told', 'not-there'] })
    assert.ok(shown && !('containers' in shown))
    const { healthy_services } = (await request(`${gateway.url}/stats`)).json<{ healthy_services: number }>()
    assert.equal(healthy_services, 4)
  })

  test('that was never there has no models to offer', async () => {
    assert.deepEqual(await modelsOf(gateway), ['at-root', 'at-v1', 'not-there', 'told', 'unlisted'])
    const answer = await ask(gateway, 'never-there')
    assert.equal(assertError(answer, 503), "No healthy services available for model 'never-there'")
  })

  test('that goes away takes its models with it until it returns', async () => {
    await v1.refuse()
    await modelsBecome(gateway, ['at-root', 'not-there', 'told', 'unlisted'])
    assert.equal(assertError(await ask(gateway, 'at-v1'), 503), "No healthy services available for model 'at-v1'")
    await v1.comeBack()
    await modelsBecome(gateway, ['at-root', 'at-v1', 'not-there', 'told', 'unlisted'])
    assert.equal((await ask(gateway, 'at-v1')).status, 200)
  })

  test('whose list fails counts as unhealthy, and one lost answer changes nothing', async () => {
    await short.answer(500, 'models', { times: 1 })
    const failed = short.requests.length
    await short.waitFor('models', { after: short.requests.at(-1)!.n })
    assert.equal((await ask(gateway, 'at-root')).status, 200, String(failed))
    await short.answer(500, 'models')
    await modelsBecome(gateway, ['at-v1', 'not-there', 'told', 'unlisted'])
    await short.behave()
    await modelsBecome(gateway, ['at-root', 'at-v1', 'not-there', 'told', 'unlisted'])
  })

  test('may change its models', async () => {
    await v1.set({ models: ['newer'] })
    await modelsBecome(gateway, ['at-root', 'newer', 'not-there', 'told', 'unlisted'])
    assert.equal((await ask(gateway, 'newer')).status, 200)
    await v1.set({ models: ['at-v1'] })
    await modelsBecome(gateway, ['at-root', 'at-v1', 'not-there', 'told', 'unlisted'])
  })
})

describe('of several services with the model', async () => {
  const [first, second, third] = await Promise.all([start(), start(), start()])
  const gateway = await gatewayForServices(
    file,
    [first, second, third].map((each) => entryOf(each, { concurrency: 1 })),
  )

  test('the least busy one is asked', async () => {
    const streams = [await openChat(gateway, { stallAfter: 0 }), await openChat(gateway, { stallAfter: 0 })]
    const busy = streams.map(({ headers }) => headers['x-infernet-node'])
    assert.equal(new Set(busy).size, 2)
    for (let i = 0; i < 5; i++) assert.ok(!busy.includes((await askChat(gateway)).headers['x-infernet-node']))
    for (const stream of streams) stream.destroy()
  })

  test('one that is gone is passed over, and its place is taken by another', async () => {
    await second.refuse()
    for (let i = 0; i < 12; i++) assert.equal((await askChat(gateway)).status, 200)
    await second.comeBack()
  })
})

test('of two like services of which little is known yet the one without a stream is asked', async (t) => {
  const services = await Promise.all([startFakeOpenAi({}, t), startFakeOpenAi({}, t)])
  const gateway = await gatewayForServices(
    t,
    services.map((service) => entryOf(service)),
  )
  for (let round = 0; round < 3; round++) {
    await askChat(gateway)
    const stream = await openChat(gateway, { stallAfter: 0 })
    const { headers } = await askChat(gateway)
    assert.notEqual(headers['x-infernet-node'], stream.headers['x-infernet-node'])
    stream.destroy()
    for (const service of services) await inFlightIs(gateway, service, 0)
  }
})

test('of two services the one with twice the weight gets twice the load where both are busy', async (t) => {
  const services = await Promise.all([
    startFakeOpenAi({ concurrency: 100 }, t),
    startFakeOpenAi({ concurrency: 100 }, t),
  ])
  const [light, heavy] = services
  const entries = [entryOf(light, { concurrency: 2 }), entryOf(heavy, { concurrency: 2, weight: 2 })]
  // Else those that find no place would wait in the gateway.
  const gateway = await gatewayForServices(t, entries, { QUEUE_SIZE: '0' })
  const open = async (): Promise<unknown> =>
    openStream(`${gateway.url}/v1/chat/completions`, { body: chat({ stallAfter: 0 }, { stream: true }) })
  for (let i = 0; i < 24; i++) await open()
  const [ofLight, ofHeavy] = await Promise.all(services.map(async (each) => (await statsOf(gateway, each)).in_flight))
  assert.equal(ofLight! + ofHeavy!, 24)
  // The score is of the second degree in the load: √2 times as much, where service times are alike.
  assert.ok(ofHeavy! > 1.25 * ofLight!, `${ofLight} and ${ofHeavy}`)
})

describe('the services file', async () => {
  const [kept, other] = await Promise.all([start({ models: ['kept'] }), start({ models: ['other'] })])
  const key = 'the-key-of-a-service'
  const good = entryOf(kept, { api_key: key })
  const bad: [entry: unknown, why: RegExp][] = [
    [{ name: 'no-url' }, /url/],
    [{ url: other.url }, /name/],
    [{ name: 'bad\nname', url: other.url }, /name/],
    [{ name: '模型', url: other.url }, /name/],
    [{ name: 'bad-url', url: 'ftp://127.0.0.1' }, /http/],
    [{ name: 'bad-models', url: other.url, models: 'other' }, /models/],
    [{ name: 'bad-weight', url: other.url, weight: 0 }, /weight/],
    [{ name: 'bad-concurrency', url: other.url, concurrency: 1.5 }, /concurrency/],
    [{ name: 'bad-key', url: other.url, api_key: `${key}\n` }, /api_key/],
    [{ name: null, url: other.url }, /name/],
    [{ name: 'null-url', url: null }, /url/],
    ['http://127.0.0.1', /object/],
    [entryOf(kept), /second/],
  ]
  const gateway = await gatewayForServices(file, [good, ...bad.map(([entry]) => entry as object)], OFTEN, 1)

  test('a bad entry is skipped, and the log tells which and why', async () => {
    assert.equal((await servicesOf(gateway)).length, 1)
    const told = gateway.logs.filter(({ message }) => message?.startsWith('bad entry in the services file'))
    assert.equal(told.length, bad.length, JSON.stringify(told))
    for (const [i, [, why]] of bad.entries()) {
      assert.equal(told[i]!['entry'], i + 2)
      assert.match(String(told[i]!['reason']), why)
    }
  })

  test('a change is taken over without a restart', async () => {
    await gateway.setServices([good, entryOf(other)])
    await modelsBecome(gateway, ['kept', 'other'])
    await gateway.setServices([entryOf(other)])
    await modelsBecome(gateway, ['other'])
    assertError(await ask(gateway, 'kept'), 404, 'model_not_found')
    await gateway.setServices([entryOf(other, { models: ['renamed'] })])
    await modelsBecome(gateway, ['renamed'])
    await gateway.setServices([entryOf(kept)])
    await modelsBecome(gateway, ['kept'])
  })

  test('a member that is null, or an empty key, counts as absent; an unknown one is told and left out', async () => {
    const absent = { models: null, weight: null, concurrency: null }
    await gateway.setServices([
      entryOf(kept, { ...absent, api_key: '' }),
      entryOf(other, { ...absent, api_key: null, comment: 'ours' }),
    ])
    await modelsBecome(gateway, ['kept', 'other'])
    const line = await gateway.waitForLog(({ message }) => message?.startsWith('unknown members') === true)
    assert.deepEqual([line.level, line['entry'], line['unknown']], ['warn', 2, ['comment']])
  })

  test('may begin with a byte order mark', async () => {
    await writeFile(join(gateway.cwd, 'services.json'), `\uFEFF${JSON.stringify([entryOf(other)])}`)
    await modelsBecome(gateway, ['other'])
  })

  test('a file that is no list keeps the services that there were', async () => {
    await gateway.setServices([entryOf(kept)])
    await modelsBecome(gateway, ['kept'])
    for (const text of ['[{"name"', '{"name":"x"}', 'null']) {
      const told = gateway.logs.length
      await writeFile(join(gateway.cwd, 'services.json'), text)
      await eventually(() => gateway.logs.slice(told).some(({ message }) => message?.includes('not a JSON list')), {
        withinMs: 10_000,
      })
      assert.equal((await ask(gateway, 'kept')).status, 200)
    }
  })

  test('its keys are in no log and on no page', async () => {
    const pages = await Promise.all(['/services', '/stats', '/metrics'].map((path) => request(`${gateway.url}${path}`)))
    for (const { text } of pages) assert.ok(!text.includes(key))
    assert.ok(!gateway.output.includes(key))
  })
})
