/** Jobs and streams of Infernet nodes: they wait in the gateway where the list gives the node a `concurrency`. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { openRaw, openStream, post } from '../../kit/http.ts'
import type { OpenStream } from '../../kit/http.ts'
import { queueMs, waitingIs } from './support.ts'

/** A node that could run many jobs at once, the only one with that container. */
const startNode = (container: string): Promise<LocalFakeNode> =>
  startFakeNode({ rateLimit: 0, concurrency: 100, leftStreamsStayPending: false, containers: [container] }, file)

const file = { after }
const CONTAINERS = ['jobs', 'streams', 'left', 'batches', 'open']
const [jobs, streams, left, batches, open] = (await Promise.all(CONTAINERS.map(startNode))) as [
  LocalFakeNode,
  LocalFakeNode,
  LocalFakeNode,
  LocalFakeNode,
  LocalFakeNode,
]
const ipsLines = [jobs, streams, left].map(({ address }) => `${address} concurrency=1`)
ipsLines.push(`${batches.address} concurrency=2`, open.address)
const gateway = await startGateway(file, { ipsLines, healthy: CONTAINERS.length })

/** A stream that keeps its place until its client leaves. */
async function openHeld(container: string): Promise<OpenStream> {
  const body = jobOf({ pieces: 5, pieceMs: 1, stallAfter: 2 }, [container])
  const stream = await openStream(`${gateway.url}/api/jobs/stream`, { body })
  await stream.until((text) => text.includes('piece1'))
  return stream
}

const submit = async (container: string, data: object): Promise<{ id: string; ms: number }> => {
  const answer = await post(`${gateway.url}/api/jobs`, jobOf(data, [container]), { timeoutMs: 60_000 })
  assert.equal(answer.status, 200, answer.text)
  return { id: answer.json<{ id: string }>().id, ms: queueMs(answer) }
}

describe('a node whose line says `concurrency=1`', () => {
  test('gets one job at a time: each is submitted when the one before it has ended', async () => {
    const submitted = await Promise.all([1, 2, 3].map(() => submit('jobs', { seconds: 0.3 })))
    for (const { id } of submitted) await jobs.ended(id)
    const traces = await jobs.jobs()
    assert.equal(traces.length, 3)
    for (const [n, job] of traces.entries()) {
      if (n > 0) assert.ok(job.acceptedAt >= traces[n - 1]!.endedAt!, 'two at once')
    }
    assert.equal(submitted.filter(({ ms }) => ms > 0).length, 2)
  })

  test('is looked at more often while jobs wait, so that its place is used again soon', async () => {
    const before = (await jobs.jobs()).length
    await Promise.all(Array.from({ length: 12 }, () => submit('jobs', { seconds: 0.01 })))
    const accepted = (await jobs.jobs()).slice(before).map(({ acceptedAt }) => acceptedAt)
    const gaps = accepted.slice(1).map((at, n) => at - accepted[n]!)
    // A regular look comes each second, and half a second after a first job: some gaps (ms) must be shorter than either.
    assert.ok(
      gaps.some((gap) => gap < 400),
      gaps.join(' '),
    )
  })

  test('gets a stream when its job has ended, and a job when its stream has', async () => {
    const { id } = await submit('streams', { seconds: 0.3 })
    const stream = await openHeld('streams')
    const ended = await streams.ended(id)
    const streamed = (await streams.jobs()).find(({ kind }) => kind === 'stream')
    assert.ok(streamed!.acceptedAt >= ended.endedAt!)
    assert.ok(queueMs(stream) > 0)
    const next = submit('streams', {})
    await waitingIs(gateway, 1)
    stream.destroy()
    assert.ok((await next).ms > 0)
  })

  test('never gets a job whose client left while it waited', async (t) => {
    const stream = await openHeld('left')
    for (const path of ['/api/jobs', '/api/jobs/stream', '/api/jobs/batch']) {
      const body = JSON.stringify(path.endsWith('batch') ? [jobOf({}, ['left'])] : jobOf({}, ['left']))
      const client = await openRaw(gateway.url, { t })
      client.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      await waitingIs(gateway, 1)
      client.socket.destroy()
      await waitingIs(gateway, 0)
    }
    stream.destroy()
    const { id } = await submit('left', {})
    await left.ended(id)
    assert.deepEqual([left.seen('submit').length, left.seen('batch').length, left.seen('stream').length], [1, 0, 1])
  })
})

test('a batch that is larger than the places of its node is completed', async () => {
  const batch = Array.from({ length: 7 }, (_, n) => jobOf({ seconds: 0.1, output: n }, ['batches']))
  const answer = await post(`${gateway.url}/api/jobs/batch`, batch, { timeoutMs: 60_000 })
  assert.equal(answer.status, 200, answer.text)
  const ids = answer.json<{ id: string }[]>().map(({ id }) => id)
  assert.equal(new Set(ids).size, 7)
  for (const id of ids) assert.equal((await batches.ended(id)).status, 'success')
  // Its places were given back.
  const { id } = await submit('batches', {})
  await batches.ended(id)
})

test('items of a batch for a busy node do not hold up those for a free one, however many they are', async () => {
  const stream = await openHeld('left')
  const batch = [...Array.from({ length: 20 }, () => jobOf({}, ['left'])), jobOf({}, ['open'])]
  const before = open.seen('batch').length
  const answering = post(`${gateway.url}/api/jobs/batch`, batch, { timeoutMs: 60_000 })
  await open.waitFor(() => open.seen('batch').length > before)
  stream.destroy()
  const answer = await answering
  assert.equal(answer.json<{ id?: string }[]>().filter(({ id }) => id !== undefined).length, 21)
})

test('a node whose line says nothing gets all jobs at once, however many it has', async () => {
  const submitted = await Promise.all(Array.from({ length: 12 }, () => submit('open', { seconds: 60 })))
  assert.equal(open.seen('submit').length, 12)
  assert.ok(submitted.every(({ ms }) => ms === 0))
  await waitingIs(gateway, 0)
})
