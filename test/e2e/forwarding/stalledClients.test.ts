/** A client that takes nothing of what is there for it holds neither a node nor a connection for ever. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { after, test } from 'node:test'
import { startSimNode } from '../../kit/simNode/index.ts'
import { openRaw } from '../../kit/http.ts'
import { gatewayFor, job } from '../support.ts'

const file = { after }
const node = await startSimNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node], { STREAM_IDLE_TIMEOUT: '1' })

/** Connected long before it asks. */
const early = await openRaw(gateway.url, { t: file })

/** More than the kernel takes off the gateway's hands. */
const LARGE = 40_000_000

/** Reads nothing but the head of an answer. */
async function unread(requestId: string, path: string, body: object): Promise<IncomingMessage> {
  const headers = { 'Content-Type': 'application/json', 'X-Request-Id': requestId }
  const outgoing = httpRequest(gateway.url + path, { method: 'POST', headers, agent: false })
  outgoing.end(JSON.stringify(body))
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return response
}

async function isCutOff(response: IncomingMessage, id: string): Promise<void> {
  const line = await gateway.waitForLog(({ requestId }) => requestId === id)
  assert.equal(line['fault'], 'ERR_CLIENT_GONE')
  assert.equal(line['node'], node.address)
  let read = 0
  response.on('data', (bytes: Buffer) => (read += bytes.length))
  await assert.rejects(once(response, 'end'), { code: 'ECONNRESET' })
  assert.ok(read < LARGE, `${read} bytes came`)
}

test('a client that takes nothing of a stream for STREAM_IDLE_TIMEOUT is cut off', async () => {
  const pieces = Math.ceil(LARGE / 65_536)
  await isCutOff(await unread('a', '/api/jobs/stream', job({ pieces, pieceBytes: 65_536, failAfter: pieces })), 'a')
})

test('so is one that takes nothing of an answer which is written already', async () => {
  await node.answer(400, 'submit', { body: JSON.stringify({ error: 'x'.repeat(LARGE) }) })
  await isCutOff(await unread('b', '/api/jobs', job()), 'b')
})

test('one that has not asked yet is not', async () => {
  early.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
  await early.until((text) => text.startsWith('HTTP/1.1 200 '))
})
