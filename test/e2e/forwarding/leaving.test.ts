import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw, openStream, post, request } from '../../kit/http.ts'
import type { OpenStream, RawConnection } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { linesOf, statsOf } from '../support.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const gateway = await gatewayFor(file, [node])

/** A stream that would go on for minutes. */
const ENDLESS = jobOf({ pieces: 100_000, pieceMs: 20 })
/** What the contract calls "at once", in milliseconds, and some more for a busy machine. */
const AT_ONCE_MS = 10_000

async function openEndless(headers: Record<string, string> = {}): Promise<OpenStream> {
  const open = await openStream(`${gateway.url}/api/jobs/stream`, { body: ENDLESS, headers })
  await open.until((text) => text.includes('piece1'))
  return open
}

function inFlightIs(wanted: number): Promise<boolean> {
  const look = async (): Promise<boolean> => (await statsOf(gateway, node)).in_flight === wanted
  return eventually(look, { withinMs: AT_ONCE_MS, what: `in_flight of ${wanted}` })
}

/** A submission whose client can leave at any moment. */
async function openSubmission(
  t: { after(fn: () => void): void },
  path: string,
  body: object,
  localAddress: string,
): Promise<RawConnection> {
  const client = await openRaw(gateway.url, { t, localAddress })
  const text = JSON.stringify(body)
  client.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
  return client
}

describe('a client that leaves a stream', () => {
  test('frees the node at once, and its place is given back', async () => {
    const open = await openEndless()
    await inFlightIs(1)
    const left = node.next('clientLeft', ({ endpoint }) => endpoint === 'stream', AT_ONCE_MS)
    open.destroy()
    await left
    await inFlightIs(0)
    assert.equal((await node.counts()).activeStreams, 0)
  })

  test('by a reset does so too', async (t) => {
    const client = await openSubmission(t, '/api/jobs/stream', ENDLESS, '127.0.0.1')
    await client.until((received) => received.includes('piece1'))
    const left = node.next('clientLeft', ({ endpoint }) => endpoint === 'stream', AT_ONCE_MS)
    client.socket.resetAndDestroy()
    await left
    await inFlightIs(0)
  })

  test('before the node has said anything does so too', async (t) => {
    await node.hang('stream', { times: 1 })
    const { n } = node.requests.at(-1)!
    const client = await openSubmission(t, '/api/jobs/stream', ENDLESS, '127.0.0.1')
    await node.waitFor('stream', { after: n })
    const left = node.next('clientLeft', ({ endpoint }) => endpoint === 'stream', AT_ONCE_MS)
    client.socket.destroy()
    await left
    await inFlightIs(0)
  })

  test('while the node is silent in mid-stream does so too', async () => {
    const body = jobOf({ pieces: 5, pieceMs: 1, stallAfter: 2 })
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body })
    await open.until((text) => text.includes('piece1'))
    const left = node.next('clientLeft', ({ endpoint }) => endpoint === 'stream', AT_ONCE_MS)
    open.destroy()
    await left
    await inFlightIs(0)
  })

  test('also frees those that waited behind it on its connection', async (t) => {
    const localAddress = '127.0.0.41'
    const client = await openRaw(gateway.url, { t, localAddress })
    const text = JSON.stringify(ENDLESS)
    const asked = `POST /api/jobs/stream HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}`
    client.send(asked.repeat(3))
    // All have begun, although only the first is on its way to the client.
    const begun = async (): Promise<boolean> =>
      (await request(`${gateway.url}/api/jobs`, { localAddress })).json<string[]>().length === 3
    await eventually(begun, { withinMs: 10_000 })
    await inFlightIs(3)
    client.socket.destroy()
    await inFlightIs(0)
  })

  test('without having read what is there does so too', async (t) => {
    const big = jobOf({ pieces: 2000, pieceBytes: 65_536 })
    const client = await openSubmission(t, '/api/jobs/stream', big, '127.0.0.1')
    client.socket.pause()
    await node.next('jobStarted')
    await inFlightIs(1)
    const left = node.next('clientLeft', ({ endpoint }) => endpoint === 'stream', AT_ONCE_MS)
    client.socket.destroy()
    await left
    await inFlightIs(0)
  })

  test('is no failure of the node', async () => {
    const before = await statsOf(gateway, node)
    for (let i = 0; i < 4; i++) {
      const open = await openEndless()
      open.destroy()
      await inFlightIs(0)
    }
    const { healthy, error_count } = await statsOf(gateway, node)
    assert.equal(healthy, true)
    assert.equal(error_count, before.error_count)
    assert.deepEqual(
      gateway.logs.filter((line) => line.message === 'node ejected'),
      [],
    )
  })

  test('is noted in the log, once, as such', async () => {
    const open = await openEndless({ 'X-Request-Id': 'left-early' })
    open.destroy()
    await gateway.waitForLog((line) => line['requestId'] === 'left-early')
    await inFlightIs(0)
    const [line, ...more] = linesOf(gateway, 'left-early')
    assert.deepEqual(more, [])
    assert.equal(line!['fault'], 'ERR_CLIENT_GONE')
    assert.equal(line!['node'], node.address)
    assert.notEqual(line!.level, 'warn')
  })

  test('leaves its job in the list of its caller', async () => {
    const open = await openEndless()
    const id = open.text.slice(0, 36)
    open.destroy()
    const ids = (await request(`${gateway.url}/api/jobs`)).json<string[]>()
    assert.ok(ids.includes(id))
  })
})

describe('a client that leaves its submission', () => {
  test('has submitted a job all the same: it is completed, and recorded as its own', async (t) => {
    const localAddress = '127.0.0.21'
    await node.late(0.3, 'submit', { times: 1 })
    const { n } = node.requests.at(-1)!
    const client = await openSubmission(t, '/api/jobs', jobOf({ output: 'done' }), localAddress)
    await node.waitFor('submit', { after: n })
    client.socket.destroy()
    const list = (): Promise<string[]> =>
      request(`${gateway.url}/api/jobs`, { localAddress }).then((answer) => answer.json<string[]>())
    const id = await eventually(async () => (await list())[0])
    await eventually(async () => {
      const { text } = await request(`${gateway.url}/api/jobs?id=${id}`, { localAddress })
      return text === `[{"id":"${id}","result":{"container":"echo","output":"done"},"status":"success"}]`
    })
    assert.equal(node.seen('submit').filter((seen) => seen.n > n).length, 1)
  })

  test('has submitted a batch all the same', async (t) => {
    const localAddress = '127.0.0.22'
    await node.late(0.3, 'batch', { times: 1 })
    const { n } = node.requests.at(-1)!
    const client = await openSubmission(t, '/api/jobs/batch', [jobOf(), jobOf()], localAddress)
    await node.waitFor('batch', { after: n })
    client.socket.destroy()
    const look = async (): Promise<boolean> =>
      (await request(`${gateway.url}/api/jobs`, { localAddress })).json<string[]>().length === 2
    await eventually(look)
  })

  test('gives its place back', async (t) => {
    await node.late(1, 'submit', { times: 1 })
    const { n } = node.requests.at(-1)!
    const client = await openSubmission(t, '/api/jobs', jobOf(), '127.0.0.23')
    await node.waitFor('submit', { after: n })
    await inFlightIs(1)
    client.socket.destroy()
    await inFlightIs(0)
  })

  test('in the middle of its body has submitted nothing', async (t) => {
    const seen = node.seen('submit').length
    const client = await openRaw(gateway.url, { t })
    client.send('POST /api/jobs HTTP/1.1\r\nHost: x\r\nX-Request-Id: half\r\nContent-Length: 90\r\n\r\n{"containers":')
    await eventually(
      async () => (await request(`${gateway.url}/stats`)).json<{ running_requests: number }>().running_requests > 1,
    )
    client.socket.destroy()
    await gateway.waitForLog((line) => line['requestId'] === 'half')
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 200)
    assert.equal(node.seen('submit').length, seen + 1)
  })
})
