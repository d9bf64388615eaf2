/** A replica that is told to end hands its jobs over: it does not wait for them, and they do not run again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { openStream } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { assertEchoed, submitMany } from '../jobs/support.ts'
import { entryOf, living, LONG, runsOf, startReplicas } from './support.ts'
import { Watch } from './watch.ts'

describe('a replica that gets SIGTERM', { skip: redisMissing }, () => {
  test('ends long before its jobs do, which others follow on at once', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50, jobLimit: 0 }, t)
    const { gateways, redis } = await startReplicas(t, { nodes: [node], env: { DRAIN_TIMEOUT: '600' } })
    const [leaving] = gateways
    const ids = await submitMany(leaving!, 5, (n) => ({ token: `job ${n}`, seconds: 120 }))
    const watch = new Watch(t, gateways, ids)
    assert.deepEqual(await leaving!.stop(), { code: 0, signal: null })
    // It did not wait until they ended.
    assert.equal(watch.ends.size, 0)
    assert.equal((await living(redis)).length, 1)
    for (const n of ids.keys()) assert.equal(runsOf([node], `job ${n}`), 1)
    await node.forget()
    // Somebody follows them: what is lost now runs again.
    await eventually(() => ids.every((_, n) => runsOf([node], `job ${n}`) === 2), LONG)
    await watch.stop()
  })

  test('lets its streams come to their end', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node] })
    const [leaving, staying] = gateways
    const stream = await openStream(`${leaving!.url}/api/jobs/stream`, {
      body: jobOf({ token: 'stream', pieces: 20, pieceMs: 100 }),
    })
    const id = (await stream.until((text) => text.includes('\n'))).split('\n')[0]!
    const stopped = leaving!.stop()
    while (await stream.next());
    assert.equal(stream.text.split('piece').length, 21)
    assert.deepEqual(await stopped, { code: 0, signal: null })
    const watch = new Watch(t, [staying!], [id])
    const [word] = await watch.ended()
    assert.equal(entryOf(word!).status, 'success')
    await watch.stop()
  })

  test('and whose jobs no other can read follows them to their end first', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const { gateways } = await startReplicas(t, { nodes: [node], addresses: 'each' })
    const [leaving, staying] = gateways
    const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 3 })
    const ids = await submitMany(leaving!, 5, data)
    const watch = new Watch(t, [staying!], ids)
    assert.deepEqual(await leaving!.stop(), { code: 0, signal: null })
    const words = await watch.ended()
    words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
    await watch.stop()
    for (const n of ids.keys()) assert.equal(runsOf([node], `job ${n}`), 1)
  })

  test('and is back under its address in time takes up what it left, without a second run', async (t) => {
    const node = await startFakeNode({ rateLimit: 0, concurrency: 50 }, t)
    const env = { DRAIN_TIMEOUT: '0', REPLICA_TIMEOUT: '20' }
    const { gateways } = await startReplicas(t, { nodes: [node], addresses: 'each', env })
    const [leaving] = gateways
    const data = (n: number): { token: string; seconds: number } => ({ token: `job ${n}`, seconds: 3 })
    const ids = await submitMany(leaving!, 5, data)
    await leaving!.stop()
    await leaving!.restart()
    const watch = new Watch(t, gateways, ids)
    const words = await watch.ended()
    words.forEach((word, n) => assertEchoed(entryOf(word), data(n)))
    await watch.stop()
    for (const n of ids.keys()) assert.equal(runsOf([node], `job ${n}`), 1)
  })
})
