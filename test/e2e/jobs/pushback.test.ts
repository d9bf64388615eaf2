/** Nodes that want no more for now: the next one is asked, and only when all rest does the client hear of it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertError } from '../support.ts'
import { SharedGateway } from './site.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { ended, runsOn, submitMany, submitted, submitTo } from './support.ts'

describe('pushback', () => {
  const shared = new SharedGateway()

  test('a 429 of one node sends the job to the next, and the node is left alone as long as it said', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    await nodes[0]!.pushBack('submit', { retryAfter: 30 })
    const ids = await submitMany(site, 12)
    await ended(site, ids)
    assert.equal(await runsOn([nodes[1]!]), 12)
    const asked = nodes[0]!.seen('submit').length
    assert.ok(asked <= 12)
    await submitMany(site, 10)
    assert.equal(nodes[0]!.seen('submit').length, asked)
    // Another caller has a budget of their own there.
    await submitMany(site, 10, () => ({}), { from: '127.0.0.9' })
    assert.ok(nodes[0]!.seen('submit').length > asked)
  })

  test('when all rest the client gets 429 in JSON with the least Retry-After', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(3)
    await nodes[0]!.pushBack('submit', { retryAfter: 40 })
    await nodes[1]!.pushBack('submit', { retryAfter: 20 })
    await nodes[2]!.pushBack('submit', { retryAfter: 60 })
    const first = await submitTo(site, jobOf({}, [site.container]))
    assertError(first, 429)
    assert.equal(first.headers['retry-after'], '20')
    for (const node of nodes) assert.equal(node.seen('submit').length, 1)
    // Asking again costs the nodes nothing, and says what is left of the wait.
    await sleep(1100)
    const second = await submitTo(site, jobOf({}, [site.container]))
    assertError(second, 429)
    const wait = Number(second.headers['retry-after'])
    assert.ok(wait >= 1 && wait < 20, `${wait}`)
    for (const node of nodes) assert.equal(node.seen('submit').length, 1)
  })

  test('a node that says 0 is still left alone for a second, and then asked again', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    await node!.pushBack('submit', { times: 1, retryAfter: 0 })
    const answer = await submitTo(site, jobOf({}, [site.container]))
    assertError(answer, 429)
    assert.equal(answer.headers['retry-after'], '1')
    await sleep(1200)
    await submitted(site)
  })

  test('other pushbacks move a job on too, and the last one is the answer when nobody is left', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2, { containers: [{ id: site.container, allowedIps: ['10.0.0.0/8'] }] })
    const answer = await submitTo(site, jobOf({}, [site.container]))
    assert.equal(answer.status, 405)
    assert.deepEqual(answer.json(), {
      error: 'Container not allowed for address',
      params: { address: '127.0.0.1', container: site.container },
    })
    for (const node of nodes) assert.equal(node.seen('submit').length, 1)
    await nodes[1]!.set({ containers: [site.container] })
    await submitMany(site, 4)
    assert.equal(await runsOn([nodes[1]!]), 4)
  })
})
