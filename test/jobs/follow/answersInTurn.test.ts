/** What shows that several nodes answer in turn at one address, and what does not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AnswersInTurn } from '../../../src/jobs/follow/answersInTurn.ts'
import type { Sighting } from '../../../src/jobs/follow/answersInTurn.ts'
import type { LiveJob } from '../../../src/jobs/liveJobs.ts'

/** Jobs by the moment, in seconds, at which they were accepted. */
function jobsAt(...seconds: number[]): LiveJob[] {
  return seconds.map((runStartedAt) => ({ runStartedAt }) as LiveJob)
}

function answer(jobs: readonly LiveJob[], states: string): Sighting[] {
  const status = { r: 'running', s: 'success', f: 'failed' } as const
  return jobs.map((job, n) => {
    const state = status[states[n] as 'r' | 's' | 'f']
    return {
      job,
      told:
        state === undefined ? undefined : { id: String(n), status: state, result: undefined, intermediate: undefined },
    }
  })
}

describe('several nodes are seen behind one address', () => {
  for (const known of ['r', 's', 'f']) {
    test(`when a job is known again after it was unknown, its state being ${known}`, () => {
      const turns = new AnswersInTurn()
      const jobs = jobsAt(100)
      assert.equal(turns.observe(answer(jobs, '-'), 101), false)
      assert.equal(turns.observe(answer(jobs, known), 102), true)
    })
  }

  test('when of jobs accepted within a second an older one runs and a younger one is unknown, in two looks a second apart', () => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(100, 100.2, 100.4)
    assert.equal(turns.observe(answer(jobs, '-r-'), 101), false)
    assert.ok(turns.doubts(jobs[2]!))
    assert.ok(!turns.doubts(jobs[0]!))
    assert.equal(turns.observe(answer(jobs, '-r-'), 101.3), false)
    assert.equal(turns.observe(answer(jobs, '-r-'), 102), true)
  })

  test('also where the older one has ended between the two looks', () => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(100, 100.2)
    turns.observe(answer(jobs, 'r-'), 101)
    assert.equal(turns.observe(answer(jobs.slice(1), '-'), 102), true)
  })

  test('until ten minutes of answers have known every job', () => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(100)
    turns.observe(answer(jobs, '-'), 101)
    for (let n = 0; n < 600; n++) assert.equal(turns.observe(answer(jobs, 'r'), 102 + n), true)
    assert.equal(turns.observe(answer(jobs, 'r'), 702), false)
  })

  test('and each unknown job starts these ten minutes again', () => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(100)
    turns.observe(answer(jobs, '-'), 101)
    for (let n = 0; n < 500; n++) turns.observe(answer(jobs, 'r'), 102 + n)
    turns.observe(answer(jobs, '-'), 602)
    for (let n = 0; n < 500; n++) assert.equal(turns.observe(answer(jobsAt(600), 'r'), 603 + n), true)
  })
})

describe('a single node is seen', () => {
  /** Looks a second apart, each with the states of the same jobs. */
  const looks = (seconds: number[], ...states: string[]): boolean[] => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(...seconds)
    return states.map((state, n) => turns.observe(answer(jobs, state), 102 + n))
  }

  test('when it forgets everything that ran before one moment, as a restart does', () => {
    assert.deepEqual(looks([100, 100.3, 100.6, 100.9], '--rr', '--rr', '--rr'), [false, false, false])
  })

  test('when jobs that had ended survive its restart', () => {
    assert.deepEqual(looks([100, 100.3, 100.6, 100.9], 's-s-', '----', '----'), [false, false, false])
  })

  test('when it forgets a job long after an older one that it still runs', () => {
    assert.deepEqual(looks([90, 100], 'r-', 'r-', 'r-'), [false, false, false])
  })

  test('when its record of a running job expires and the job is known again at its end', () => {
    const turns = new AnswersInTurn()
    const jobs = jobsAt(100)
    turns.observe(answer(jobs, '-'), 1001)
    assert.equal(turns.observe(answer(jobs, 's'), 1002), false)
  })
})
