import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestIndexes } from '../../../src/lookup/tickets/requestIndexes.ts'
import { sharedLedger } from '../sharedLedger.ts'

const REQUEST = { caller: 'key:a', worker: 'http://10.0.0.1:80' }

test('a request is known to its caller alone, and for as long as its client says, five minutes at most', async () => {
  let now = 0
  const indexes = new RequestIndexes(sharedLedger(), () => now)
  const index = await indexes.next()
  assert.equal(index, 1)
  await indexes.note(index, REQUEST, 60)
  assert.deepEqual((await indexes.find(index, 'key:a'))?.worker, REQUEST.worker)
  assert.equal(await indexes.find(index, 'key:b'), undefined)
  assert.equal(await indexes.find(index + 1, 'key:a'), undefined)
  now = 60
  assert.equal(await indexes.find(index, 'key:a'), undefined)
  await indexes.note(index, REQUEST, 86_400)
  now += 299
  assert.ok(await indexes.find(index, 'key:a'))
  now += 1
  assert.equal(await indexes.find(index, 'key:a'), undefined)
})

test('gateways that share a ledger know each other’s requests; while it is away, only their own', async () => {
  const ledger = sharedLedger({ isShared: true })
  const [here, there] = [new RequestIndexes(ledger, () => 0), new RequestIndexes(ledger, () => 0)]
  assert.deepEqual([await here.next(), await there.next()], [1, 2])
  await here.note(1, REQUEST)
  assert.deepEqual(await there.find(1, 'key:a'), REQUEST)
  assert.equal(await there.find(1, 'key:b'), undefined)
  ledger.isAway = true
  await here.note(1, { ...REQUEST, worker: 'other' })
  assert.equal((await here.find(1, 'key:a'))?.worker, 'other')
  assert.equal(await there.find(1, 'key:a'), undefined)
})

test('of very many requests those that came last are known', async () => {
  const indexes = new RequestIndexes(sharedLedger(), () => 0)
  for (let index = 1; index <= 20_001; index++) await indexes.note(index, REQUEST)
  assert.equal(await indexes.find(1, 'key:a'), undefined)
  assert.ok(await indexes.find(2, 'key:a'))
  assert.ok(await indexes.find(20_001, 'key:a'))
})
