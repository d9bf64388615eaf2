import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CallBudget } from '../../../src/jobs/follow/budget.ts'

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

  test('are never put off beyond what a timer holds', () => {
    const budget = new CallBudget()
    budget.observe(200, { 'ratelimit-limit': '2', 'ratelimit-remaining': '1', 'ratelimit-reset': '99999999999' }, 0)
    assert.ok(budget.nextCallAt <= 3600)
    budget.observe(429, { 'retry-after': '99999999999' }, 0)
    assert.ok(budget.nextCallAt <= 3600)
  })
})
