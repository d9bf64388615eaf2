import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CallBudget, Cooldowns } from '../../src/fleet/politeness.ts'

/** What a node with 60 calls a minute says when so many are left. */
const left = (remaining: number): Record<string, string> => ({
  'ratelimit-limit': '60',
  'ratelimit-remaining': String(remaining),
  'ratelimit-reset': String(60 - remaining),
})

describe('calls to a node', () => {
  test('may be made at any time while there is enough of its budget', () => {
    const budget = new CallBudget()
    assert.ok(budget.nextCallAt <= 0)
    budget.observe(200, left(30), 100)
    assert.ok(budget.nextCallAt <= 100)
  })

  test('come at the pace of the budget when it is nearly used up', () => {
    const budget = new CallBudget()
    budget.observe(200, left(3), 100)
    assert.ok(budget.nextCallAt > 101 && budget.nextCallAt < 101.2, String(budget.nextCallAt))
    budget.observe(200, left(30), 110)
    assert.ok(budget.nextCallAt <= 110)
  })

  test('wait after a 429 for as long as the node says, from then on', () => {
    const budget = new CallBudget()
    budget.observe(429, { 'retry-after': '7' }, 100)
    assert.equal(budget.nextCallAt, 107)
  })

  test('may follow each other at once only as far as the budget bears, and one always may', () => {
    const budget = new CallBudget()
    assert.equal(budget.burst, Infinity)
    budget.observe(200, left(30), 0)
    assert.equal(budget.burst, 25)
    budget.observe(200, left(2), 0)
    assert.equal(budget.burst, 1)
  })

  test('are not limited by a node that names no budget, or nonsense', () => {
    const nonsense = { 'ratelimit-limit': 'many', 'ratelimit-remaining': 'some', 'ratelimit-reset': 'soon' }
    const budget = new CallBudget()
    for (const headers of [{}, nonsense]) {
      budget.observe(200, left(0), 100)
      budget.observe(200, headers, 100)
      assert.ok(budget.nextCallAt <= 100)
      assert.equal(budget.burst, Infinity)
    }
  })

  test('that can wait are not made from the reserve, which a 429 does not change', () => {
    const budget = new CallBudget(3)
    assert.ok(budget.hasSpareCalls)
    budget.observe(200, left(2), 0)
    assert.ok(!budget.hasSpareCalls)
    budget.observe(429, { ...left(0), 'retry-after': '7' }, 0)
    assert.ok(budget.hasSpareCalls)
    assert.equal(budget.notBefore, 7)
  })

  test('are never put off beyond what a timer holds', () => {
    const budget = new CallBudget()
    budget.observe(200, { 'ratelimit-limit': '2', 'ratelimit-remaining': '1', 'ratelimit-reset': '99999999999' }, 0)
    assert.ok(budget.nextCallAt <= 3600)
    budget.observe(429, { 'retry-after': '99999999999' }, 0)
    assert.ok(budget.nextCallAt <= 3600)
  })
})

describe('what a backend wants no more of', () => {
  test('waits until its time is over, and nothing else does', () => {
    const cooldowns = new Cooldowns()
    cooldowns.set('jobs of one', 17, 10)
    assert.equal(cooldowns.secondsLeft('jobs of one', 12), 5)
    assert.equal(cooldowns.secondsLeft('jobs of another', 12), 0)
    assert.equal(cooldowns.secondsLeft('jobs of one', 17), 0)
  })

  test('is kept in bounded memory, of which those that are over make room', () => {
    const cooldowns = new Cooldowns()
    for (let n = 0; n < 10_000; n++) cooldowns.set(`caller ${n}`, 20, 10)
    cooldowns.set('one more', 20, 10)
    assert.equal(cooldowns.secondsLeft('one more', 11), 0)
    cooldowns.set('one more', 40, 30)
    assert.equal(cooldowns.secondsLeft('one more', 31), 9)
  })
})
