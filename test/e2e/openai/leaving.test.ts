import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { openRaw } from '../../kit/http.ts'
import type { RawConnection } from '../../kit/http.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { unconnectable } from '../../kit/unconnectable.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'
import { askChat, AT_ONCE_MS, chat, inFlightIs } from './support.ts'

const file = { after }
const service = await startFakeOpenAi({ concurrency: 1 }, file)
const gateway = await gatewayForServices(file, [entryOf(service)])

async function open(t: Cleanup, sim: object, isStream: boolean, url = gateway.url): Promise<RawConnection> {
  const client = await openRaw(url, { t })
  const text = JSON.stringify(chat(sim, { stream: isStream }))
  client.send(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
  return client
}

const WAYS = [
  ['closes', (client: RawConnection) => client.socket.destroy()],
  ['resets', (client: RawConnection) => client.socket.resetAndDestroy()],
] as const

/** The service notices, and every count returns to nothing. */
async function leaves(client: RawConnection, leave: (client: RawConnection) => unknown): Promise<void> {
  await inFlightIs(gateway, service, 1)
  const noticed = service.next('clientLeft', () => true, AT_ONCE_MS)
  leave(client)
  await noticed
  await inFlightIs(gateway, service, 0)
  const { running, waiting } = await service.counts()
  assert.deepEqual({ running, waiting }, { running: 0, waiting: 0 })
}

for (const [how, leave] of WAYS) {
  describe(`a client that ${how} its connection cancels at the service at once`, () => {
    test('in mid-stream', async (t) => {
      const client = await open(t, { pieces: 100_000, pieceMs: 10, text: 'word' }, true)
      await client.until((received) => received.includes('word'))
      await leaves(client, leave)
    })

    test('in a stream that has stalled', async (t) => {
      const client = await open(t, { pieces: 9, text: 'word', stallAfter: 1 }, true)
      await client.until((received) => received.includes('word'))
      await leaves(client, leave)
    })

    test('in a stream that it has stopped reading', async (t) => {
      const client = await open(t, { pieces: 400, text: 'x'.repeat(65_536) }, true)
      await client.until((received) => received.includes('xxx'))
      client.socket.pause()
      await leaves(client, leave)
    })

    for (const isStream of [true, false]) {
      const what = isStream ? 'a stream' : 'an answer in one piece'
      test(`before the first byte of ${what}`, async (t) => {
        const { n } = service.requests.at(-1)!
        const client = await open(t, { seconds: 600 }, isStream)
        await service.waitFor('chat', { after: n })
        await leaves(client, leave)
      })
    }

    test('amid an answer in one piece', async (t) => {
      await service.misbehave({ act: 'drip', seconds: 60 }, 'chat', 1)
      const client = await open(t, {}, false)
      await client.until((received) => received.includes('\r\n\r\n{'))
      await leaves(client, leave)
    })
  })
}

test('a client that leaves while a connection is being made is forgotten, and nothing is sent', async (t) => {
  const gone = await startFakeOpenAi({}, t)
  const other = await gatewayForServices(t, [entryOf(gone)], { CONNECT_TIMEOUT: '600', REFRESH_INTERVAL: '600' })
  await gone.refuse()
  await unconnectable(t, gone.port)
  for (const isStream of [true, false]) {
    const client = await open(t, {}, isStream, other.url)
    await inFlightIs(other, gone, 1)
    client.socket.destroy()
    await inFlightIs(other, gone, 0)
  }
  const { healthy, error_count } = await statsOf(other, gone)
  assert.deepEqual({ healthy, error_count }, { healthy: true, error_count: 0 })
})

test('leaving is no failure of the service, and no request is repeated for it', async (t) => {
  const { error_count, request_count } = await statsOf(gateway, service)
  for (let i = 0; i < 4; i++) {
    const client = await open(t, { pieces: 100_000, pieceMs: 10, text: 'word' }, true)
    await client.until((received) => received.includes('word'))
    await leaves(client, ({ socket }) => socket.destroy())
  }
  const stats = await statsOf(gateway, service)
  assert.equal(stats.healthy, true)
  assert.equal(stats.error_count, error_count)
  assert.equal(stats.request_count, request_count + 4)
  assert.equal((await askChat(gateway)).status, 200)
})
