import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OldestFirst } from '../../../src/ledger/memory/oldestFirst.ts'

test('the oldest is at hand, whatever was added and removed before', () => {
  const values: number[] = []
  const order = new OldestFirst<number>()
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 48271) % 0x7fffffff
    return seed % below
  }
  for (let step = 0; step < 20_000; step++) {
    // Empty now and then, and with hundreds in between.
    const grows = Math.floor(step / 500) % 2 === 0
    if (random(10) < (grows ? 7 : 2)) {
      order.add(step)
      values.push(step)
    } else {
      const place = random(4) === 0 ? random(Math.max(1, values.length)) : 0
      const [removed] = values.splice(place, 1)
      if (removed !== undefined) order.delete(removed)
    }
    if (random(3) === 0) assert.equal(order.oldest, values[0])
    assert.equal(order.count, values.length)
  }
})
