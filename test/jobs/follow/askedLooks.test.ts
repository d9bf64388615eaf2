/** Looks that clients bring forward. The regular ones are a minute apart here, so what is heard of, was asked for. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../../src/fleet/address.ts'
import { nextAge } from '../../../src/jobs/follow/pace.ts'
import type { LiveJob } from '../../../src/jobs/liveJobs.ts'
import { TEST_IDENTITY } from '../../kit/builders/fleets.ts'
import { aJob, jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode, type FakeNodeOptions, type LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { post } from '../../kit/http.ts'
import { setUpFollowing, type Following } from './following.ts'

const ALICE = '192.0.2.1'
const BOB = '192.0.2.2'

interface Site extends Following {
  readonly node: LocalFakeNode
  /** A job of so many seconds that runs at the node. */
  readonly job: (seconds: number) => Promise<LiveJob>
}

async function setUp(t: TestContext, options: FakeNodeOptions = {}): Promise<Site> {
  const node = await startFakeNode({ concurrency: 100, rateLimit: 0, ...options }, t)
  const following = await setUpFollowing(t)
  following.list([node.address])
  const job = async (seconds: number): Promise<LiveJob> => {
    const { id } = (await post(`${node.url}/api/jobs`, jobOf({ seconds }))).json<{ id: string }>()
    const record = aJob({ id, nodeJobId: id, node: parseAddress(node.address).key, runStartedAt: Date.now() })
    await following.ledger.insert([{ record, request: Buffer.from('{}') }])
    await following.live.restore()
    return following.live.find(id)!
  }
  return { ...following, node, job }
}

/** Whose addresses the calls for jobs were counted under, in order. */
function accountsOf(node: LocalFakeNode): (string | undefined)[] {
  return node.seen('jobs').map((call) => call.header('x-forwarded-for'))
}

/** Asks again and again until the job has ended. */
async function askUntilEnded(site: Site, job: LiveJob, address: string): Promise<void> {
  const timer = setInterval(() => site.askers.asks(job, address), 5)
  try {
    if (!job.end) await once(site.live, 'ended')
  } finally {
    clearInterval(timer)
  }
}

test('a client that asks for a running job hears of its end by a look on its own account', async (t) => {
  const site = await setUp(t)
  const job = await site.job(0.2)
  await askUntilEnded(site, job, ALICE)
  assert.equal(job.end?.state, 'success')
  assert.deepEqual([...new Set(accountsOf(site.node))], [ALICE])
})

test('looks that clients bring forward come no sooner after one another than 50 ms and a quarter of the job’s age', async (t) => {
  const site = await setUp(t)
  const job = await site.job(1)
  await askUntilEnded(site, job, ALICE)
  // The job is a little older at the node than here: each call comes after the age at which it is due.
  const [{ acceptedAt }] = (await site.node.jobs()) as unknown as [{ acceptedAt: number }]
  const ages = site.node.seen('jobs').map(({ at }) => (at - acceptedAt) / 1000)
  let due = 0
  for (const age of ages) {
    due = nextAge(due)
    assert.ok(age >= due, `looks at the ages ${ages.map((each) => each.toFixed(3)).join(', ')}`)
  }
})

test('one look serves all who ask', async (t) => {
  const site = await setUp(t)
  const jobs = [await site.job(60), await site.job(60)]
  site.askers.asks(jobs[0]!, ALICE)
  site.askers.asks(jobs[1]!, BOB)
  await site.node.waitFor(() => site.node.seen('jobs').length > 0)
  const [first] = site.node.seen('jobs')
  const ids = new URL(first!.url, site.node.url).searchParams.getAll('id')
  assert.deepEqual(ids.toSorted(), jobs.map(({ record }) => record.nodeJobId).toSorted())
})

test('no client is made to exceed its limit at a node, and each has one of its own there', async (t) => {
  const site = await setUp(t, { rateLimit: { jobs: 8, submit: 0, info: 0 } })
  const job = await site.job(60)
  const callsOf = (client: string): number => accountsOf(site.node).filter((account) => account === client).length
  for (const client of [ALICE, BOB]) {
    const asking = setInterval(() => site.askers.asks(job, client), 5)
    await site.node.waitFor(() => callsOf(client) >= 2)
    // For as long as it would take to ask more often than the limit allows.
    await sleep(1500)
    clearInterval(asking)
    assert.ok(callsOf(client) <= 8, `${callsOf(client)} calls on the account of ${client}`)
  }
})

test('who waits is told by the end itself, and asks the node meanwhile', async (t) => {
  const site = await setUp(t)
  const job = await site.job(0.2)
  const res = new ServerResponse(new IncomingMessage(new Socket()))
  await site.askers.firstEnd([job.record], { address: ALICE, seconds: 60, res })
  assert.equal(job.end?.state, 'success')
  assert.equal(site.askers.waiting, 0)
  assert.deepEqual([...new Set(accountsOf(site.node))], [ALICE])
})

test('looks that nobody asked for are on the gateway’s own account', async (t) => {
  const node = await startFakeNode({ rateLimit: 0 }, t)
  const following = await setUpFollowing(t, undefined, { periodSeconds: 0.05 })
  following.list([node.address])
  const { id } = (await post(`${node.url}/api/jobs`, jobOf({ seconds: 60 }))).json<{ id: string }>()
  await following.restored(aJob({ id, nodeJobId: id, node: parseAddress(node.address).key }))
  await node.waitFor(() => node.seen('jobs').length >= 2 && node.seen('info').length > 0)
  assert.deepEqual([...new Set(accountsOf(node))], [TEST_IDENTITY.address])
  assert.equal(node.seen('info')[0]!.header('x-forwarded-for'), TEST_IDENTITY.address)
})
