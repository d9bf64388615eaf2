/** Requests that a backend had when it went away, before the first byte of its answer: they are sent to it again, once. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entryOf, gatewayForServices, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post } from '../../kit/http.ts'
import { eventually, freePort, type Cleanup } from '../../kit/wait.ts'
import { BackendProcess } from './backendProcess.ts'

/** More than the retries that are always allowed. */
const MANY = 20

interface Site {
  readonly backend: BackendProcess
  readonly gateway: Gateway
}

async function createSite(t: Cleanup, how: 'answer' | 'hold' = 'answer'): Promise<Site> {
  const backend = new BackendProcess(t, await freePort())
  await backend.listen(how)
  const gateway = await startGateway(t, {
    nodes: [backend],
    services: [entryOf({ address: 'service', url: `http://${backend.address}` })],
    // A restart is seen by what is sent, not by polls.
    env: { REFRESH_INTERVAL: '60', OUTAGE_WAIT: '20' },
  })
  return { backend, gateway }
}

const chatOf = (content: string): object => ({ model: 'small-model', messages: [{ role: 'user', content }] })

function ask({ gateway }: Site, content: string): ReturnType<typeof post> {
  return post(`${gateway.url}/v1/chat/completions`, chatOf(content), { timeoutMs: 30_000 })
}

describe('a backend that is killed and comes back', () => {
  test('gets again what it had not answered and may run twice, whatever the budget of retries; nothing else', async (t) => {
    const site = await createSite(t, 'hold')
    const { backend, gateway } = site
    const chats = Array.from({ length: MANY }, () => ask(site, 'hold'))
    const submit = (headers: Record<string, string>): ReturnType<typeof post> =>
      post(`${gateway.url}/api/jobs`, jobOf({ hold: true }), { headers, timeoutMs: 30_000 })
    const keyed = submit({ 'Idempotency-Key': 'once' })
    const once = submit({})
    await eventually(() => backend.taken.length === MANY + 2, { what: 'all requests at the backend' })
    await backend.kill()
    // It might have begun, and the client has not said that a second run does no harm.
    assert.equal((await once).status, 502)
    await backend.listen()
    const statuses = (await Promise.all([...chats, keyed])).map(({ status, text }) => (status === 200 ? 200 : text))
    assert.deepEqual(statuses, Array(MANY + 1).fill(200))
    assert.equal(backend.taken.length, 2 * MANY + 3)
  })

  for (const connection of ['new', 'used']) {
    test(`is brought down by one request twice at most, also over a ${connection} connection`, async (t) => {
      const site = await createSite(t)
      const { backend } = site
      if (connection === 'used') assert.equal((await ask(site, 'hello')).status, 200)
      const poison = ask(site, 'poison')
      await backend.ended()
      await backend.kill()
      // It was never sent: it goes before what may have brought the backend down.
      const innocent = ask(site, 'hello again')
      await backend.listen()
      await backend.ended()
      await backend.kill()
      await backend.listen()
      assert.equal((await poison).status, 502)
      assert.equal((await innocent).status, 200)
      assert.equal(backend.taken.filter((body) => body.includes('poison')).length, 2)
    })
  }
})

test('a backend that broke a connection, but is still there, gets the request no second time: 502 at once', async (t) => {
  const service = await startFakeOpenAi({}, t)
  const gateway = await gatewayForServices(t, [entryOf(service)], { REFRESH_INTERVAL: '60', OUTAGE_WAIT: '60' })
  await service.misbehave({ act: 'break', when: 'answer' }, 'chat', 1)
  const answer = await post(`${gateway.url}/v1/chat/completions`, chatOf('hello'))
  assert.equal(answer.status, 502)
  assert.equal(service.seen('chat').length, 1)
})
