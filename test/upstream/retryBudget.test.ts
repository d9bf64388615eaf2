import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetryBudget } from '../../src/upstream/retryBudget.ts'

function budgetAt(startSeconds = 1000): { budget: RetryBudget; pass: (seconds: number) => void } {
  let now = startSeconds
  return { budget: new RetryBudget(() => now), pass: (seconds) => (now += seconds) }
}

function takeAll(budget: RetryBudget): number {
  let taken = 0
  while (budget.take()) taken++
  return taken
}

test('ten retries are always allowed within ten seconds', () => {
  const { budget, pass } = budgetAt()
  assert.equal(takeAll(budget), 10)
  pass(8.9)
  assert.equal(takeAll(budget), 0)
  pass(1.1)
  assert.equal(takeAll(budget), 10)
})

test('beyond that one request in five may be retried', () => {
  const { budget, pass } = budgetAt()
  for (let i = 0; i < 500; i++) {
    budget.requested()
    pass(0.01)
  }
  assert.equal(takeAll(budget), 100)
  pass(30)
  assert.equal(takeAll(budget), 10)
})
