import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBudget } from '../../../src/base/memory/budget.ts'

describe('a budget of 400 bytes', () => {
  test('lets one caller hold a quarter, over all of its reservations', () => {
    const budget = new MemoryBudget(400)
    const first = budget.open('a')
    const second = budget.open('a')
    assert.equal(first.grow(60), undefined)
    assert.equal(second.grow(40), undefined)
    const refusal = second.grow(1)
    assert.equal(refusal?.scope, 'caller')
    assert.deepEqual(refusal.params, { max_bytes: 100 })
    assert.equal(budget.usedBytes, 100)
    first.shrink(10)
    assert.equal(second.grow(10), undefined)
  })

  test('refuses everybody once all of it is in use, and says so', () => {
    const budget = new MemoryBudget(400)
    const held = ['a', 'b', 'c', 'd'].map((caller) => budget.open(caller))
    for (const one of held) assert.equal(one.grow(100), undefined)
    assert.equal(budget.open('e').grow(1)?.scope, 'budget')
    held[0]?.release()
    assert.equal(budget.open('e').grow(1), undefined)
    assert.deepEqual(budget.refusals, { caller: 0, budget: 1, own: 0 })
  })

  test('gets everything back once, however often a reservation is released or used after it', () => {
    const budget = new MemoryBudget(400)
    const one = budget.open('a')
    one.grow(50)
    one.growAnyway(500)
    one.release()
    one.release()
    one.shrink(10)
    one.grow(10)
    one.growAnyway(10)
    assert.equal(budget.usedBytes, 0)
    assert.equal(budget.callers.size, 0)
    assert.equal(budget.open('a').grow(100), undefined)
  })

  test('knows a caller only as long as it has reservations', () => {
    const budget = new MemoryBudget(400)
    const open = Array.from({ length: 1000 }, (_, i) => budget.open(`caller ${i % 100}`))
    assert.equal(budget.callers.size, 100)
    for (const one of open) one.release()
    assert.equal(budget.callers.size, 0)
  })

  test('bounds own calls apart, except for the one that began first', () => {
    const budget = new MemoryBudget(400)
    budget.open('a').grow(100)
    const [first, second, third] = [budget.openOwn('jobs'), budget.openOwn('jobs'), budget.openOwn('jobs')]
    assert.equal(first.grow(60), undefined)
    assert.equal(second.grow(40), undefined)
    assert.equal(third.grow(1)?.scope, 'own')
    const poll = budget.openOwn('polls')
    assert.equal(poll.grow(100), undefined)
    poll.release()
    assert.equal(second.grow(1)?.scope, 'own')
    assert.equal(first.grow(1000), undefined)
    first.release()
    assert.equal(second.grow(1000), undefined)
    second.release()
    assert.equal(budget.ownBytes, 0)
    assert.equal(budget.usedBytes, 100)
  })
})
