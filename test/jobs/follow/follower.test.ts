/** Nodes that no list names any more are kept exactly as long as they have jobs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseAddress } from '../../../src/fleet/address.ts'
import { Lease } from '../../../src/dispatch/lease.ts'
import { newRecord } from '../../../src/jobs/accepted.ts'
import { freePort } from '../../kit/wait.ts'
import { aJob } from '../../kit/builders/jobs.ts'
import { setUpFollowing } from './following.ts'

const END = { state: 'success' as const, result: Buffer.from('1'), intermediate: undefined }
const OPTIONS = { cost: undefined, failover: true, idempotencyKey: undefined }

test('a node without jobs is forgotten as it leaves the list, one with jobs when the last has ended', async (t) => {
  const { fleet, live, list } = await setUpFollowing(t)
  const [idle, busy] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  list([idle, busy])
  const node = fleet.find(parseAddress(busy).key)!
  const by = { caller: 'a', clientAddress: '127.0.0.1', options: OPTIONS }
  const accepted = ['1', '2'].map((id) => {
    const lease = Lease.take(fleet, node)
    return { record: newRecord(id, 'job', ['echo'], lease, by), request: Buffer.from('{}'), lease }
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
  const { fleet, live, list, restored } = await setUpFollowing(t)
  const address = `127.0.0.1:${await freePort()}`
  const { key } = parseAddress(address)
  // As after a restart: the jobs come first, the lists after them.
  const [job] = await restored(aJob({ node: key }))
  const adopted = fleet.find(key)!
  assert.ok(adopted.isRetired)
  const added = once(fleet, 'node:added')
  list([address])
  const [listed] = (await added) as unknown[]
  assert.equal(listed, adopted)
  assert.ok(!adopted.isRetired)
  await live.finish(job!, END, 0)
  assert.equal(fleet.find(key), adopted)
})
