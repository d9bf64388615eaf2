import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import type { Exit, Gateway } from '../../kit/gateway.ts'
import { openRaw, openStream, post, request } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { within } from '../../kit/wait.ts'
import { assertError, startHandNode } from '../support.ts'

/** A node and a gateway of the test's own, since the gateway will not outlive it. */
async function startPair(t: TestContext, env: Record<string, string> = {}): Promise<[Gateway, LocalFakeNode]> {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  return [await gatewayFor(t, [node], env), node]
}

/** A stream through the gateway that has begun. */
async function openRunning(gateway: Gateway, data: object): Promise<OpenStream> {
  const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf(data) })
  await open.until((text) => text.includes('piece0'))
  return open
}

async function drain(gateway: Gateway, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  gateway.signal(signal)
  await gateway.waitForLog((line) => line.message === 'draining')
}

function exitOf(gateway: Gateway, withinMs = 15_000): Promise<Exit> {
  return within(gateway.exited, withinMs, () => `the exit; the gateway wrote:\n${gateway.output}`)
}

describe('a gateway that is told to stop', { concurrency: 2 }, () => {
  test('while draining, what runs goes on to its end, new work is turned away, and then the exit code is 0', async (t) => {
    const byHand = await startHandNode(t)
    const gateway = await gatewayFor(t, [byHand])
    const opening = openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf() })
    const answer = await byHand.next()
    answer.write('the-id\nbefore, ')
    const stream = await opening
    const kept = await openRaw(gateway.url, { t })
    kept.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
    await kept.until((received) => received.endsWith('}'))
    await drain(gateway)

    for (const [path, body] of [
      ['/api/jobs', jobOf()],
      ['/api/jobs/stream', jobOf()],
      ['/api/jobs/batch', [jobOf()]],
    ] as const) {
      const refusal = await post(`${gateway.url}${path}`, body)
      assertError(refusal, 503)
      assert.equal(refusal.headers.connection, 'close')
      assert.ok(Number(refusal.headers['retry-after']) >= 1)
      assert.equal(refusal.headers['x-infernet-node'], undefined)
    }
    // A connection from before is used up, too.
    kept.send('GET /api/jobs HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(await kept.closed(), /HTTP\/1\.1 200 OK\r\n(.+\r\n)*connection: close\r\n/i)

    const ready = await request(`${gateway.url}/readyz`)
    assert.equal(ready.status, 503)
    const health = await request(`${gateway.url}/health`)
    assert.equal(health.status, 503)
    for (const { headers } of [ready, health]) assert.ok(Number(headers['retry-after']) >= 1)
    assert.equal(health.json<{ status: string }>().status, 'draining')
    assert.equal((await request(`${gateway.url}/livez`)).status, 200)
    assert.equal((await request(`${gateway.url}/api/jobs?id=the-id`)).status, 200)

    answer.end('and after')
    assert.equal((await stream.ended).complete, true)
    assert.equal(stream.text, 'the-id\nbefore, and after')
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })

  test('a client that is still busy sending new work can send all of it, and sees that it is turned away', async (t) => {
    const [gateway] = await startPair(t)
    const stream = await openRunning(gateway, { pieces: 100_000, pieceMs: 20 })
    await drain(gateway)
    const client = await openRaw(gateway.url, { t })
    client.send('POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n')
    assert.match(await client.until((text) => text.endsWith('}')), /^HTTP\/1\.1 503 /)
    for (let i = 0; i < 100; i++) {
      if (!client.socket.write('x'.repeat(50_000))) await once(client.socket, 'drain')
    }
    await client.closed()
    assert.equal(client.socket.errored, null)
    stream.destroy()
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })

  test('a submission that is under way gets its answer', async (t) => {
    const [gateway, node] = await startPair(t)
    await node.late(0.6, 'submit', { times: 1 })
    const { n } = node.requests.at(-1)!
    const answer = post(`${gateway.url}/api/jobs`, jobOf())
    await node.waitFor('submit', { after: n })
    await drain(gateway)
    assert.equal((await answer).status, 200)
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })

  test('what a container tells of a job that runs still goes to its node', async (t) => {
    const [gateway, node] = await startPair(t)
    const { id } = (await post(`${gateway.url}/api/jobs`, jobOf({ seconds: 60 }))).json<{ id: string }>()
    const stream = await openRunning(gateway, { pieces: 100_000, pieceMs: 20 })
    await drain(gateway)
    const body = statusReport(id, 'success')
    assert.equal((await request(`${gateway.url}/api/status`, { method: 'PUT', body })).status, 200)
    assert.equal(node.seen('status').length, 1)
    stream.destroy()
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })

  test('a submission whose client has left is recorded first', async (t) => {
    const [gateway, node] = await startPair(t, { STATE_URL: 'sqlite:jobs.db' })
    await node.late(1, 'submit', { times: 1 })
    const client = await openRaw(gateway.url, { t })
    const body = JSON.stringify(jobOf())
    client.send(`POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await node.waitFor('submit')
    client.socket.destroy()
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null })
    await gateway.restart()
    assert.equal((await request(`${gateway.url}/api/jobs`)).json<string[]>().length, 1)
  })

  test('with nothing under way the exit comes at once, on SIGINT too', async (t) => {
    const [gateway] = await startPair(t)
    // An idle connection is nothing under way.
    const idle = await openRaw(gateway.url, { t })
    idle.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
    await idle.until((received) => received.endsWith('}'))
    gateway.signal('SIGINT')
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })
})

describe('a stream that would not end', { concurrency: 2 }, () => {
  async function whileStreaming(
    t: TestContext,
    env: Record<string, string>,
  ): Promise<[Gateway, OpenStream, LocalFakeNode]> {
    const [gateway, node] = await startPair(t, env)
    const stream = await openRunning(gateway, { pieces: 100_000, pieceMs: 20 })
    await drain(gateway)
    return [gateway, stream, node]
  }

  test('has until DRAIN_TIMEOUT, is then cut, not ended, and the exit code is 0 all the same', async (t) => {
    const startMs = performance.now()
    const [gateway, stream, node] = await whileStreaming(t, { DRAIN_TIMEOUT: '1' })
    const left = node.next('clientLeft')
    assert.equal((await stream.ended).complete, false)
    await left
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
    assert.ok(performance.now() - startMs > 1000)
  })

  test('is cut at once by a second signal more than a second after the first', async (t) => {
    const [gateway, stream] = await whileStreaming(t, { DRAIN_TIMEOUT: '600' })
    await sleep(1100)
    gateway.signal('SIGINT')
    await exitOf(gateway)
    assert.equal((await stream.ended).complete, false)
  })

  test('lets the gateway go as soon as its client leaves', async (t) => {
    const [gateway, stream] = await whileStreaming(t, { DRAIN_TIMEOUT: '600' })
    stream.destroy()
    assert.deepEqual(await exitOf(gateway), { code: 0, signal: null })
  })
})
