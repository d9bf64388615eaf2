/** Following: what becomes of jobs is learnt with few calls to their nodes, however many clients ask. */
import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { nextAge } from '../../../src/jobs/follow/pace.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import type { RecordedRequest } from '../../kit/fakeServer/records.ts'
import { SharedGateway } from './site.ts'
import {
  ask,
  assertEchoed,
  ended,
  entriesOf,
  optionsOf,
  runsOn,
  submitMany,
  submitted,
  type JobEntry,
} from './support.ts'

/** Seconds between requests, one after the other. */
function gaps(requests: readonly { at: number }[]): number[] {
  return requests.slice(1).map(({ at }, i) => (at - requests[i]!.at) / 1000)
}

function idsIn({ url }: RecordedRequest): string[] {
  return new URL(url, 'http://node').searchParams.getAll('id')
}

describe('following', { concurrency: 4 }, () => {
  const shared = new SharedGateway()

  test('costs a node one call a second for all its unfinished jobs', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1, { concurrency: 100 })
    const ids = await submitMany(site, 30, () => ({ seconds: 20 }))
    const since = node!.seen('jobs').length
    await node!.waitFor(() => node!.seen('jobs').length >= since + 4)
    const calls = node!.seen('jobs').slice(since)
    for (const call of calls.slice(1)) assert.deepEqual(idsIn(call).toSorted(), ids.toSorted())
    const tookS = (calls.at(-1)!.at - calls[0]!.at) / 1000
    assert.ok(tookS > 0.8 * (calls.length - 1), `${calls.length} calls came within ${tookS} s`)
  })

  test('asks for many jobs in calls of at most 200 ids and 8 kB, and for every one each time', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1, { concurrency: 1000 })
    const batch = Array.from({ length: 450 }, () => jobOf({ seconds: 20 }, [site.container]))
    const answer = await post(`${site.url}/api/jobs/batch`, batch, optionsOf(site))
    const ids = answer.json<{ id: string }[]>().map(({ id }) => id)
    await node!.waitFor(() => node!.seen('jobs').length >= 3)
    const calls = node!.seen('jobs').slice(0, 3)
    for (const call of calls) {
      assert.ok(call.url.length < 8192, `a URL of ${call.url.length} bytes`)
      assert.ok(idsIn(call).length <= 200, `${idsIn(call).length} ids`)
    }
    assert.deepEqual(calls.flatMap(idsIn).toSorted(), ids.toSorted())
  })

  test('hears of the end of a job by the first look after it, and its client by the next question', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2, { concurrency: 100 })
    const agent = new Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const endedAt = new Map<string, number>()
    for (const node of nodes) node.on('jobEnded', ({ id, endedAt: at }) => endedAt.set(id, at!))
    const ids = await submitMany(site, 20, (n) => ({ seconds: 0.15 * n }))
    const waiting = new Set(ids)
    while (waiting.size > 0) {
      const query = [...waiting].map((id) => `id=${id}`).join('&')
      const answer = await request(`${site.url}/api/jobs?${query}`, { ...optionsOf(site), agent })
      for (const { id, status } of answer.json<JobEntry[]>()) if (status !== 'running') waiting.delete(id)
      await sleep(20)
    }
    const looks = nodes.flatMap((node) => node.seen('jobs'))
    for (const id of ids) {
      const after = looks.filter((look) => look.at > endedAt.get(id)! && idsIn(look).includes(id))
      // A look that was under way at the end may have missed it.
      assert.ok(after.length <= 2, `${after.length} looks at a job after its end`)
    }
  })

  test('keeps results: a finished job can be read after its node has gone', async (t) => {
    const site = shared.site(t)
    const node = await site.process()
    const ids = await submitMany(site, 3)
    await ended(site, ids)
    await node.kill()
    const entries = await entriesOf(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n }))
  })

  test('answers polls from the ledger: 30 clients asking 20 times a second cost a node no more than one would', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1, { concurrency: 100 })
    const agent = new Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const startedAt = performance.now()
    const ids = await submitMany(site, 30, () => ({ seconds: 20 }))
    let polls = 0
    const poll = async (id: string): Promise<void> => {
      for (let n = 0; n < 60; n++) {
        const [answer] = await Promise.all([
          request(`${site.url}/api/jobs?id=${id}`, { ...optionsOf(site), agent }),
          sleep(50),
        ])
        assert.equal(answer.json<object[]>().length, 1)
        polls++
      }
    }
    await Promise.all(ids.map(poll))
    const seconds = (performance.now() - startedAt) / 1000
    const calls = node!.seen('jobs').length
    assert.equal(polls, 1800)
    // One a second, and such as clients bring forward: at ages of the youngest job that grow by a third each time.
    let brought = 0
    for (let age = nextAge(0); age < seconds; age = nextAge(age)) brought++
    assert.ok(calls <= 2 * seconds + 1 + brought, `${calls} calls in ${seconds} s`)
  })

  test('keeps 40 callers from ever seeing the limits of nodes that allow 60 calls a minute', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2, { rateLimit: 60, concurrency: 100 })
    const callers = Array.from({ length: 40 }, (_, n) => `127.0.2.${n + 1}`)
    const work = async (from: string): Promise<void> => {
      const id = await submitted(site, { seconds: 2, from }, { from })
      for (;;) {
        const answer = await ask(site, `?id=${id}`, { from })
        assert.equal(answer.status, 200, answer.text)
        const [entry] = answer.json<{ status: string }[]>()
        if (entry!.status === 'success') return
        await sleep(200)
      }
    }
    await Promise.all(callers.map(work))
    assert.equal(await runsOn(nodes), 40)
  })

  test('slows down before a node has to refuse, and still hears of the end', async (t) => {
    // Six calls a minute: one each ten seconds once the first few are used up.
    const site = shared.site(t)
    const [node] = await site.nodes(1, { rateLimit: { jobs: 6, submit: 0, info: 0 } })
    const id = await submitted(site, { seconds: 3 })
    await node!.waitFor(() => node!.seen('jobs').length >= 2)
    await sleep(4000)
    assert.equal(node!.seen('jobs').length, 2)
    await node!.waitFor(() => node!.seen('jobs').length > 2)
    const [entry] = await ended(site, [id])
    assertEchoed(entry, { seconds: 3 })
    assert.ok(gaps(node!.seen('jobs'))[1]! > 8)
  })

  test('waits after a 429 for as long as the node says', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    await node!.pushBack('jobs', { times: 1, retryAfter: 3 })
    await submitted(site)
    // Asked for it, the gateway would look on the client's account, too.
    await node!.waitFor(() => node!.seen('jobs').length > 1)
    const [gap] = gaps(node!.seen('jobs'))
    assert.ok(gap! >= 2.9, `asked again after ${gap} s`)
  })
})
