import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_CONSTANTS } from '../../../src/fleet/load/constants.ts'
import { UnseenLoad } from '../../../src/fleet/load/unseenLoad.ts'

/** Unseen load as it would be after polls. */
function load(jobs: number, steadyJobs = 0): UnseenLoad {
  return Object.assign(new UnseenLoad(), { jobs, steadyJobs })
}

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`)

test('below saturation unseen jobs end with the time constant of one service', () => {
  near(load(2).jobsAfter(5, 1, 5, 4), 2 * Math.exp(-1))
})

test('a saturated node works off its unseen jobs at its full rate, in proportion to their share', () => {
  // 12 jobs, 6 of them unseen; in 2 s two slots with 1 s a job work off 4 of the 12.
  near(load(6).jobsAfter(2, 6, 1, 2), 4)
})

test('once the queue is gone the rest ends exponentially', () => {
  // 12 jobs on 2 slots: after 5 s of 1 s services 2 are left, one of them unseen.
  near(load(6).jobsAfter(5, 6, 1, 2), 1)
  near(load(6).jobsAfter(6, 6, 1, 2), Math.exp(-1))
})

test('draining in steps is the same as draining at once while no job of ours comes or goes', () => {
  let jobs = 3
  for (let step = 0; step < 10; step++) jobs = load(jobs).jobsAfter(0.1, 0, 2, 4)
  near(jobs, load(3).jobsAfter(1, 0, 2, 4))
})

test('unseen load returns to its steady part from above and from below', () => {
  near(load(5, 2).jobsAfter(1000, 0, 1, 8), 2)
  near(load(0, 2).jobsAfter(1000, 0, 1, 8), 2)
  near(load(0, 2).jobsAfter(1, 0, 1, 8), 2 - 2 * Math.exp(-1))
})

test('a look-up counts at once', () => {
  const unseen = new UnseenLoad()
  unseen.expect(1)
  unseen.expect(2.5)
  assert.equal(unseen.jobs, 3.5)
})

test('load that every poll shows becomes the steady part', () => {
  const unseen = new UnseenLoad()
  for (let poll = 0; poll < 100; poll++) {
    unseen.drain(30, 0, 1, 3)
    unseen.observed(4, 30, 1, DEFAULT_CONSTANTS)
  }
  assert.ok(Math.abs(unseen.steadyJobs - 4) < 0.1, `${unseen.steadyJobs}`)
})

test('polls that follow each other closely say little about the steady part', () => {
  const unseen = new UnseenLoad()
  for (let poll = 0; poll < 10; poll++) {
    unseen.drain(0.1, 0, 30, 3)
    unseen.observed(4, 0.1, 30, DEFAULT_CONSTANTS)
  }
  assert.ok(unseen.steadyJobs < 0.1, `${unseen.steadyJobs}`)
})

test('what was looked up and is still there is no steady load', () => {
  const unseen = new UnseenLoad()
  for (let poll = 0; poll < 50; poll++) {
    unseen.drain(30, 0, 5, 3)
    for (let lookup = 0; lookup < 3; lookup++) unseen.expect(1)
    unseen.drain(0.5, 0, 5, 3)
    unseen.observed(unseen.jobs, 30.5, 5, DEFAULT_CONSTANTS)
  }
  assert.ok(unseen.steadyJobs < 0.1, `${unseen.steadyJobs}`)
})

test('fewer pending than our own means no unseen job, never a negative number', () => {
  const unseen = new UnseenLoad()
  unseen.observed(-3, 30, 1, DEFAULT_CONSTANTS)
  assert.equal(unseen.jobs, 0)
  assert.equal(unseen.steadyJobs, 0)
})
