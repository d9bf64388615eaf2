/** A client that takes nothing of what is there for it holds neither a node nor a connection for ever; a slow one gets all. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { after, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startJobServer } from '../../jobs/jobServer.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
/** Its patience with clients is short. */
const server = await startJobServer(file, [node], undefined, 1)
/** Its patience with nodes is short. */
const gateway = await gatewayFor(file, [node], { STREAM_IDLE_TIMEOUT: '2' })

/** Connected long before it asks. */
const early = await openRaw(server.url, { t: file })

/** More than the kernel takes off the gateway's hands. */
const LARGE = 40_000_000
const PIECE_BYTES = 65_536
const PIECES = Math.ceil(LARGE / PIECE_BYTES)

/** Reads nothing but the head of an answer. */
async function unread(url: string, path: string, body: object): Promise<IncomingMessage> {
  const headers = { 'Content-Type': 'application/json' }
  const outgoing = httpRequest(url + path, { method: 'POST', headers, agent: false })
  outgoing.end(JSON.stringify(body))
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return response
}

function unreadStream(url: string, more: object = {}): Promise<IncomingMessage> {
  return unread(url, '/api/jobs/stream', jobOf({ pieces: PIECES, pieceBytes: PIECE_BYTES, ...more }))
}

/** An answer that the gateway has as a whole. */
async function unreadRefusal(url: string): Promise<IncomingMessage> {
  await node.answer(400, 'submit', { body: JSON.stringify({ error: 'x'.repeat(LARGE) }), times: 1 })
  return unread(url, '/api/jobs', jobOf())
}

describe('a client that takes nothing for as long as the gateway is patient', () => {
  async function isCutOff(response: IncomingMessage): Promise<void> {
    // Longer than its patience; what a client does not read tells it nothing.
    await pause(3000)
    let read = 0
    response.on('data', (bytes: Buffer) => (read += bytes.length))
    await assert.rejects(once(response, 'end'), { code: 'ECONNRESET' })
    assert.ok(read < LARGE, `${read} bytes came`)
  }

  test('is cut off from a stream, which its node can then forget', async () => {
    const left = node.next('clientLeft')
    await isCutOff(await unreadStream(server.url, { failAfter: PIECES }))
    await left
  })

  test('is cut off from an answer which is written already', async () => {
    await isCutOff(await unreadRefusal(server.url))
  })

  test('is not cut off where it has not asked yet', async () => {
    early.send('GET /api/jobs HTTP/1.1\r\nHost: x\r\n\r\n')
    await early.until((text) => text.startsWith('HTTP/1.1 200 '))
  })
})

describe(
  'a client that takes nothing for longer than STREAM_IDLE_TIMEOUT, which is for nodes',
  { concurrency: 2 },
  () => {
    async function getsAll(response: IncomingMessage): Promise<void> {
      await pause(4000)
      let read = 0
      response.on('data', (bytes: Buffer) => (read += bytes.length))
      await once(response, 'end')
      assert.ok(response.complete)
      assert.ok(read >= LARGE, `${read} bytes came`)
    }

    test('gets all of a stream', async () => {
      await getsAll(await unreadStream(gateway.url))
    })

    test('gets all of an answer which is written already', async () => {
      await getsAll(await unreadRefusal(gateway.url))
    })
  },
)
