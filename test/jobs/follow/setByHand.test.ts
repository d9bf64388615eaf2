/** A final state that a node tells without a result, as after `PUT /api/status`: what comes of it later. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseAddress } from '../../../src/fleet/address.ts'
import type { FollowerOptions } from '../../../src/jobs/follow/follower.ts'
import type { LiveJob } from '../../../src/jobs/liveJobs.ts'
import { aJob, entryText, finishedEntry, runningEntry } from '../../kit/builders/jobs.ts'
import { serve } from '../../kit/serve.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { setUpFollowing } from './following.ts'

const BY_HAND = entryText('job', { status: 'failed', result: 'null' })

interface Case {
  readonly job: LiveJob
  /** What the node tells from now on; resolves when it has been asked. */
  readonly tells: (entries: string) => Promise<void>
  /** The end that the ledger gets. */
  readonly end: Promise<{ state: string; result: string }>
  readonly provisional: readonly LiveJob[]
}

async function aCase(t: Cleanup, over: Partial<FollowerOptions> = {}): Promise<Case> {
  let entries = runningEntry('job')
  let asked = 0
  const address = await serve(t, (_incoming, response) => {
    asked++
    response.end(`[${entries}]`)
  })
  const { live, ledger, restored } = await setUpFollowing(t, undefined, { periodSeconds: 0.05, ...over })
  const provisional: LiveJob[] = []
  live.on('provisional', (job) => provisional.push(job))
  const ended = once(live, 'ended')
  const [job] = await restored(aJob({ id: 'job', nodeJobId: 'job', node: parseAddress(address).key, caller: 'a' }))
  return {
    job: job!,
    tells: async (text) => {
      entries = text
      const before = asked
      await eventually(() => asked > before, { withinMs: 10_000 })
    },
    end: ended.then(async () => {
      const read = async () => (await ledger.read('a', ['job']))[0]!
      await eventually(async () => (await read()).state !== 'running', { withinMs: 10_000 })
      const { state, result } = await read()
      return { state, result: (result as Buffer).toString() }
    }),
    provisional,
  }
}

test('the result that its node has later counts, with its state', async (t) => {
  const { job, tells, end, provisional } = await aCase(t)
  await tells(BY_HAND)
  await eventually(() => job.provisional?.state === 'failed', { withinMs: 10_000 })
  await tells(BY_HAND)
  // The next step of a pipeline: clients have heard of an end, and do not see the job run again.
  await tells(runningEntry('job', '[1]'))
  await eventually(() => job.intermediate?.toString() === '[1]', { withinMs: 10_000 })
  assert.equal(job.provisional?.state, 'failed')
  assert.equal(job.end, undefined)
  assert.equal(provisional.length, 1)
  await tells(finishedEntry('job', '7'))
  assert.deepEqual(await end, { state: 'success', result: '{"container":"echo","output":7}' })
})

test('stands where no result comes in time', async (t) => {
  const { tells, end } = await aCase(t, { provisionalSeconds: 0.2 })
  await tells(BY_HAND)
  assert.deepEqual(await end, { state: 'failed', result: 'null' })
})

test('stands where the node forgets the job, which is not run again', async (t) => {
  const { job, tells, end } = await aCase(t)
  await tells(BY_HAND)
  await eventually(() => job.provisional !== undefined, { withinMs: 10_000 })
  await tells('')
  assert.deepEqual(await end, { state: 'failed', result: 'null' })
  assert.equal(job.isMoving, false)
})
