/** Jobs outlive their node: what it loses runs again elsewhere, under the same id. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import { SharedGateway } from './site.ts'
import { assertEchoed, ended, entriesOf, listed, optionsOf, runsOn, submitMany, submitTo } from './support.ts'

describe('failover', { concurrency: 4 }, () => {
  const shared = new SharedGateway()

  test('all jobs of a node that is killed finish elsewhere under their ids', async (t) => {
    const site = shared.site(t)
    const dying = await site.process({ concurrency: 1 })
    const data = (n: number): object => ({ n, seconds: 1 })
    const ids = await submitMany(site, 20, data)
    const [other] = await site.nodes(1, { concurrency: 50 })
    await dying.kill()
    // Whatever happens to their node, to their client they run.
    for (const { status } of await entriesOf(site, ids)) assert.notEqual(status, 'failed')
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => {
      assert.equal(entry.id, ids[n])
      assertEchoed(entry, data(n))
    })
    // Two runs are one job.
    assert.deepEqual((await listed(site)).toSorted(), ids.toSorted())
    const again = await runsOn([other!])
    assert.ok(again >= 10 && again <= 20, `${again} ran again`)
  })

  test('all jobs that a living node forgets finish', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1, { concurrency: 1 })
    const data = (n: number): object => ({ n, seconds: 2 })
    const ids = await submitMany(site, 10, data)
    await site.nodes(1, { concurrency: 50 })
    await node!.forget()
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, data(n)))
    assert.deepEqual((await listed(site)).toSorted(), ids.toSorted())
  })

  test('a node that forgets, and is the only one, gets its jobs again', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(1, { concurrency: 20 })
    const data = (n: number): object => ({ n, seconds: 3 })
    const ids = await submitMany(site, 5, data)
    await nodes[0]!.forget()
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, data(n)))
    assert.equal(await runsOn(nodes), 10)
  })

  test('jobs of a hung node finish elsewhere, and its own late results change nothing', async (t) => {
    const site = shared.site(t)
    const hung = await site.process({ concurrency: 20 })
    const ids = await submitMany(site, 3, (n) => ({ n, seconds: 3 }))
    const [other] = await site.nodes(1, { concurrency: 50, slowness: 2 })
    const moved = ids.map(() => other!.next('jobAccepted', () => true, 40_000))
    const firstEnds = ids.map(() => hung.next('jobEnded', () => true, 60_000))
    hung.pause()
    await Promise.all(moved)
    hung.resume()
    await Promise.all(firstEnds)
    // The second runs go on for seconds, and they alone count.
    for (const { status } of await entriesOf(site, ids)) assert.equal(status, 'running')
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 3 }))
    for (const { endedAt } of await other!.jobs()) assert.ok(endedAt !== undefined)
    assert.deepEqual((await listed(site)).toSorted(), ids.toSorted())
  })

  test('a node that takes the lost jobs and says nothing does not hold them up for ever', async (t) => {
    const site = shared.site(t)
    const [first] = await site.nodes(1, { concurrency: 20 })
    const ids = await submitMany(site, 4, (n) => ({ n, seconds: 30 }))
    const [silent] = await site.nodes(1)
    await silent!.hang('submit')
    await first!.answer(405, 'submit', { body: '{"error":"Container not supported","params":{}}' })
    await first!.forget()
    await silent!.waitFor('submit')
    const [fine] = await site.nodes(1, { slowness: 0.01, concurrency: 20 })
    const entries = await ended(site, ids, { withinMs: 40_000 })
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 30 }))
    assert.equal(await runsOn([fine!]), 4)
  })

  test('goes by the same rule for the jobs of a batch, and of a pipeline', async (t) => {
    const site = shared.site(t)
    const inner = `${site.container}-inner`
    const containers = [site.container, { id: inner, external: false }]
    const node = await site.process({ containers })
    const items = [
      jobOf({ n: 0, seconds: 30 }, [site.container]),
      jobOf({ n: 1, seconds: 30 }, [site.container, inner]),
    ]
    const batch = await post(`${site.url}/api/jobs/batch`, items, optionsOf(site))
    const ids = batch.json<{ id: string }[]>().map(({ id }) => id)
    await site.nodes(1, { slowness: 0.01 })
    const [capable] = await site.nodes(1, { containers, slowness: 0.01 })
    await node.kill()
    const [, pipeline] = await ended(site, ids)
    assert.equal(pipeline?.result?.container, inner)
    assert.ok((await capable!.jobs()).some((trace) => trace.containers.length === 2))
    assert.deepEqual((await listed(site)).toSorted(), ids.toSorted())
  })

  test('sends again the bytes that came, for the client that sent them', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const data = '{"seconds":30, "big":123456789012345678901234567890, "x":1.0}'
    const body = `{ "data":${data},"containers":["${site.container}"]}`
    const answer = await submitTo(site, body, { headers: { 'X-Infernet-Cost': '3' } })
    assert.equal(answer.status, 200)
    const [first] = node!.seen('submit')
    await node!.forget()
    const second = await node!.waitFor('submit', { after: first!.n })
    assert.equal(second.text, body)
    assert.equal(second.header('x-forwarded-for'), site.from)
    assert.equal(second.header('content-type'), 'application/json')
  })
})
