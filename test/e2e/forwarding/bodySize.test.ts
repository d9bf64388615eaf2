import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, post } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const MAX_BODY = 100_000

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node], { MAX_BODY: String(MAX_BODY), API_KEYS: 'the-key' })
const KEY = { Authorization: 'Bearer the-key' }
const AUTHORIZATION = 'Authorization: Bearer the-key'

/** A job of so many bytes. */
function jobOfBytes(bytes: number): string {
  const text = JSON.stringify(jobOf({ blob: '' }))
  return text.replace('""', `"${'x'.repeat(bytes - text.length)}"`)
}

/** Sends a body without saying how long it will be. */
async function postChunked(path: string, body: string): Promise<IncomingMessage> {
  const outgoing = httpRequest(`${gateway.url}${path}`, { method: 'POST', headers: KEY, agent: false })
  outgoing.on('error', () => undefined)
  for (let i = 0; i < body.length; i += 16_384) outgoing.write(body.slice(i, i + 16_384))
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  response.resume()
  return response
}

describe('a body larger than MAX_BODY is a 413, and nothing is asked of a node', () => {
  test('on every call that takes one', async () => {
    const seen = node.requests.filter(({ method }) => method !== 'GET').length
    for (const [method, path] of [
      ['POST', '/api/jobs'],
      ['POST', '/api/jobs/stream'],
      ['POST', '/api/jobs/batch'],
      ['PUT', '/api/status'],
    ] as const) {
      const answer = await post(`${gateway.url}${path}`, jobOfBytes(MAX_BODY + 1), { method, headers: KEY })
      assertError(answer, 413)
    }
    assert.equal(node.requests.filter(({ method }) => method !== 'GET').length, seen)
  })

  test('also where its length is not announced', async () => {
    for (const path of ['/api/jobs', '/api/jobs/stream', '/api/jobs/batch']) {
      assert.equal((await postChunked(path, jobOfBytes(MAX_BODY * 2))).statusCode, 413)
    }
  })

  test('however small that is: for tickets too, and seen by a client that sends far more', async (t) => {
    const narrow = await gatewayFor(t, [node], { MAX_BODY: '2kb' })
    assertError(await post(`${narrow.url}/route/`, { endpoint: 'echo', filler: 'x'.repeat(3000) }), 413)
    assertError(await post(`${narrow.url}/api/jobs`, jobOfBytes(10_000_000)), 413)
  })

  test('to the byte: one of just that size is taken', async () => {
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOfBytes(MAX_BODY), { headers: KEY })).status, 200)
    assert.equal(node.seen('submit').at(-1)!.bodyLength, MAX_BODY)
    assert.equal((await postChunked('/api/jobs', jobOfBytes(MAX_BODY))).statusCode, 200)
  })
})

describe('a client that is still busy sending', () => {
  test('sees the answer after it has sent all', async (t) => {
    const client = await openRaw(gateway.url, { t })
    const body = jobOfBytes(MAX_BODY * 3)
    client.send(
      `POST /api/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-key\r\nContent-Length: ${body.length}\r\n\r\n`,
    )
    for (let i = 0; i < body.length; i += 10_000) {
      client.send(body.slice(i, i + 10_000))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const received = await client.until((text) => text.endsWith('}'))
    assert.match(received, /^HTTP\/1\.1 413 /)
    assert.equal(client.socket.destroyed, false)
    // The connection is as good as before.
    client.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.until((text) => text.includes('HTTP/1.1 200 '))
  })

  test('is read no further than within reason', async (t) => {
    const client = await openRaw(gateway.url, { t })
    client.send(
      'POST /api/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-key\r\nContent-Length: 999999999\r\n\r\n',
    )
    const block = 'x'.repeat(65_536)
    const send = (): void => {
      while (!client.socket.destroyed && client.socket.write(block));
    }
    client.socket.on('drain', send)
    send()
    assert.match(await client.closed(), /^(HTTP\/1\.1 413 |$)/)
    assert.ok(client.socket.bytesWritten < 500_000_000)
  })
})

describe('a client that is still busy sending, and whose connection closes after the answer', () => {
  for (const [what, status, lines] of [
    ['too large a body, Connection: close', 413, ['POST /api/jobs HTTP/1.1', 'Connection: close', AUTHORIZATION]],
    ['too large a body, HTTP/1.0', 413, ['POST /api/jobs HTTP/1.0', AUTHORIZATION]],
    ['no key', 401, ['POST /api/jobs HTTP/1.1', 'Connection: close']],
    ['nothing at that path', 404, ['POST /nothing HTTP/1.1', 'Connection: close']],
  ] as const) {
    test(`can send all of it, and is only then closed: ${what}`, async (t) => {
      const client = await openRaw(gateway.url, { t })
      client.send(`${[...lines, 'Host: x', 'Content-Length: 5000000'].join('\r\n')}\r\n\r\n`)
      const received = await client.until((text) => text.endsWith('}'))
      assert.equal(Number(received.split(' ')[1]), status)
      for (let i = 0; i < 100; i++) {
        if (!client.socket.write('x'.repeat(50_000))) await once(client.socket, 'drain')
      }
      await client.closed()
      assert.equal(client.socket.errored, null)
    })
  }

  test('is not waited for where it was not told to go on', async (t) => {
    const client = await openRaw(gateway.url, { t })
    const head = [
      'POST /api/jobs HTTP/1.1',
      'Host: x',
      'Expect: 100-continue',
      'Connection: close',
      'Content-Length: 50',
    ]
    client.send(`${head.join('\r\n')}\r\n\r\n`)
    // Sooner than the bound on that wait.
    assert.match(await client.closed(8000), /^HTTP\/1\.1 401 /)
  })
})

describe('a client that asks before it uploads (Expect: 100-continue)', () => {
  async function ask(t: { after(fn: () => void): void }, headers: string[]): Promise<string> {
    const client = await openRaw(gateway.url, { t })
    const head = ['POST /api/jobs HTTP/1.1', 'Host: x', 'Expect: 100-continue', ...headers]
    client.send(`${head.join('\r\n')}\r\n\r\n`)
    return client.until(
      (received) => received.includes('\r\n\r\n') && !received.startsWith('HTTP/1.1 100 Continue\r\n\r\nH'),
    )
  }

  test('is refused before the upload where the body would be too large', async (t) => {
    const received = await ask(t, ['Authorization: Bearer the-key', `Content-Length: ${MAX_BODY + 1}`])
    assert.match(received, /^HTTP\/1\.1 413 /)
  })

  test('is refused before the upload where it shows no key', async (t) => {
    assert.match(await ask(t, ['Content-Length: 50']), /^HTTP\/1\.1 401 /)
  })

  test('is refused before the upload where the body is compressed', async (t) => {
    const received = await ask(t, ['Authorization: Bearer the-key', 'Content-Length: 50', 'Content-Encoding: compress'])
    assert.match(received, /^HTTP\/1\.1 415 /)
  })

  test('is told to go on where nothing is wrong', async (t) => {
    const received = await ask(t, ['Authorization: Bearer the-key', 'Content-Length: 50'])
    assert.equal(received, 'HTTP/1.1 100 Continue\r\n\r\n')
  })
})
