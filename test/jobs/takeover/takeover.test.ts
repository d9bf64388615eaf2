/** Gateways that share a ledger: any answers for any job, and one that is gone leaves its jobs to the others. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ask,
  assertEchoed,
  assertFailed,
  ended,
  entriesOf,
  listed,
  runsOn,
  startNodes,
  submitted,
} from '../../e2e/jobs/support.ts'
import { finishedEntry, jobOf, runningEntry, statusReport } from '../../kit/builders/jobs.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { type Cleanup, eventually } from '../../kit/wait.ts'
import { hubStore, type Member, redisStore, type Replica, startReplica, type Store, withChanges } from './replicas.ts'
import type { SharedLedger } from '../../../src/ledger/ledger.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { redisMissing } from '../../kit/redisServer.ts'

interface StoreKind {
  readonly name: string
  readonly skip: string | false
  /** REPLICA_TIMEOUT; jobs that no gateway is shown wait for half of it. */
  readonly timeoutSeconds: number
  readonly open: (t: Cleanup) => Promise<Store>
}

const STORES: readonly StoreKind[] = [
  { name: 'a hub', skip: false, timeoutSeconds: 1, open: hubStore },
  { name: 'Redis', skip: redisMissing, timeoutSeconds: 3, open: (t) => redisStore(t, 3000) },
]

interface Site {
  readonly nodes: LocalFakeNode[]
  readonly replicas: Replica[]
  readonly members: Member[]
}

interface SiteOptions {
  readonly nodeCount?: number
  /** By which addresses nodes know the gateways. */
  readonly addresses?: readonly string[]
  readonly env?: Record<string, string>
  /** What a gateway uses in place of its ledger. */
  readonly change?: (ledger: SharedLedger, index: number) => SharedLedger
}

const DRAINING = { env: { DRAIN_TIMEOUT: '60' } }
const TOGETHER = ['127.0.0.1', '127.0.0.1']
const APART = ['127.0.0.1', '127.0.0.62']

/** The node says of this job alone that it has ended. */
async function finish(node: LocalFakeNode, id: string): Promise<void> {
  await node.answer(200, 'jobs', { body: `[${finishedEntry(id, '1')}]` })
}

for (const { name, skip, timeoutSeconds, open } of STORES) {
  describe(`gateways that share ${name}`, { skip }, () => testStore(open, timeoutSeconds))
}

function testStore(open: StoreKind['open'], timeoutSeconds: number): void {
  async function setUp(t: Cleanup, options: SiteOptions = {}): Promise<Site> {
    const { nodeCount = 1, addresses = TOGETHER, env, change = (ledger) => ledger } = options
    const store = await open(t)
    const nodes = await startNodes(t, nodeCount, { concurrency: 100 })
    const members = await Promise.all(addresses.map(() => store.join()))
    const replicas: Replica[] = []
    for (const [index, address] of addresses.entries()) {
      const ledger = change(members[index]!.ledger, index)
      const REPLICA_TIMEOUT = String(timeoutSeconds)
      replicas.push(await startReplica(t, { nodes, ledger, address, env: { REPLICA_TIMEOUT, ...env } }))
    }
    return { nodes, replicas, members }
  }

  describe('any gateway answers for any job', () => {
    test('before and after its end, also where nodes know it by another address', async (t) => {
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t, { addresses: APART })
      const id = await submitted(a!, { seconds: 60 })
      const [entry] = await entriesOf(b!, [id])
      assert.equal(entry?.status, 'running')
      assert.deepEqual(await listed(b!, '?pending=true'), [id])
      await finish(nodes[0]!, id)
      const [end] = await ended(b!, [id])
      assert.deepEqual(end!.result, { container: 'echo', output: 1 })
      assert.deepEqual(await listed(b!, '?pending=false'), [id])
    })

    test('a client that waits for a job of another gateway gets its end at once', async (t) => {
      const isWaiting = Promise.withResolvers<void>()
      const change = (ledger: SharedLedger, index: number): SharedLedger => {
        const read: SharedLedger['read'] = (...given) => {
          isWaiting.resolve()
          return ledger.read(...given)
        }
        return index === 0 ? ledger : withChanges(ledger, { read })
      }
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t, { change })
      const id = await submitted(a!, { seconds: 60 })
      const other = await submitted(a!, { seconds: 60 })
      const waiting = ask(b!, `?id=${other}&id=${id}&wait=60`)
      await isWaiting.promise
      await finish(nodes[0]!, id)
      const entries = (await waiting).json<{ status: string }[]>()
      assert.deepEqual(
        entries.map(({ status }) => status),
        ['running', 'success'],
      )
      // None of these runs: there is nothing to wait for.
      assert.equal((await ask(b!, `?id=${id}&wait=60`)).status, 200)
    })

    test('intermediate results are told by all, and noted once for each step', async (t) => {
      const notes: string[] = []
      const change = (ledger: SharedLedger, index: number): SharedLedger => {
        const note = async (id: string, bytes: Buffer): Promise<void> => {
          notes.push(String(bytes))
          await ledger.note(id, bytes)
        }
        return index === 0 ? withChanges(ledger, { note }) : ledger
      }
      const {
        nodes: [node],
        replicas: [a, b],
      } = await setUp(t, { change })
      const id = await submitted(a!, { seconds: 60 })
      for (const step of ['[1]', '[1,2]']) {
        await node!.answer(200, 'jobs', { body: `[${runningEntry(id, step)}]` })
        const expected = `[{"id":"${id}","intermediate_results":${step},"result":null,"status":"running"}]`
        for (const replica of [a!, b!]) {
          await eventually(async () => (await ask(replica, `?id=${id}&intermediate=true`)).text === expected)
        }
        const looks = node!.seen('jobs').length
        await node!.waitFor(() => node!.seen('jobs').length >= looks + 3)
      }
      assert.deepEqual(notes, ['[1]', '[1,2]'])
    })
  })

  describe('limits and keys count over all gateways', () => {
    test('MAX_JOBS_PER_CALLER, with the refusals of a single gateway', async (t) => {
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t, { env: { MAX_JOBS_PER_CALLER: '2' } })
      await submitted(a!, { seconds: 60 })
      const id = await submitted(b!, { seconds: 60 })
      const refused = await post(`${a!.url}/api/jobs`, jobOf({}))
      assert.equal(refused.status, 429)
      const params = refused.json<{ params: object }>().params
      assert.deepEqual(params, { setting: 'MAX_JOBS_PER_CALLER', limit: 2, unfinished: 2 })
      // The end of a job gives its room back, for all.
      await finish(nodes[0]!, id)
      await eventually(async () => (await post(`${a!.url}/api/jobs`, jobOf({ seconds: 60 }))).status === 200)
    })

    test('an Idempotency-Key that is sent to all at once is one job', async (t) => {
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t)
      const sent = [a, b, a, b].map((replica) =>
        post(`${replica!.url}/api/jobs`, jobOf({ n: 1 }), { headers: { 'Idempotency-Key': 'k' } }),
      )
      const answers = await Promise.all(sent)
      assert.deepEqual(new Set(answers.map(({ text }) => text)).size, 1)
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200],
      )
      assert.equal(await runsOn(nodes), 1)
      const other = await post(`${b!.url}/api/jobs`, jobOf({ n: 2 }), { headers: { 'Idempotency-Key': 'k' } })
      assert.equal(other.status, 422)
    })

    test('a request waits while another gateway is at its key, and runs where that one dies amid it', async (t) => {
      const {
        nodes,
        replicas: [a, b],
        members,
      } = await setUp(t)
      const [node] = nodes
      await node!.late(3, 'submit', { times: 1, runs: false })
      const key = { headers: { 'Idempotency-Key': 'k' } }
      const first = post(`${a!.url}/api/jobs`, jobOf({ n: 1 }), key)
      await node!.waitFor(() => node!.seen('submit').length === 1)
      const second = post(`${b!.url}/api/jobs`, jobOf({ n: 1 }), key)
      const other = await post(`${b!.url}/api/jobs`, jobOf({ n: 2 }), key)
      assert.equal(other.status, 422)
      assert.equal(node!.seen('submit').length, 1)
      await members[0]!.die()
      assert.equal((await second).status, 200)
      assert.equal((await first).status, 503)
    })
  })

  describe('a gateway that is gone', () => {
    test('leaves its jobs to one that is shown them by their nodes: no second run, one end', async (t) => {
      const {
        nodes,
        replicas: [a, b],
        members,
      } = await setUp(t, { nodeCount: 2 })
      const ids = await Promise.all(Array.from({ length: 6 }, (_, n) => submitted(a!, { n, seconds: 1.5 })))
      await members[0]!.die()
      const entries = await ended(b!, ids)
      entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 1.5 }))
      assert.equal(await runsOn(nodes), 6)
    })

    test('has its jobs run again where no other is shown them, after the grace, once', async (t) => {
      const {
        nodes,
        replicas: [a, b],
        members,
      } = await setUp(t, { addresses: APART })
      const id = await submitted(a!, { n: 1, seconds: 1 })
      const diedAt = performance.now()
      await members[0]!.die()
      const waiting = ask(b!, `?id=${id}&wait=60`)
      await nodes[0]!.waitFor(() => nodes[0]!.seen('submit').length === 2, { withinMs: 30_000 })
      assert.ok(performance.now() - diedAt >= (timeoutSeconds / 2) * 1000, 'run again within the grace')
      const [entry] = (await waiting).json<{ status: string }[]>()
      assert.equal(entry!.status, 'success')
      assert.equal(await runsOn(nodes), 2)
    })

    test('of two that want one job, one has it', async (t) => {
      const addresses = ['127.0.0.1', '127.0.0.62', '127.0.0.63']
      const { nodes, replicas, members } = await setUp(t, { nodeCount: 2, addresses })
      const [a, b, c] = replicas
      const ids = await Promise.all(Array.from({ length: 8 }, (_, n) => submitted(a!, { n, seconds: 0.5 })))
      await members[0]!.die()
      for (const replica of [b!, c!]) {
        const entries = await ended(replica, ids)
        entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 0.5 }))
      }
      assert.equal(await runsOn(nodes), 16)
    })

    test('has a stream followed where its node shows it, and never run again', async (t) => {
      for (const apart of [false, true]) {
        const {
          nodes,
          replicas: [a, b],
          members,
        } = await setUp(t, { addresses: apart ? APART : TOGETHER, env: { JOB_TIMEOUT: '3' } })
        const stream = await openStream(`${a!.url}/api/jobs/stream`, { body: jobOf({ seconds: 1.5 }) })
        const id = await eventually(async () => (await nodes[0]!.jobs())[0]?.id)
        await eventually(async () => (await listed(b!)).includes(id))
        await members[0]!.die()
        const [entry] = await ended(b!, [id])
        if (apart) assert.equal(assertFailed(entry, 'echo'), 'The job was lost with its gateway')
        else assert.equal(entry!.status, 'success')
        assert.equal(await runsOn(nodes), 1)
        stream.destroy()
      }
    })

    test('has no job run again whose client does not want that', async (t) => {
      const {
        nodes,
        replicas: [a, b],
        members,
      } = await setUp(t, { addresses: APART, env: { JOB_TIMEOUT: '3' } })
      const headers = { 'X-Infernet-Failover': 'off' }
      const id = await submitted(a!, { n: 1, seconds: 60 }, { headers })
      await members[0]!.die()
      const [entry] = await ended(b!, [id])
      assert.equal(assertFailed(entry, 'echo'), 'The job was lost with its gateway')
      assert.equal(await runsOn(nodes), 1)
    })

    test('and its node, too: the job runs again elsewhere', async (t) => {
      const {
        nodes,
        replicas: [a, b],
        members,
      } = await setUp(t, { nodeCount: 2 })
      const id = await submitted(a!, { n: 1, seconds: 2 })
      const traces = await Promise.all(nodes.map((node) => node.jobs()))
      const at = traces.findIndex((jobs) => jobs.length > 0)
      await nodes[at]!.refuse()
      await nodes[at]!.cut()
      await members[0]!.die()
      const [entry] = await ended(b!, [id])
      assertEchoed(entry, { n: 1, seconds: 2 })
      assert.equal(await runsOn([nodes[1 - at]!]), 1)
    })
  })

  describe('a gateway that ends as it should', () => {
    test('hands its jobs over to one that is shown them, and does not wait for their ends', async (t) => {
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t, DRAINING)
      const id = await submitted(a!, { seconds: 60 })
      await a!.stop()
      const [entry] = await entriesOf(b!, [id])
      assert.equal(entry?.status, 'running')
      assert.equal(await b!.ledger.ownerOf(id), b!.ledger.coordination.membership.self)
      assert.equal(await runsOn(nodes), 1)
    })

    test('follows those that no other is shown to their ends', async (t) => {
      const {
        nodes,
        replicas: [a, b],
      } = await setUp(t, { addresses: APART, ...DRAINING })
      const id = await submitted(a!, { n: 1, seconds: 2 })
      await a!.stop()
      const [entry] = await entriesOf(b!, [id])
      assertEchoed(entry, { n: 1, seconds: 2 })
      assert.equal(await runsOn(nodes), 1)
    })
  })

  describe('PUT /api/status at a gateway that does not follow the job', () => {
    test('goes on where its node shows it the job, and is 503 where not', async (t) => {
      for (const apart of [false, true]) {
        const {
          nodes,
          replicas: [a, b],
        } = await setUp(t, { addresses: apart ? APART : TOGETHER })
        const id = await submitted(a!, { n: 1, seconds: 60 })
        const answer = await request(`${b!.url}/api/status`, {
          method: 'PUT',
          body: JSON.stringify(statusReport(id)),
          headers: { 'Content-Type': 'application/json' },
        })
        assert.equal(answer.status, apart ? 503 : 200, answer.text)
        assert.equal(nodes[0]!.seen('status').length, apart ? 0 : 1)
        if (apart) assert.ok(Number(answer.headers['retry-after']) >= 1)
      }
    })
  })
}
