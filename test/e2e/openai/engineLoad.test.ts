/** Engines that tell their load: what operators see of it, and who gets the work. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeOpenAi, type FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'
import { askChat, chat } from './support.ts'

const file = { after }
const WITHIN = { withinMs: 20_000 }
const KEY = 'sk-of-the-service'
const NONE = { running: 0, waiting: 0 }
const MUCH = { running: 20, waiting: 5 }

const shared = { models: ['shared'], hasMetrics: true, apiKey: KEY }
const [one, two, stranger, failing, elsewhere] = await Promise.all([
  startFakeOpenAi({ ...shared, others: MUCH }, file),
  startFakeOpenAi({ ...shared }, file),
  startFakeOpenAi({ models: ['stranger'], hasMetrics: true, apiKey: KEY }, file),
  startFakeOpenAi({ models: ['failing'] }, file),
  startFakeOpenAi({ hasMetrics: true }, file),
])
await stranger.answer(307, 'metrics', { headers: { location: `${elsewhere.url}/metrics` } })
await failing.answer(500, 'metrics')
const entries = [entryOf(failing), ...[one, two, stranger].map((service) => entryOf(service, { api_key: KEY }))]
const gateway = await gatewayForServices(file, entries, { REFRESH_INTERVAL: '0.3' })

async function pendingIs(service: FakeOpenAi, pending: number): Promise<void> {
  const look = async (): Promise<boolean> => (await statsOf(gateway, service)).pending === pending
  await eventually(look, { ...WITHIN, what: `pending of ${pending}` })
}

/** Who gets four chats that are asked for one after the other. They last, as those of others do. */
async function takers(): Promise<number[]> {
  const before = [one, two].map((service) => service.seen('chat').length)
  for (let n = 0; n < 4; n++) {
    assert.equal((await askChat(gateway, chat({ seconds: 0.2 }, { model: 'shared' }))).status, 200)
  }
  return [one, two].map((service, index) => service.seen('chat').length - before[index]!)
}

test('the requests that an engine has are its pending in /stats and /metrics', async () => {
  await pendingIs(one, 25)
  await pendingIs(two, 0)
  const { text } = await request(`${gateway.url}/metrics`)
  const line = text
    .split('\n')
    .find((each) => each.startsWith('infernet_gateway_node_pending') && each.includes(one.address))
  assert.match(line ?? '', / 25$/)
})

test('load from outside moves the work to the engine that is idle', async () => {
  assert.deepEqual(await takers(), [0, 4])
  await one.set({ others: NONE })
  await two.set({ others: MUCH })
  await pendingIs(one, 0)
  await pendingIs(two, 25)
  assert.deepEqual(await takers(), [4, 0])
})

test('a service whose metrics fail is healthy and gets its work', async () => {
  await failing.waitFor('metrics')
  assert.equal((await askChat(gateway, chat({}, { model: 'failing' }))).status, 200)
  const { healthy, pending } = await statsOf(gateway, failing)
  assert.deepEqual([healthy, pending], [true, 0])
})

test('the key of a service goes with questions for its metrics, and to no other origin', async () => {
  for (const service of [one, stranger]) {
    await service.waitFor('metrics')
    assert.ok(service.seen('metrics').every((question) => question.header('authorization') === `Bearer ${KEY}`))
  }
  assert.ok(failing.seen('metrics').every((question) => question.header('authorization') === undefined))
  assert.equal(elsewhere.requests.length, 0)
})
