import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { NoBackendAvailable } from '../../src/dispatch/noBackend.ts'
import type { WorkRequest } from '../../src/dispatch/workRequest.ts'
import { comparedKindOf } from '../../src/dispatch/judge.ts'
import { requireContainers } from '../../src/dispatch/requirement.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { GatewayFault } from '../../src/faults.ts'
import { upstreamSite } from '../upstream/site.ts'

const NEVER = new AbortController().signal

function work(container: string, over: Partial<WorkRequest> = {}): WorkRequest {
  const requirement = requireContainers([container])
  const asked = { requirement, kind: comparedKindOf(requirement), caller: 'caller' }
  return { asked, cooldownKey: 'jobs caller', ...over }
}

function releasesOf(dispatcher: Dispatcher): TrackedNode[] {
  const released: TrackedNode[] = []
  dispatcher.on('released', (node) => released.push(node))
  return released
}

describe('a dispatcher', () => {
  test('gives a place at a backend, which is counted there until its work has ended', async (t) => {
    const { dispatcher } = await upstreamSite(t, 1)
    const lease = await dispatcher.acquire(work('echo'), NEVER)
    assert.deepEqual([lease.node.inFlight, lease.node.load.inFlight], [1, 1])
    lease.exchangeEnded()
    assert.deepEqual([lease.node.inFlight, lease.node.load.inFlight], [0, 1])
    lease.workEnded('success')
    assert.deepEqual([lease.node.inFlight, lease.node.load.inFlight], [0, 0])
  })

  test('tells once of each place that is free again, however often its end is told', async (t) => {
    const { dispatcher } = await upstreamSite(t, 1)
    const released = releasesOf(dispatcher)
    const lease = await dispatcher.acquire(work('echo'), NEVER)
    lease.exchangeEnded()
    assert.deepEqual(released, [])
    lease.workEnded('success')
    lease.workEnded('failure')
    lease.exchangeEnded()
    assert.deepEqual(released, [lease.node])
  })

  test('tells of the place of a job that ran before the gateway started', async (t) => {
    const { dispatcher, fleet } = await upstreamSite(t, 1)
    const released = releasesOf(dispatcher)
    const [node] = [...fleet.nodes.values()] as [TrackedNode]
    const lease = dispatcher.restore(node, 'containers:echo')
    assert.deepEqual([node.inFlight, node.load.inFlight], [0, 1])
    lease.workEnded('success', 1)
    assert.deepEqual([released, node.load.inFlight], [[node], 0])
  })

  test('says that no backend is available where none fits, or all were tried', async (t) => {
    const { dispatcher } = await upstreamSite(t, 1)
    const { node } = await dispatcher.acquire(work('echo'), NEVER)
    await assert.rejects(dispatcher.acquire(work('unknown'), NEVER), NoBackendAvailable)
    const tried = new Set([node])
    await assert.rejects(dispatcher.acquire(work('echo', { tried }), NEVER), { cooldownSeconds: 0 })
  })

  test('says for how long the soonest of those cools down that want no more for now', async (t) => {
    const { dispatcher, fleet } = await upstreamSite(t, 2)
    const now = fleet.now()
    const seconds = [30, 20]
    for (const node of fleet.nodes.values()) node.coolDown('jobs caller', now + seconds.pop()!, now)
    await assert.rejects(dispatcher.acquire(work('echo'), NEVER), ({ cooldownSeconds }: NoBackendAvailable) => {
      return cooldownSeconds > 0 && cooldownSeconds <= 20
    })
  })

  test('gives no place to whoever has left, and says by its fault why', async (t) => {
    const { dispatcher, fleet } = await upstreamSite(t, 1)
    const leaving = new AbortController()
    leaving.abort(new GatewayFault('ERR_CLIENT_GONE'))
    await assert.rejects(dispatcher.acquire(work('echo'), leaving.signal), { code: 'ERR_CLIENT_GONE' })
    for (const node of fleet.nodes.values()) assert.deepEqual([node.inFlight, node.counts.requests], [0, 0])
  })
})

describe('a backend that refuses connections', () => {
  test('is awaited, and gets the request again once it has answered, unless it drains', async (t) => {
    const { dispatcher, fleet } = await upstreamSite(t, 1)
    const { restarts } = dispatcher
    const isAwaited = (one: WorkRequest): boolean => restarts.awaited(one).length > 0
    const [node] = [...fleet.nodes.values()] as [TrackedNode]
    const request = work('echo', { tried: new Set([node]), unreached: new Set([node]) })
    assert.equal(isAwaited(request), false)
    fleet.failed(node, 'refused', { refused: true, lost: true })
    assert.deepEqual([isAwaited(request), isAwaited(work('other'))], [true, false])
    const waiting = restarts.untilReturned(request, 60, NEVER)
    fleet.answered(node, { tookWork: false })
    assert.equal(await waiting, true)
    assert.equal((await dispatcher.acquire(request, NEVER)).node, node)
    node.isDrainedByHand = true
    await assert.rejects(dispatcher.acquire(request, NEVER), NoBackendAvailable)
    fleet.failed(node, 'refused', { refused: true, lost: true })
    assert.equal(isAwaited(request), false)
  })
})
