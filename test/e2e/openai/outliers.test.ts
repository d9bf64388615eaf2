import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { askChat, chat } from './support.ts'

const STATUSES = [401, 402, 404, 500, 502, 504, 529]

const file = { after }
/** Two services for each status, with a model of their own; one of them answers that status at once. */
const pairs = await Promise.all(
  STATUSES.map(async (status) => {
    const model = `model-${status}`
    const [bad, good] = await Promise.all([
      startFakeOpenAi({ models: [model], concurrency: 64 }, file),
      startFakeOpenAi({ models: [model], concurrency: 64, seconds: 0.02 }, file),
    ])
    await bad.answer(status, 'chat')
    return { status, model, bad, good }
  }),
)
const entries = pairs.flatMap(({ bad, good }) => [entryOf(bad, { api_key: 'ours' }), entryOf(good)])
const gateway = await gatewayForServices(file, entries, { REFRESH_INTERVAL: '3600' })

interface Avoided {
  kind: string
  reason: string
}

async function avoidedOf(name: string): Promise<Avoided[]> {
  const { services } = (await request(`${gateway.url}/stats`)).json<{
    services: { name: string; avoided: Avoided[] }[]
  }>()
  return services.find((service) => service.name === name)!.avoided
}

describe('of two services with one model', () => {
  for (const { status, model, bad, good } of pairs) {
    test(`one that answers ${status} at once gets no more than a few requests`, async () => {
      const statuses: number[] = []
      const client = async (): Promise<void> => {
        for (let n = 0; n < 15; n++) statuses.push((await askChat(gateway, chat({}, { model }))).status)
      }
      await Promise.all(Array.from({ length: 4 }, client))
      // Three refusals decide; four clients may have one each under way by then, and 20 s later there is a trial.
      const asked = bad.seen('chat').length
      assert.ok(asked >= 1 && asked <= 10, `it was asked ${asked} times`)
      assert.ok(statuses.filter((other) => other === 200).length >= 50)
      const [avoided] = await avoidedOf(bad.address)
      assert.equal(avoided?.kind, `model ${model} (/chat/completions)`)
      assert.match(avoided.reason, new RegExp(`^answers ${status} to 100 %`))
      assert.deepEqual(await avoidedOf(good.address), [])
    })
  }
})

test("a client's own wrong key is not held against the service", async () => {
  const services = await Promise.all([
    startFakeOpenAi({ models: ['m'], apiKey: 'right' }, file),
    startFakeOpenAi({ models: ['m'] }, file),
  ])
  const other = await gatewayForServices(file, [
    entryOf(services[0], { models: ['m'] }),
    entryOf(services[1], { models: ['m'] }),
  ])
  for (let n = 0; n < 20; n++) {
    await askChat(other, chat({}, { model: 'm' }), { headers: { authorization: 'Bearer wrong' } })
  }
  const { services: stats } = (await request(`${other.url}/stats`)).json<{ services: { avoided: Avoided[] }[] }>()
  assert.deepEqual(
    stats.flatMap(({ avoided }) => avoided),
    [],
  )
})
