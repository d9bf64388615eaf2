/** Nodes that keep sending a little: `PROXY_TIMEOUT` holds all the same, and the place at the node is given back. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, post } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'
import { answerOf, drip, startWireNode, type WireAnswer } from '../wireNode.ts'

const file = { after }
const node = await startWireNode(file)
const gateway = await gatewayFor(file, [node], { PROXY_TIMEOUT: '1' })

/** Twenty seconds' worth of bytes, and then the end of the answer. */
const SLOW: Record<string, [error: string, answer: WireAnswer]> = {
  'interim answers': [
    'The node did not respond in time',
    (socket) => drip(socket, 'HTTP/1.1 103 Early\r\n\r\n'.repeat(20), 50),
  ],
  'its head byte by byte': [
    'The node did not respond in time',
    (socket) => drip(socket, `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(400)}`, 50),
  ],
  'its body byte by byte': [
    'The node did not complete its response in time',
    (socket) => drip(socket, answerOf(`{"id":"${'a'.repeat(400)}"}`), 5),
  ],
}
const idle = async (): Promise<boolean> => (await statsOf(gateway, node)).in_flight === 0

describe('a node that sends', () => {
  for (const [what, [error, answer]] of Object.entries(SLOW)) {
    test(`${what} is given up after PROXY_TIMEOUT`, async () => {
      node.answers(answer)
      assert.equal(assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 504), error)
      assert.ok(await idle())
    })

    test(`${what} keeps no place for long after its client has left`, async (t) => {
      node.answers(answer)
      const asked = node.posts.length
      const client = await openRaw(gateway.url, { t })
      const text = JSON.stringify(jobOf())
      client.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
      await eventually(() => node.posts.length > asked)
      client.socket.destroy()
      await eventually(idle)
    })
  }

  test('a batch’s answer byte by byte is given up too', async () => {
    node.answers((socket) => drip(socket, answerOf(`[{"id":"${'a'.repeat(400)}"}]`), 5))
    const got = await post(`${gateway.url}/api/jobs/batch`, [jobOf()])
    assert.equal(assertError(got, 504), 'The node did not complete its response in time')
  })

  test('an answer slowly, but within the time, is waited for', async () => {
    const body = JSON.stringify({ id: randomUUID() })
    node.answers((socket) => drip(socket, answerOf(body), 2))
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).text, body)
  })
})

test('a stream may take longer than PROXY_TIMEOUT, as long as its pieces come', async () => {
  const line = `${randomUUID()}\n`
  node.answers((socket) => {
    socket.write(`HTTP/1.0 200 OK\r\n\r\n${line}`)
    drip(socket, '123456789012', 150)
    setTimeout(() => socket.end(), 2500)
  })
  assert.equal((await post(`${gateway.url}/api/jobs/stream`, jobOf())).text, `${line}123456789012`)
})
