/** Nodes that no list names any more are kept exactly as long as they have jobs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseAddress } from '../../../src/fleet/address.ts'
import { Fleet } from '../../../src/fleet/fleet.ts'
import { Lease } from '../../../src/fleet/lease.ts'
import { Selector } from '../../../src/fleet/selector.ts'
import type { NodeSource } from '../../../src/fleet/sources/source.ts'
import { recordOf } from '../../../src/jobs/accepted.ts'
import { Failover } from '../../../src/jobs/follow/failover.ts'
import { Follower } from '../../../src/jobs/follow/follower.ts'
import { MemoryLedger } from '../../../src/jobs/ledger/memory.ts'
import { LiveJobs } from '../../../src/jobs/liveJobs.ts'
import { Transport } from '../../../src/proxy/transport.ts'
import { freePort } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { silentLogger as logger } from '../jobServer.ts'

/** A fleet whose list the test writes, with jobs that are followed; at its addresses nobody listens. */
async function setUp(t: Cleanup) {
  let list: (addresses: readonly string[]) => void = () => undefined
  const source: NodeSource = {
    name: 'test',
    start: async (onList) => {
      list = (addresses) => onList(addresses.map((address) => parseAddress(address)))
    },
    stop: () => undefined,
  }
  const fleet = new Fleet({ sources: [source], refreshIntervalSeconds: 60, via: '1.1 test' })
  const ledger = new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  const transport = new Transport({ connectTimeoutSeconds: 1, answerTimeoutSeconds: 1, idleTimeoutSeconds: 1 })
  const live = new LiveJobs(ledger, fleet, 0)
  const common = { fleet, ledger, transport, live, logger, via: '1.1 test', selector: new Selector(fleet) }
  const failover = new Failover({ ...common, isEnabled: true, jobTimeoutSeconds: 900 })
  const follower = new Follower({ ...common, failover, periodSeconds: 60 })
  t.after(async () => {
    follower.stop()
    fleet.stop()
    await transport.close()
    await ledger.close()
  })
  await fleet.start()
  return { fleet, ledger, live, list }
}

const END = { state: 'success' as const, result: Buffer.from('1'), intermediate: undefined }
const OPTIONS = { cost: undefined, failover: true, idempotencyKey: undefined }

test('a node without jobs is forgotten as it leaves the list, one with jobs when the last has ended', async (t) => {
  const { fleet, live, list } = await setUp(t)
  const [idle, busy] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  list([idle, busy])
  const node = fleet.find(parseAddress(busy).key)!
  const by = { caller: 'a', clientAddress: '127.0.0.1', options: OPTIONS }
  const accepted = ['1', '2'].map((id) => {
    const lease = Lease.take(fleet, node)
    return { record: recordOf(id, 'job', ['echo'], lease, by), request: Buffer.from('{}'), lease }
  })
  const jobs = await live.accept(accepted)
  list([])
  assert.equal(fleet.find(parseAddress(idle).key), undefined)
  assert.equal(fleet.find(node.key), node)
  await live.finish(jobs[0]!, END, 0)
  assert.equal(fleet.find(node.key), node)
  await live.finish(jobs[1]!, END, 0)
  assert.equal(fleet.find(node.key), undefined)
  assert.deepEqual([...fleet.origins()], [])
  assert.equal(node.load.inFlight, 0)
})

test('a node that comes back into the list is the same one, with its jobs', async (t) => {
  const { fleet, ledger, live, list } = await setUp(t)
  const address = `127.0.0.1:${await freePort()}`
  const { key } = parseAddress(address)
  const record = {
    ...{ id: '1', nodeJobId: '1', kind: 'job' as const, containers: ['echo'], caller: 'a', clientAddress: '127.0.0.1' },
    ...{ node: key, localAddress: '', runs: 1, runStartedAt: Date.now(), createdAt: Date.now() },
    ...{ state: 'running' as const, failover: true },
  }
  await ledger.insert([{ record, request: Buffer.from('{}') }])
  // As after a restart: the jobs come first, the lists after them.
  assert.equal(await live.restore(), 1)
  const adopted = fleet.find(key)!
  assert.ok(adopted.isRetired)
  const added = once(fleet, 'node:added')
  list([address])
  const [listed] = (await added) as unknown[]
  assert.equal(listed, adopted)
  assert.ok(!adopted.isRetired)
  await live.finish(live.find('1')!, END, 0)
  assert.equal(fleet.find(key), adopted)
})
