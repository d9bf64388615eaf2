import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CallerBudgets } from '../../src/http/callerBudgets.ts'

/** Budgets of ten a minute, so that one request is refilled every six seconds, on a clock that the test sets, in seconds. */
function tenAMinute(maxCallers?: number) {
  const clock = { seconds: 1000 }
  const now = () => clock.seconds * 1000
  return { clock, budgets: new CallerBudgets({ perMinute: 10, now, ...(maxCallers && { maxCallers }) }) }
}

describe('the budget of a caller', () => {
  test('lets a whole minute’s worth pass at once, and then one for each part of a minute', () => {
    const { clock, budgets } = tenAMinute()
    for (let left = 9; left >= 0; left--) assert.equal(budgets.take('a').remaining, left)
    assert.deepEqual(budgets.take('a'), { isAdmitted: false, remaining: 0, retryMs: 6000, fullMs: 60_000 })
    clock.seconds += 5.9
    assert.equal(budgets.take('a').isAdmitted, false)
    clock.seconds += 0.1
    assert.equal(budgets.take('a').isAdmitted, true)
    assert.equal(budgets.take('a').isAdmitted, false)
    clock.seconds += 60
    assert.equal(budgets.take('a').remaining, 9)
  })

  test('holds no more than a minute’s worth, however long nothing was asked for', () => {
    const { clock, budgets } = tenAMinute()
    budgets.take('a')
    clock.seconds += 100_000
    assert.equal(budgets.take('a', 10).isAdmitted, true)
    assert.equal(budgets.take('a').isAdmitted, false)
  })

  test('gives all of what is asked for, or nothing and the time when all of it passes', () => {
    const { clock, budgets } = tenAMinute()
    assert.equal(budgets.take('a', 8).remaining, 2)
    assert.equal(budgets.take('a', 5).retryMs, 3 * 6000)
    assert.equal(budgets.take('a', 2).remaining, 0)
    clock.seconds += 5 * 6
    assert.equal(budgets.take('a', 5).isAdmitted, true)
  })

  test('takes back what was not used', () => {
    const { budgets } = tenAMinute()
    budgets.take('a', 10)
    budgets.giveBack('a', 4)
    assert.equal(budgets.take('a', 4).isAdmitted, true)
    assert.equal(budgets.take('a').isAdmitted, false)
  })

  test('that is charged more than it has is in debt, and nothing passes until that is paid off', () => {
    const { clock, budgets } = tenAMinute()
    budgets.take('a', 5)
    budgets.charge('a', 25)
    // 30 of 10 are used, so that one passes when 21 have been refilled.
    assert.deepEqual(budgets.take('a'), { isAdmitted: false, remaining: 0, retryMs: 21 * 6000, fullMs: 30 * 6000 })
    clock.seconds += 20 * 6
    assert.equal(budgets.take('a').retryMs, 6000)
    clock.seconds += 6
    assert.equal(budgets.take('a').isAdmitted, true)
    assert.equal(budgets.take('a').isAdmitted, false)
  })

  test('gets back what it was charged too much, in debt too, and is never more than full', () => {
    const { budgets } = tenAMinute()
    budgets.charge('a', 25)
    budgets.giveBack('a', 20)
    assert.equal(budgets.take('a', 5).remaining, 0)
    budgets.giveBack('a', 1000)
    assert.equal(budgets.take('a').remaining, 9)
  })

  test('owes what an hour refills at most', () => {
    const { budgets } = tenAMinute()
    budgets.charge('a', 10_000_000)
    assert.equal(budgets.take('a', 10).retryMs, 3_660_000)
    budgets.charge('a', 10_000_000)
    assert.equal(budgets.take('a', 10).retryMs, 3_660_000)
  })

  test('is never short of a request for the rounding of fractions', () => {
    for (const perMinute of [1, 3, 7, 11, 60, 97, 600, 6007, 100_003]) {
      const budgets = new CallerBudgets({ perMinute, now: () => 123_456_789.123 })
      const most = Math.min(perMinute, 6007)
      budgets.take('a', perMinute - most)
      for (let i = 1; i <= most; i++) assert.equal(budgets.take('a').isAdmitted, true, `${perMinute}: ${i}`)
      assert.equal(budgets.take('a').isAdmitted, false, String(perMinute))
    }
  })
})

describe('a flood of callers', () => {
  const MOST = 100

  test('never makes more of them remembered than allowed', () => {
    const { budgets } = tenAMinute(MOST)
    for (let i = 0; i < 50 * MOST; i++) {
      assert.equal(budgets.take(`caller ${i}`).isAdmitted, true)
      assert.ok(budgets.size <= MOST)
    }
  })

  test('gives nobody who has used a budget up a fresh one', () => {
    const { budgets } = tenAMinute(MOST)
    const greedy = Array.from({ length: MOST / 2 }, (_, i) => `greedy ${i}`)
    for (const caller of greedy) budgets.take(caller, 10)
    for (let i = 0; i < 50 * MOST; i++) budgets.take(`caller ${i}`)
    for (const caller of greedy) assert.equal(budgets.take(caller).isAdmitted, false, caller)
  })

  test('costs the memory of nobody whose budget is not full while others can be forgotten', () => {
    const { clock, budgets } = tenAMinute(MOST)
    for (let i = 0; i < MOST - 1; i++) budgets.take(`idle ${i}`)
    clock.seconds += 6
    assert.equal(budgets.take('active', 2).remaining, 8)
    for (let i = 0; i < MOST / 2; i++) budgets.take(`caller ${i}`)
    assert.equal(budgets.take('active').remaining, 7)
  })
})
