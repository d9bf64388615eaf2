/** What becomes of a job that its node does not know any more, as far as no node has to be asked for it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { LiveJob } from '../../../src/jobs/liveJobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { aJob } from '../../kit/builders/jobs.ts'
import { JOB_TIMEOUT_SECONDS, setUpFollowing } from './following.ts'

const NODE = 'http://127.0.0.1:1'
const MINUTE_MS = 60_000

function isLeftAlone({ isMoving, end }: LiveJob): boolean {
  return !isMoving && end === undefined
}

describe('a job that its node does not know any more', () => {
  test('is not lost where the node sees the gateway under another address, a stream neither', async (t) => {
    const { fleet, failover, restored } = await setUpFollowing(t)
    const jobs = await restored(aJob({ node: NODE, id: 'job' }), aJob({ node: NODE, id: 'stream', kind: 'stream' }))
    for (const job of jobs) {
      job.node.localAddress = '127.0.0.2'
      failover.forgotten(job)
      assert.ok(isLeftAlone(job))
      // Not for ever.
      job.knownAt = fleet.now() - JOB_TIMEOUT_SECONDS
      failover.forgotten(job)
      assert.equal(job.end?.state, 'failed')
    }
  })

  test('is lost where the address is the same, or never was known', async (t) => {
    const { failover, restored } = await setUpFollowing(t)
    const jobs = await restored(aJob({ node: NODE, id: '1' }), aJob({ node: NODE, id: '2', localAddress: '' }))
    for (const job of jobs) {
      job.node.localAddress = '127.0.0.1'
      failover.forgotten(job)
      assert.equal(job.isMoving, true)
    }
  })

  test('has failed once the record of a node would have expired, and a stream at once', async (t) => {
    const { failover, restored } = await setUpFollowing(t)
    const [old, young, stream] = await restored(
      aJob({ node: NODE, id: '1', runStartedAt: Date.now() - 15 * MINUTE_MS }),
      aJob({ node: NODE, id: '2', runStartedAt: Date.now() - 14 * MINUTE_MS }),
      aJob({ node: NODE, id: '3', kind: 'stream' }),
    )
    for (const job of [old!, young!, stream!]) failover.forgotten(job)
    assert.equal(old!.end?.state, 'failed')
    assert.equal(young!.isMoving, true)
    assert.equal(stream!.end?.state, 'failed')
    const { container, error } = JSON.parse(old!.end.result.toString()) as Record<string, string>
    assert.equal(container, 'echo')
    assert.match(error!, /expired/)
  })

  test('is not read from the ledger while nobody could take it, and a look later tries again', async (t) => {
    const { failover, ledger, restored } = await setUpFollowing(t)
    const [job] = await restored(aJob({ node: NODE }))
    const read = t.mock.method(ledger, 'request')
    for (let look = 0; look < 2; look++) {
      failover.forgotten(job!)
      assert.equal(job!.isMoving, true)
      while (job!.isMoving) await turn()
    }
    assert.equal(read.mock.callCount(), 0)
  })

  test('does not have to answer for the time in which its gateway was down', async (t) => {
    const { failover, restored } = await setUpFollowing(t)
    const [job] = await restored(aJob({ node: NODE, failover: false, runStartedAt: Date.now() - 60 * MINUTE_MS }))
    failover.nodeDied(job!)
    assert.equal(job!.end, undefined)
  })
})

describe('a clock that is set', () => {
  test('neither fails a lost job at once nor keeps one that was lost for JOB_TIMEOUT', async (t) => {
    let seconds = 1000
    const { failover, restored } = await setUpFollowing(t, () => seconds)
    const [job] = await restored(aJob({ node: NODE, failover: false }))
    const right = Date.now()
    const clock = t.mock.method(Date, 'now')
    clock.mock.mockImplementation(() => right + 60 * MINUTE_MS)
    failover.nodeDied(job!)
    assert.ok(isLeftAlone(job!))
    clock.mock.mockImplementation(() => right - 60 * MINUTE_MS)
    seconds += JOB_TIMEOUT_SECONDS
    failover.nodeDied(job!)
    assert.equal(job!.end?.state, 'failed')
  })

  test('does not stop the tries to run a job elsewhere', async (t) => {
    let seconds = 1000
    const { failover, fleet, ledger, list, restored } = await setUpFollowing(t, () => seconds)
    const node = await startFakeNode({}, t)
    const isUp = once(fleet, 'node:up')
    list([node.address])
    await isUp
    const [job] = await restored(aJob({ node: NODE }))
    t.mock.method(ledger, 'request', () => Promise.reject(new Error('not now')))
    failover.forgotten(job!)
    assert.equal(job!.isMoving, true)
    while (job!.isMoving) await turn()
    // It is left alone for a second.
    failover.forgotten(job!)
    assert.equal(job!.isMoving, false)
    const right = Date.now()
    t.mock.method(Date, 'now', () => right - 60 * MINUTE_MS)
    seconds += 2
    failover.forgotten(job!)
    assert.equal(job!.isMoving, true)
  })
})
