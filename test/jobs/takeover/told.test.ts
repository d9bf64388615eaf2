/** What a gateway may tell of a job that others could have taken over: nothing that a client would have to unlearn. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import type { SharedLedger } from '../../../src/ledger/ledger.ts'
import type { Membership } from '../../../src/replicas/index.ts'
import { ask, assertEchoed, ended, entriesOf, runsOn, startNodes, submitted } from '../../e2e/jobs/support.ts'
import { anEnd } from '../../kit/builders/jobs.ts'
import { eventually } from '../../kit/wait.ts'
import { openHub, startReplica, withChanges } from './replicas.ts'

const STATES = ({ status }: { status: string }): string => status

/** A member of the hub that is not sure of its jobs while `isSure` is false: no beat of it was acknowledged lately. */
function doubtful(hub: WorkerHub): { ledger: SharedLedger; state: { isSure: boolean } } {
  const state = { isSure: true }
  const member = hub.join()
  const membership = new Proxy(member.membership, {
    get: (target, name) => {
      if (name === 'isSure') return state.isSure
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  }) as Membership
  const coordination = { ...member.coordination, membership }
  return { ledger: withChanges<SharedLedger>(member, { coordination }), state }
}

test('a gateway that nobody has acknowledged lately tells nothing from memory', async (t) => {
  const hub = await openHub(t)
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const { ledger, state } = doubtful(hub)
  const a = await startReplica(t, { nodes, ledger })
  const other = hub.join()
  const id = await submitted(a, { seconds: 60 })
  // The other ends the job, and A, which is as if stopped, does not hear of it.
  state.isSure = false
  ledger.coordination.membership.removeAllListeners('disowned')
  const from = ledger.coordination.membership.self
  assert.deepEqual([...(await other.claim(from, [id]))], [id])
  assert.ok(await other.finish(id, anEnd()))
  assert.deepEqual((await entriesOf(a, [id])).map(STATES), ['success'])
})

test('a gateway that is leaving tells of its jobs from the ledger', async (t) => {
  const hub = await openHub(t)
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const member = hub.join()
  const a = await startReplica(t, { nodes, ledger: member, env: { DRAIN_TIMEOUT: '60' } })
  const b = hub.join()
  const id = await submitted(a, { seconds: 60 })
  const isLeaving = eventually(() => b.membership.replicas.some(({ state }) => state === 'leaving'))
  const hears = member.membership.listeners('disowned') as ((id: string) => void)[]
  member.membership.removeAllListeners('disowned')
  const stopping = a.stop()
  await isLeaving
  await b.claim(member.membership.self, [id])
  await b.finish(id, anEnd())
  assert.deepEqual((await entriesOf(a, [id])).map(STATES), ['success'])
  // Now it hears of it, too, and has nothing left to wait for.
  hears.forEach((hear) => hear(id))
  await stopping
})

test('an end that the ledger has not taken is told by nobody, and after a death there is one end', async (t) => {
  const hub = await openHub(t)
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const member = hub.join()
  let isAsked = false
  // As while the store is away: ends are held.
  const finish = (): Promise<boolean> => {
    isAsked = true
    return new Promise(() => undefined)
  }
  const a = await startReplica(t, { nodes, ledger: withChanges<SharedLedger>(member, { finish }) })
  const b = await startReplica(t, { nodes, ledger: hub.join(), address: '127.0.0.62' })
  const id = await submitted(a, { n: 1, seconds: 0.1 })
  const waiting = [a, b].map((replica) => ask(replica, `?id=${id}&wait=3`))
  await eventually(() => isAsked)
  for (const replica of [a, b]) assert.deepEqual((await entriesOf(replica, [id])).map(STATES), ['running'])
  for (const answer of await Promise.all(waiting)) {
    assert.equal(answer.json<{ status: string }[]>()[0]!.status, 'running')
  }
  await member.close()
  // Its result was never written: the job runs again at the address of the other, and that end stands.
  const [entry] = await ended(b, [id])
  assertEchoed(entry, { n: 1, seconds: 0.1 })
  assert.equal(await runsOn(nodes), 2)
})

test('an end is told by all as soon as the ledger took it, and those who wait are told at once', async (t) => {
  const hub = await openHub(t)
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const member = hub.join()
  const mayWrite = Promise.withResolvers<void>()
  const finish: SharedLedger['finish'] = async (id, end) => {
    await mayWrite.promise
    return member.finish(id, end)
  }
  const a = await startReplica(t, { nodes, ledger: withChanges<SharedLedger>(member, { finish }) })
  const id = await submitted(a, { n: 1, seconds: 0.1 })
  await nodes[0]!.ended(id)
  const waiting = ask(a, `?id=${id}&wait=60`)
  await sleep(500)
  mayWrite.resolve()
  assert.equal((await waiting).json<{ status: string }[]>()[0]!.status, 'success')
})

test('an end that the ledger refuses never was: what the ledger has is told, to those who wait, too', async (t) => {
  const hub = await openHub(t)
  const nodes = await startNodes(t, 1, { concurrency: 10 })
  const member = hub.join()
  const other = hub.join()
  const mayWrite = Promise.withResolvers<void>()
  const finish: SharedLedger['finish'] = async (id, end) => {
    await mayWrite.promise
    return member.finish(id, end)
  }
  const a = await startReplica(t, { nodes, ledger: withChanges<SharedLedger>(member, { finish }) })
  member.membership.removeAllListeners('disowned')
  const id = await submitted(a, { n: 1, seconds: 0.1 })
  const waiting = ask(a, `?id=${id}&wait=60`)
  await nodes[0]!.ended(id)
  await other.claim(member.membership.self, [id])
  mayWrite.resolve()
  await sleep(300)
  assert.deepEqual((await entriesOf(a, [id])).map(STATES), ['running'])
  await other.finish(id, anEnd({ state: 'failed', result: Buffer.from('"theirs"') }))
  const [entry] = (await waiting).json<{ status: string; result: unknown }[]>()
  assert.deepEqual([entry!.status, entry!.result], ['failed', 'theirs'])
})
