import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withTimeout } from '../../src/base/withTimeout.ts'

test('work that ends in time is waited for, and its error is passed on', async () => {
  assert.equal(await withTimeout(Promise.resolve('done'), 60), true)
  await assert.rejects(withTimeout(Promise.reject(new Error('broken')), 60), /broken/)
})

test('work that lasts longer is not waited for, and its late error disturbs nobody', async () => {
  const { promise, reject } = Promise.withResolvers<void>()
  assert.equal(await withTimeout(promise, 0.001), false)
  reject(new Error('too late'))
  await new Promise((resolve) => setImmediate(resolve))
})

test('once the work has ended no timer is left behind', async () => {
  await withTimeout(Promise.resolve(), 60)
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'))
})
