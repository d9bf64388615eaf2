import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from '../../src/fleet/pace.ts'

test('a burst begins at once, and what comes after it waits in order', async () => {
  const pace = new Pace({ perSecond: 50, burst: 3 })
  // An unreferenced timer alone does not keep a test alive.
  const alive = setInterval(() => undefined, 1000)
  assert.deepEqual([pace.turn(), pace.turn(), pace.turn()], [undefined, undefined, undefined])
  const startedAt = performance.now()
  const order: number[] = []
  await Promise.all([1, 2, 3].map(async (n) => pace.turn()?.then(() => order.push(n))))
  assert.deepEqual(order, [1, 2, 3])
  // Three turns at fifty a second; a moment less, for turns are counted from before the first wait.
  assert.ok(performance.now() - startedAt >= 40)
  clearInterval(alive)
})

test('turns that were not used are kept, up to the burst', async () => {
  const pace = new Pace({ perSecond: 1e6, burst: 2 })
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(pace.turn(), undefined)
  assert.equal(pace.turn(), undefined)
})
