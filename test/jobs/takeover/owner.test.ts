/** What a gateway does about its own jobs when others took it for dead, when the store lost changes, and when no node answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import type { JobRecord, SharedLedger } from '../../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import type { LiveJob } from '../../../src/jobs/liveJobs.ts'
import { NodeAsks } from '../../../src/jobs/takeover/nodeAsks.ts'
import { Takeover } from '../../../src/jobs/takeover/takeover.ts'
import type { Membership } from '../../../src/replicas/index.ts'
import { TEST_IDENTITY } from '../../kit/builders/fleets.ts'
import { aJob, anEnd, jobOf } from '../../kit/builders/jobs.ts'
import { type LocalFakeNode, startFakeNode } from '../../kit/fakeNode/index.ts'
import { post } from '../../kit/http.ts'
import { type Cleanup, eventually } from '../../kit/wait.ts'
import { type Following, setUpFollowing } from '../follow/following.ts'
import { silentLogger as logger } from '../jobServer.ts'
import { openHub, withChanges } from './replicas.ts'

interface Gateway extends Following {
  readonly takeover: Takeover
  readonly shared: SharedLedger
  /** A job of this gateway that its first node runs, as after a submission. */
  readonly accepted: (over?: Partial<JobRecord>) => Promise<LiveJob>
}

/** A gateway without an HTTP server; its nodes are looked at often. */
async function startGateway(t: Cleanup, shared: SharedLedger, ...nodes: LocalFakeNode[]): Promise<Gateway> {
  const following = await setUpFollowing(t, undefined, { ledger: shared, periodSeconds: 0.05 })
  following.list(nodes.map(({ address }) => address))
  const { fleet, transport, memory, live, failover, dispatcher } = following
  await eventually(() => [...fleet.nodes.values()].every(({ isKnown }) => isKnown))
  const asks = new NodeAsks({ fleet, transport, memory, identity: TEST_IDENTITY })
  const options = { shared, live, failover, fleet, asks, logger, replicaTimeoutSeconds: 0.2, jobTimeoutSeconds: 900 }
  const takeover = new Takeover(options)
  takeover.start()
  t.after(() => takeover.stop())
  const accepted = async (over: Partial<JobRecord> = {}): Promise<LiveJob> => {
    const key = nodes[0]!.url
    const answer = await post(`${key}/api/jobs`, jobOf({ seconds: 60 }))
    const { id } = answer.json<{ id: string }>()
    const record = aJob({ id, node: key, ...over })
    const request = Buffer.from(JSON.stringify(jobOf()))
    const [job] = await live.accept([{ record, request, lease: dispatcher.restore(fleet.find(key)!, undefined) }])
    return job!
  }
  return { ...following, takeover, shared, accepted }
}

/** A ledger whose membership tells other values by these names. */
function withMembership(ledger: SharedLedger, values: Partial<Record<keyof Membership, () => unknown>>): SharedLedger {
  const membership = new Proxy(ledger.coordination.membership, {
    get: (target, name) => {
      const told = values[name as keyof Membership]
      if (told) return told()
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return withChanges(ledger, { coordination: { ...ledger.coordination, membership } })
}

async function startNode(t: Cleanup) {
  return startFakeNode({ rateLimit: 0, concurrency: 10 }, t)
}

test('a job that another took over gives its place back once, without an end, and a late end of it is dropped', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const { live, fleet, shared, accepted } = await startGateway(t, hub.join(), node)
  const tracked = fleet.find(node.url)!
  const job = await accepted()
  const kept = await accepted()
  assert.equal(tracked.load.inFlight, 2)
  let ends = 0
  live.on('ended', () => ends++)
  const other = hub.join()
  await other.claim(shared.coordination.membership.self, [job.record.id])
  assert.equal(live.find(job.record.id), undefined)
  assert.equal(tracked.load.inFlight, 1)
  // Again, and by what its node and its stream might still say.
  live.disown(job.record.id)
  await live.finish(job, { state: 'success', result: Buffer.from('1'), intermediate: undefined }, 0)
  live.streamClosed(job, true)
  live.runLost(job)
  assert.equal(tracked.load.inFlight, 1)
  assert.equal(ends, 0)
  assert.equal((await shared.find(job.record.id))?.state, 'running')
  assert.equal(live.find(kept.record.id), kept)
})

test('a job whose end is held when another takes it over gives its place back once', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const held = Promise.withResolvers<boolean>()
  const { live, fleet, accepted } = await startGateway(
    t,
    withChanges<SharedLedger>(member, { finish: () => held.promise }),
    node,
  )
  const tracked = fleet.find(node.url)!
  const job = await accepted()
  await accepted()
  const finishing = live.finish(job, { state: 'success', result: Buffer.from('1'), intermediate: undefined }, 0)
  assert.equal(tracked.load.inFlight, 1)
  await hub.join().claim(member.membership.self, [job.record.id])
  assert.equal(live.find(job.record.id), undefined)
  held.resolve(false)
  await finishing
  assert.equal(tracked.load.inFlight, 1)
})

test('a gateway whose job was taken over while its node was lost does not run it again', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const { live, shared, accepted } = await startGateway(t, member, node)
  // As one that was stopped, and has not heard yet.
  member.membership.removeAllListeners('disowned')
  const { record } = await accepted()
  await hub.join().claim(shared.coordination.membership.self, [record.id])
  await node.forget()
  await eventually(() => live.find(record.id) === undefined)
  assert.equal(node.seen('submit').length, 1)
  assert.equal((await shared.find(record.id))?.state, 'running')
})

test('a gateway that is not sure of its jobs runs none again until it is', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  let isSure = false
  const { accepted } = await startGateway(t, withMembership(hub.join(), { isSure: () => isSure }), node)
  await accepted()
  await node.forget()
  const looks = (): number => node.seen('jobs').length
  await node.waitFor(() => looks() >= 20)
  assert.equal(node.seen('submit').length, 1)
  isSure = true
  await node.waitFor(() => node.seen('submit').length === 2)
})

test('in a new life a gateway claims its jobs from the former one, and lets go of those that others have', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const { live, takeover, accepted } = await startGateway(t, member, node)
  const jobs = await Promise.all([1, 2, 3].map(() => accepted()))
  const [theirs, ...ours] = jobs.map(({ record }) => record.id)
  const former = member.membership.self
  // Buried: the lives begin anew without telling the gateway, as the store does.
  member.membership.removeAllListeners('disowned')
  const other = hub.join()
  await member.membership.resign()
  await other.claim(former, [theirs!])
  await takeover.onNewLife(former)
  assert.deepEqual(live.ids().sort(), ours.sort())
  assert.deepEqual((await member.unfinished()).map(({ record }) => record.id).sort(), ours.sort())
})

test('jobs that the store has lost are recorded again, those of others are let go, unknown ones of ours are taken up', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const { live, takeover, accepted } = await startGateway(t, member, node)
  member.membership.removeAllListeners('disowned')
  const other = hub.join()
  const [known, theirs, over] = await Promise.all([accepted(), accepted(), accepted()])
  await other.claim(member.membership.self, [theirs.record.id, over.record.id])
  await other.finish(over.record.id, anEnd())
  // Live, and nowhere in the ledger.
  const lost = aJob({ node: node.url })
  live.adopt(lost)
  // In the ledger under our name, and not live.
  const unknown = aJob({ node: node.url })
  await member.insert([{ record: unknown }])
  await takeover.onHistoryLost()
  assert.deepEqual(live.ids().sort(), [known.record.id, lost.id, unknown.id].sort())
  assert.equal((await member.find(lost.id))?.state, 'running')
  assert.equal(await member.ownerOf(lost.id), member.membership.self)
})

test('a job whose insert was not acknowledged is followed all the same', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const { live, accepted } = await startGateway(t, member, node)
  await accepted()
  const { id } = (await post(`${node.url}/api/jobs`, jobOf({ seconds: 0.1 }))).json<{ id: string }>()
  await member.insert([{ record: aJob({ id, nodeJobId: id, node: node.url }) }])
  await eventually(() => live.find(id), { withinMs: 30_000 })
  await eventually(async () => (await member.find(id))?.state === 'success')
})

test('a gateway that no node answers leaves its jobs to the others, and claims none', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  // Of gateways with an address each.
  const ledger = withMembership(member, { sharesAddress: () => false })
  const { live, accepted } = await startGateway(t, ledger, node)
  const { record } = await accepted()
  const former = member.membership.self
  // Alone, it keeps them: nobody else could do better.
  await node.refuse()
  await node.cut()
  await eventually(() => live.find(record.id)?.node.contact.isDead, { withinMs: 30_000 })
  await sleep(1500)
  assert.equal(member.membership.self, former)
  hub.join()
  await eventually(() => member.membership.self !== former)
  assert.equal(live.size, 0)
  assert.equal(await member.ownerOf(record.id), former)
  await sleep(1500)
  assert.equal(await member.ownerOf(record.id), former)
})

test('a worker that no node answers keeps its jobs: the others of its machine reach no more', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const { live, accepted } = await startGateway(t, member, node)
  const { record } = await accepted()
  const { self } = member.membership
  hub.join()
  await node.refuse()
  await node.cut()
  await eventually(() => live.find(record.id)?.node.contact.isDead, { withinMs: 30_000 })
  // At the first of these it would see that it is cut off, and at the next one it would have been so for long enough.
  for (let looks = 0; looks < 4; looks++) await once(member.membership, 'seen')
  assert.equal(member.membership.self, self)
  assert.ok(live.find(record.id))
})

test('gateways that leave together do not wait for each other', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const { takeover, live, accepted } = await startGateway(t, hub.join(), node)
  const other = hub.join()
  await accepted()
  let isOver = false
  const handedOver = takeover.untilHandedOver(600).then(() => (isOver = true))
  await once(other.membership, 'seen')
  assert.equal(isOver, false)
  await other.membership.leave()
  await handedOver
  assert.equal(live.size, 1, 'it waited until the job had ended')
})

test('a job of a gateway that went longer than JOB_TIMEOUT ago has failed after the grace', async (t) => {
  const hub = await openHub(t)
  const node = await startNode(t)
  const member = hub.join()
  const record = aJob({ node: node.url, kind: 'stream' })
  const gone = hub.join()
  const name = gone.membership.self
  await gone.insert([{ record }])
  await gone.close()
  const { shared } = await startGateway(t, member, node)
  // As a gateway that was started just now sees it.
  const tell = (): void => member.membership.tell([{ replica: name, jobs: 1, state: 'gone', goneMs: 900_000 }])
  const hasFailed = async (): Promise<boolean> => {
    tell()
    return (await shared.find(record.id))?.state === 'failed'
  }
  // A stream is asked for every 15 s.
  await eventually(hasFailed, { withinMs: 60_000 })
})

test('jobs of an earlier process are taken over by the first gateway, without a second run', async (t) => {
  const node = await startNode(t)
  const ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  const { id } = (await post(`${node.url}/api/jobs`, jobOf({ n: 1, seconds: 0.5 }))).json<{ id: string }>()
  await ledger.insert([{ record: aJob({ id, nodeJobId: id, node: node.url }), request: Buffer.from('{}') }])
  const hub = await WorkerHub.open(ledger)
  t.after(() => hub.close())
  const { shared } = await startGateway(t, hub.join(), node)
  await eventually(async () => (await shared.find(id))?.state === 'success')
  assert.equal((await node.jobs()).length, 1)
})

test('a node that says nothing holds up neither the other jobs of that gateway nor those of another one', async (t) => {
  const hub = await openHub(t)
  const [silent, node] = [await startNode(t), await startNode(t)]
  const { shared } = await startGateway(t, hub.join(), silent, node)
  const runAt = async ({ url }: LocalFakeNode): Promise<JobRecord> => {
    const { id } = (await post(`${url}/api/jobs`, jobOf({ seconds: 60 }))).json<{ id: string }>()
    return aJob({ id, nodeJobId: id, node: url })
  }
  const [theSilent, lost, another] = [await runAt(silent), aJob({ node: node.url }), await runAt(node)]
  const [first, second] = [hub.join(), hub.join()]
  await first.insert([{ record: theSilent }, { record: lost, request: Buffer.from(JSON.stringify(jobOf())) }])
  await second.insert([{ record: another }])
  await silent.hang('jobs')
  await first.close()
  await silent.waitFor(() => silent.seen('jobs').length >= 1)
  await second.close()
  const ownedByUs = async (id: string): Promise<boolean> =>
    (await shared.ownerOf(id)) === shared.coordination.membership.self
  await eventually(() => ownedByUs(another.id))
  // This one the node does not know: it runs again after the grace, in which its node is asked again and again.
  await eventually(() => ownedByUs(lost.id))
  assert.equal(silent.seen('jobs').length, 1, 'the node that says nothing was given up meanwhile')
})
