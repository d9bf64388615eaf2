import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LargestFirst } from '../../../src/ledger/memory/largestFirst.ts'

test('the largest is at hand, whatever was added, changed and removed before', () => {
  const sizes = new Map<string, number>()
  const order = new LargestFirst()
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 48271) % 0x7fffffff
    return seed % below
  }
  for (let step = 0; step < 20_000; step++) {
    const name = String(random(300))
    if (random(3) === 0) {
      order.delete(name)
      sizes.delete(name)
    } else {
      const size = random(1000)
      order.set(name, size)
      sizes.set(name, size)
    }
    assert.equal(order.count, sizes.size)
    const most = Math.max(...sizes.values())
    assert.equal(order.largest === undefined ? -Infinity : sizes.get(order.largest), most)
  }
})

test('taking them one by one tells them in order', () => {
  const order = new LargestFirst()
  for (const size of [3, 1, 4, 1, 5, 9, 2, 6]) order.set(`${size} ${order.count}`, size)
  const taken: number[] = []
  for (let name = order.largest; name !== undefined; name = order.largest) {
    taken.push(Number(name.split(' ')[0]))
    order.delete(name)
  }
  assert.deepEqual(taken, [9, 6, 5, 4, 3, 2, 1, 1])
  order.delete('unknown')
})
