import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { openRaw, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node])

interface RawAnswer {
  status: number
  head: string
  body: string
}

/** The last answer on a connection that the gateway has closed. */
async function answerTo(bytes: string, t: { after(fn: () => void): void }): Promise<RawAnswer> {
  const raw = await openRaw(gateway.url, { t })
  raw.send(bytes)
  return lastAnswer(await raw.closed())
}

function lastAnswer(received: string): RawAnswer {
  const start = received.lastIndexOf('HTTP/1.1 ')
  const [head = '', body = ''] = received.slice(Math.max(0, start)).split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body }
}

function assertJsonError({ status, head, body }: RawAnswer, wanted: number): void {
  assert.equal(status, wanted, `${head}\n${body}`)
  assert.match(head, /^content-type: application\/json/im)
  assert.match(head, new RegExp(`^content-length: ${body.length}$`, 'im'))
  assert.match(head, /^connection: close$/im)
  assert.match(head, /^x-request-id: [\w.-]+$/im)
  assert.equal(typeof (JSON.parse(body) as { error?: unknown }).error, 'string')
}

const HEAD = 'POST /api/jobs HTTP/1.1\r\nHost: x\r\n'

/** What the HTTP parser itself refuses. */
const REFUSED: Record<string, [status: number, bytes: string]> = {
  'a line that is no request': [400, 'what is this\r\n\r\n'],
  'an unknown method': [400, 'BREW /api/jobs HTTP/1.1\r\nHost: x\r\n\r\n'],
  'an unknown version of HTTP': [400, 'GET /livez HTTP/2.7\r\nHost: x\r\n\r\n'],
  'a request without Host': [400, 'GET /livez HTTP/1.1\r\n\r\n'],
  'two Host lines': [400, 'GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n'],
  'two Host lines that say the same': [400, 'GET /livez HTTP/1.1\r\nHost: x\r\nhOST: x\r\n\r\n'],
  'two Host lines in HTTP/1.0': [400, 'GET /livez HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n'],
  'an empty Host': [400, 'GET /livez HTTP/1.1\r\nHost:\r\n\r\n'],
  'a Host of two words': [400, 'GET /livez HTTP/1.1\r\nHost: x y\r\n\r\n'],
  'a Host that is a list': [400, 'GET /livez HTTP/1.1\r\nHost: x,y\r\n\r\n'],
  'a Host that is a URL': [400, 'GET /livez HTTP/1.1\r\nHost: http://x/\r\n\r\n'],
  'a Host with a path': [400, 'GET /livez HTTP/1.1\r\nHost: x/y\r\n\r\n'],
  'a Host with a user': [400, 'GET /livez HTTP/1.1\r\nHost: a@x\r\n\r\n'],
  'a Host with a port that is no number': [400, 'GET /livez HTTP/1.1\r\nHost: x:y\r\n\r\n'],
  'a Host with an unclosed bracket': [400, 'GET /livez HTTP/1.1\r\nHost: [::1\r\n\r\n'],
  'a Host with other letters than ASCII': [400, 'GET /livez HTTP/1.1\r\nHost: \u00fc\r\n\r\n'],
  'a header line without a colon': [400, 'GET /livez HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
  'a space before the colon': [400, 'GET /livez HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n'],
  'a length that is no number': [400, `${HEAD}Content-Length: many\r\n\r\n`],
  'two lengths': [400, `${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
  'a length and chunks': [400, `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`],
  'a chunk without a size': [400, `${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n`],
  'headers past the limit': [431, `GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(80_000)}\r\n\r\n`],
  'a URL past the limit': [431, `GET /api/jobs?id=${'a'.repeat(80_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  'an expectation other than 100-continue': [417, `${HEAD}Expect: fries\r\nContent-Length: 2\r\n\r\n`],
  CONNECT: [405, 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n'],
}

for (const [what, [status, bytes]] of Object.entries(REFUSED)) {
  test(`${what} is a ${status} in JSON, and the connection is closed`, async (t) => {
    assertJsonError(await answerTo(bytes, t), status)
  })
}

test('every name and address is a valid Host', async (t) => {
  const hosts = [
    'x',
    'a.example',
    'a.example.',
    'my_gateway:4000',
    '127.0.0.1:4000',
    'x:',
    '[::1]',
    '[fe80::1%25eth0]:4000',
  ]
  for (const host of [...hosts, '[::ffff:127.0.0.1]:80', 'xn--bcher-kva.example']) {
    const raw = await openRaw(gateway.url, { t })
    raw.send(`GET /livez HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    assert.match(await raw.closed(), /^HTTP\/1\.1 200 /, host)
  }
})

test('a 405 to CONNECT names the methods, as every 405 does', async (t) => {
  const { head } = await answerTo('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n', t)
  assert.match(head, /^allow: GET, HEAD, POST, PUT, DELETE, OPTIONS$/im)
})

test('a client that resets its CONNECT, at whatever moment, does not end the gateway', async () => {
  for (let i = 0; i < 100; i++) {
    const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined)
    await once(socket, 'connect')
    socket.write('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n', () => {
      if (i % 3 === 0) setTimeout(() => socket.resetAndDestroy(), i % 5)
      else socket.resetAndDestroy()
    })
    await once(socket, 'close')
  }
  assert.equal((await request(`${gateway.url}/livez`)).status, 200)
})

describe('nonsense after an answer on the same connection', () => {
  test('is a 400 in JSON too', async (t) => {
    const raw = await openRaw(gateway.url, { t })
    raw.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
    await raw.until((received) => received.endsWith('}'))
    raw.send('nonsense\r\n\r\n')
    assertJsonError(lastAnswer(await raw.closed()), 400)
  })

  test('never gets into an answer that is under way, which is completed', async (t) => {
    const raw = await openRaw(gateway.url, { t })
    const body = '{"containers":["echo"],"data":{"pieces":9,"pieceMs":50}}'
    raw.send(`POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await raw.until((received) => received.includes('piece0'))
    raw.send('nonsense\r\n\r\n')
    const received = await raw.closed()
    assert.equal(received.match(/HTTP\/1\.1 /g)?.length, 1, received)
    assert.match(received, /piece8 \r\n0\r\n\r\n$/)
  })

  test('never passes for the answer to a request that waits for its own', async (t) => {
    await node.late(0.3, 'submit', { times: 1 })
    const raw = await openRaw(gateway.url, { t })
    const body = '{"containers":["echo"],"data":{}}'
    raw.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}nonsense\r\n\r\n`)
    const received = await raw.closed()
    assert.match(received, /^HTTP\/1\.1 200 /)
    assert.equal(received.match(/HTTP\/1\.1 /g)?.length, 1, received)
  })
})

test('a client that sends half a body and leaves makes no job', async (t) => {
  const seen = node.seen('submit').length
  const raw = await openRaw(gateway.url, { t })
  raw.send(`${HEAD}Content-Length: 100\r\nX-Request-Id: half-a-body\r\n\r\n{"containers"`)
  raw.socket.end()
  await raw.closed()
  await gateway.waitForLog((line) => line['requestId'] === 'half-a-body')
  assert.equal(node.seen('submit').length, seen)
})

test('what is refused here harms nobody: the gateway serves on', async () => {
  await eventually(async () => (await request(`${gateway.url}/livez`)).status === 200)
  assert.equal((await request(`${gateway.url}/health`)).json<{ healthy_services: string }>().healthy_services, '1/1')
})
