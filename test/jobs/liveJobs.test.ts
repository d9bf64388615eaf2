/** What is kept of jobs while they run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aJob } from '../kit/builders/jobs.ts'
import { setUpFollowing } from './follow/following.ts'

const NODE = 'http://127.0.0.1:1'
const LONGEST = Buffer.alloc(64_000, ' ')

test('intermediate results of running jobs are kept up to 64 kB a job and 64 MB in all, ended jobs aside', async (t) => {
  const { live, restored } = await setUpFollowing(t)
  const records = Array.from({ length: 1002 }, (_, n) => aJob({ node: NODE, id: `${n}` }))
  const [first, ...others] = await restored(...records)
  live.runs(first!, Buffer.alloc(LONGEST.length + 1))
  assert.equal(first!.intermediate, undefined)
  live.runs(first!, Buffer.from('[1]'))
  assert.equal(String(first!.intermediate), '[1]')
  // The latest counts, and nothing where there is none.
  live.runs(first!, undefined)
  assert.equal(first!.intermediate, undefined)

  for (const job of others) live.runs(job, LONGEST)
  assert.equal(others.filter((job) => job.intermediate).length, 1000)
  await live.finish(others[0]!, { state: 'success', result: Buffer.from('1'), intermediate: undefined }, 0)
  live.runs(first!, LONGEST)
  assert.equal(first!.intermediate, LONGEST)
})
