import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { askChat, chat, openChat } from './support.ts'

const file = { after }
const services = await Promise.all(
  Array.from({ length: 4 }, () => startFakeOpenAi({ concurrency: 100, seconds: 0.5 }, file)),
)
// All take the same time, and long enough that none seems much slower than the others for the delays of a busy machine.
const entries = services.map((service) => entryOf(service, { concurrency: 2 }))
const gateway = await gatewayForServices(file, entries)

type Way = (session: string) => [body: object, headers?: Record<string, string>]

const WAYS: Record<string, Way> = {
  prompt_cache_key: (session) => [chat({}, { prompt_cache_key: session, user: 'somebody' })],
  user: (session) => [chat({}, { user: session }), { 'X-Session-Id': 'another' }],
  'X-Session-Id': (session) => [chat(), { 'X-Session-Id': session, 'Session-Id': 'another' }],
}

const OTHER_WAYS: Record<string, Way> = {
  "header of an agent's own": (session) => [chat(), { 'Session-Id': session }],
  'metadata.user_id': (session) => [chat({}, { metadata: { user_id: JSON.stringify({ session_id: session }) } })],
}

async function servedBy([body, headers = {}]: ReturnType<Way>): Promise<string> {
  const answer = await askChat(gateway, body, { headers })
  assert.equal(answer.status, 200)
  return String(answer.headers['x-infernet-node'])
}

for (const [name, way] of Object.entries(WAYS)) {
  test(`requests with the same ${name} go to the same service, those with others at the same time spread`, async () => {
    const sessions = Array.from({ length: 4 }, (_, i) => `session ${i} by ${name}`)
    const homes = await Promise.all(sessions.map((session) => servedBy(way(session))))
    assert.ok(new Set(homes).size >= 2, 'one of four services served all sessions, more than it runs at once')
    for (const [i, session] of sessions.entries()) assert.equal(await servedBy(way(session)), homes[i])
  })
}

test('whatever names it, a session is the same one', async () => {
  const homes = new Set<string>()
  for (const way of [...Object.values(WAYS), ...Object.values(OTHER_WAYS)])
    homes.add(await servedBy(way('one and the same')))
  assert.equal(homes.size, 1)
})

test('a session never waits for its service while another is free', async () => {
  const home = await servedBy(WAYS['user']!('busy'))
  const streams = []
  // As many as it serves at once; they all prefer it.
  for (let i = 0; i < 2; i++) {
    const stream = await openChat(
      gateway,
      { stallAfter: 0 },
      { body: chat({ stallAfter: 0 }, { stream: true, user: 'busy' }) },
    )
    assert.equal(stream.headers['x-infernet-node'], home)
    streams.push(stream)
  }
  for (let i = 0; i < 3; i++) assert.notEqual(await servedBy(WAYS['user']!('busy')), home)
  for (const stream of streams) {
    const left = services.find(({ address }) => address === home)!.next('clientLeft')
    stream.destroy()
    await left
  }
})

test('a session whose service is gone goes to another, and is served', async () => {
  const home = await servedBy(WAYS['user']!('orphan'))
  const service = services.find(({ address }) => address === home)!
  await service.refuse()
  for (let i = 0; i < 4; i++) assert.notEqual(await servedBy(WAYS['user']!('orphan')), home)
  await service.comeBack()
})
