import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EndTimes } from '../../../src/jobs/follow/endTimes.ts'
import { nextAge } from '../../../src/jobs/follow/pace.ts'

/** Jobs that ended at these ages, and were looked at 20 ms before. */
function afterEndsAt(...ages: readonly number[]): EndTimes {
  const times = new EndTimes()
  for (const age of ages) times.saw('echo', age + 0.01, 0.02)
  return times
}

test('where nothing is known a job is looked at as soon as it may be', () => {
  assert.equal(new EndTimes().bestAge('echo', 0), nextAge(0))
  assert.equal(afterEndsAt(2, 2, 2).bestAge('echo', 0), nextAge(0))
})

test('where jobs end at much the same age, the first look is a little after it', () => {
  const best = afterEndsAt(2, 2.01, 1.99, 2.02, 2).bestAge('echo', 0)
  assert.ok(best > 2 && best < 2.15, `at ${best}`)
})

test('where jobs end at any age, all looks are as soon as they may be, or nearly', () => {
  const best = afterEndsAt(0.06, 0.2, 0.4, 0.7, 1.1, 1.7, 2.5, 4).bestAge('echo', 0)
  assert.ok(best < 0.3, `at ${best}`)
})

test('a job that outlives the others is looked at as soon as it may be', () => {
  assert.equal(afterEndsAt(2, 2, 2, 2).bestAge('echo', 2.1), nextAge(2.1))
})

test('an end that was not seen for long tells nothing', () => {
  const times = new EndTimes()
  for (let n = 0; n < 10; n++) times.saw('echo', 2, 1)
  assert.equal(times.bestAge('echo', 0), nextAge(0))
})

test('each kind of work has its own ages, of which the latest eight count', () => {
  const times = afterEndsAt(2, 2, 2, 2)
  assert.equal(times.bestAge('other', 0), nextAge(0))
  for (let n = 0; n < 8; n++) times.saw('echo', 1, 0.02)
  const best = times.bestAge('echo', 0)
  assert.ok(best > 0.9 && best < 1.1, `at ${best}`)
})
