/** Batches whose items have to wait for places: each item waits and ends for itself. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode, type LocalFakeNode } from '../../kit/fakeNode/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, post } from '../../kit/http.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'

interface Site {
  readonly node: LocalFakeNode
  readonly gateway: Gateway
}

const NO_PLACE = 'No backend had a place for the request in time'

type ItemAnswer = { id?: string; error?: string }

/** A node that could run many jobs, and may have two. */
async function createSite(t: Cleanup, env: Record<string, string> = {}): Promise<Site> {
  const node = await startFakeNode({ rateLimit: 0, concurrency: 100 }, t)
  const ipsLines = [`${node.address} concurrency=2`]
  const gateway = await startGateway(t, { ipsLines, healthy: 1, env: { REFRESH_INTERVAL: '60', ...env } })
  return { node, gateway }
}

const jobs = (count: number, seconds: number): object[] =>
  Array.from({ length: count }, (_, n) => jobOf({ n, seconds }))

/** How many items each call to the node had. */
const callsOf = (node: LocalFakeNode): number[] =>
  node.seen('batch').map(({ body }) => (JSON.parse(String(body)) as unknown[]).length)

test('a batch with more items than there are places is accepted as a whole, in order, as places become free', async (t) => {
  const { node, gateway } = await createSite(t)
  const answer = await post(`${gateway.url}/api/jobs/batch`, jobs(6, 0.1), { timeoutMs: 60_000 })
  assert.equal(answer.status, 200, answer.text)
  const traces = await node.jobs()
  const ids = answer.json<ItemAnswer[]>().map(({ id }) => id)
  assert.equal(new Set(ids).size, 6)
  assert.deepEqual(ids.toSorted(), traces.map(({ id }) => id).toSorted())
  assert.ok(Number(answer.headers['x-queue-ms']) > 0)
  assert.equal(callsOf(node)[0], 2)
  for (const { acceptedAt } of traces) {
    const running = traces.filter((other) => other.acceptedAt < acceptedAt && other.endedAt! > acceptedAt)
    assert.ok(running.length < 2, `${running.length} ran already`)
  }
})

test('items that find no place in time get that as their own result, and spoil no other', async (t) => {
  const { node, gateway } = await createSite(t, { QUEUE_TIMEOUT: '0.3' })
  const answer = await post(`${gateway.url}/api/jobs/batch`, jobs(4, 60))
  assert.equal(answer.status, 200, answer.text)
  const items = answer.json<ItemAnswer[]>()
  assert.deepEqual(
    items.map(({ id, error }) => (id === undefined ? error : 'accepted')),
    ['accepted', 'accepted', NO_PLACE, NO_PLACE],
  )
  assert.deepEqual(callsOf(node), [2])
  // Where no item was taken, a 200 would hide that.
  const other = await post(`${gateway.url}/api/jobs/batch`, jobs(2, 0))
  assertError(other, 503)
  assert.ok(Number(other.headers['retry-after']) >= 1)
})

test('of a batch for which the queue has no room the answer is 429 as a whole', async (t) => {
  const { gateway } = await createSite(t, { QUEUE_SIZE: '1', QUEUE_TIMEOUT: '1' })
  assert.equal((await post(`${gateway.url}/api/jobs/batch`, jobs(2, 60))).status, 200)
  // Whichever comes first has the one place in the queue.
  const isRefused = async (): Promise<boolean> => {
    const [, batch] = await Promise.all([
      post(`${gateway.url}/api/jobs`, jobOf()),
      post(`${gateway.url}/api/jobs/batch`, jobs(2, 0)),
    ])
    if (batch.status === 429) assert.ok(Number(batch.headers['retry-after']) >= 1)
    return batch.status === 429
  }
  await eventually(isRefused, { withinMs: 30_000 })
})

test('a client that leaves takes its waiting items out of the queue; those that were sent go on', async (t) => {
  const { node, gateway } = await createSite(t)
  const client = await openRaw(gateway.url, { t })
  client.send(requestOf('/api/jobs/batch', jobs(5, 1), 'left'))
  await node.waitFor('batch')
  client.socket.destroy()
  await gateway.waitForLog((line) => line['requestId'] === 'left')
  // It waits behind them, if they still do.
  const next = await post(`${gateway.url}/api/jobs`, jobOf({ n: 'next' }), { timeoutMs: 30_000 })
  assert.equal(next.status, 200, next.text)
  assert.deepEqual(callsOf(node), [2])
})

describe('when a backend is back that all items of a batch waited for', () => {
  test('they go to it in one call', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 100 }, t)
    const gateway = await startGateway(t, { nodes: [node], env: { REFRESH_INTERVAL: '60', OUTAGE_WAIT: '20' } })
    await node.refuse()
    const answer = post(`${gateway.url}/api/jobs/batch`, jobs(100, 0), { timeoutMs: 30_000 })
    await eventually(async () => (await statsOf(gateway, node)).error_count > 0, { everyMs: 5 })
    await node.comeBack()
    assert.equal((await answer).text.match(/"id"/g)?.length, 100, (await answer).text)
    assert.deepEqual(callsOf(node), [100])
  })
})

function requestOf(path: string, body: object, id: string): string {
  const text = JSON.stringify(body)
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\nContent-Length: ${text.length}\r\n\r\n${text}`
}
