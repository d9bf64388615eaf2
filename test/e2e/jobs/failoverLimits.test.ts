/** What is not run again, and how often at most. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SharedGateway } from './site.ts'
import { assertEchoed, assertFailed, ended, entriesOf, listed, runsOn, submitMany, submitted } from './support.ts'

const OFF = { headers: { 'X-Infernet-Failover': 'off' } }

describe('failover ends', { concurrency: 4 }, () => {
  const shared = new SharedGateway()

  test('after three runs: then the job is failed, and says why', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    for (const node of nodes) node.on('jobAccepted', () => void node.forget())
    const id = await submitted(site, { seconds: 30 })
    const [entry] = await ended(site, [id])
    assert.match(assertFailed(entry, site.container), /3 times/)
    assert.equal(await runsOn(nodes), 3)
    assert.deepEqual(await listed(site), [id])
  })

  test('at the third run also where nodes break the connection once they have started it', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    const id = await submitted(site, { seconds: 30 })
    for (const node of nodes) await node.break('submit', { when: 'answer', runs: true })
    for (const node of nodes) await node.forget()
    const [entry] = await ended(site, [id])
    assertFailed(entry, site.container)
    assert.equal(await runsOn(nodes), 3)
  })

  test('for a job with X-Infernet-Failover: off that its node forgot', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const id = await submitted(site, { seconds: 60 }, OFF)
    const others = await site.nodes(1)
    await node!.forget()
    assertFailed((await ended(site, [id]))[0], site.container)
    assert.equal(await runsOn(others), 0)
  })

  test('not with a refusal: the job waits for a node that takes it, and asks with growing pauses', async (t) => {
    const site = shared.site(t)
    const [node] = await site.nodes(1)
    const id = await submitted(site, { seconds: 3 })
    const [broken] = await site.nodes(1)
    await broken!.answer(500, 'submit')
    await node!.answer(405, 'submit', { body: '{"error":"Container not supported","params":{}}' })
    await node!.forget()
    await node!.waitFor(() => broken!.seen('submit').length === 3, { withinMs: 20_000 })
    const [, second, third] = broken!.seen('submit')
    assert.ok(third!.at - second!.at > 1900, `${third!.at - second!.at} ms`)
    await node!.behave()
    assertEchoed((await ended(site, [id]))[0], { seconds: 3 })
  })

  test('not with the list: jobs of a node that is taken out of the file are followed to their end there', async (t) => {
    const site = shared.site(t)
    const [leaving] = await site.nodes(1, { concurrency: 10 })
    const ids = await submitMany(site, 4, (n) => ({ n, seconds: 4 }))
    const [staying] = await site.nodes(1)
    await site.unlist(leaving!)
    const late = await submitted(site, { n: 'late' })
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 4 }))
    assertEchoed((await ended(site, [late]))[0], { n: 'late' })
    assert.equal(await runsOn([leaving!]), 4)
    assert.equal(await runsOn([staying!]), 1)
    // Then the node is left in peace.
    const calls = leaving!.requests.length
    await sleep(2500)
    assert.equal(leaving!.requests.length, calls)
  })

  test('not with a node that dies after it was taken out: its jobs run elsewhere', async (t) => {
    const site = shared.site(t)
    const leaving = await site.process()
    const ids = await submitMany(site, 3, (n) => ({ n, seconds: 60 }))
    await site.nodes(1, { slowness: 0.01, concurrency: 10 })
    await site.unlist(leaving)
    await leaving.kill()
    const entries = await ended(site, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 60 }))
  })
})

describe('failover with a short JOB_TIMEOUT', { concurrency: 4 }, () => {
  const shared = new SharedGateway({ JOB_TIMEOUT: '7' })

  test('a job that may not be run again is failed when its node has been dead for that long, not before', async (t) => {
    const site = shared.site(t)
    const dying = await site.process()
    const id = await submitted(site, { seconds: 60 }, OFF)
    const others = await site.nodes(1)
    await dying.kill()
    await site.gateway.waitForLog(({ message, node }) => message === 'node down' && node === dying.address, 15_000)
    assert.equal((await entriesOf(site, [id]))[0]?.status, 'running')
    assertFailed((await ended(site, [id]))[0], site.container)
    assert.equal(await runsOn(others), 0)
  })

  test('a job that nobody could take waits for that long, and is failed then', async (t) => {
    const site = shared.site(t)
    const dying = await site.process()
    const id = await submitted(site, { seconds: 60 })
    await dying.kill()
    await site.gateway.waitForLog(({ message, node }) => message === 'node down' && node === dying.address, 15_000)
    assert.equal((await entriesOf(site, [id]))[0]?.status, 'running')
    assertFailed((await ended(site, [id]))[0], site.container)
  })

  test('a long job is not failed for its length', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(1)
    const id = await submitted(site, { seconds: 9 })
    assertEchoed((await ended(site, [id]))[0], { seconds: 9 })
    assert.equal(await runsOn(nodes), 1)
  })
})

describe('failover with JOB_FAILOVER=false', () => {
  const shared = new SharedGateway({ JOB_FAILOVER: 'false' })

  test('runs no job again', async (t) => {
    const site = shared.site(t)
    const nodes = await site.nodes(2)
    const ids = await submitMany(site, 4, () => ({ seconds: 60 }))
    for (const node of nodes) await node.forget()
    for (const entry of await ended(site, ids)) assertFailed(entry, site.container)
    assert.equal(await runsOn(nodes), 4)
  })
})
