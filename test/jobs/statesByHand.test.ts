import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatesByHand } from '../../src/jobs/statesByHand.ts'
import { sharedLedger } from '../lookup/sharedLedger.ts'

const found = async (states: StatesByHand, ...ids: string[]): Promise<object> =>
  Object.fromEntries(await states.find(ids))

test('a gateway alone with its ledger tells a state at once', async () => {
  const states = new StatesByHand(sharedLedger())
  assert.equal(await states.publish('a', 'failed'), true)
  assert.deepEqual(await found(states, 'a'), {})
})

test('gateways that share a ledger tell the same, also one that had just looked whether there are any', async () => {
  const ledger = sharedLedger({ isShared: true })
  const [here, there] = [new StatesByHand(ledger), new StatesByHand(ledger)]
  assert.deepEqual(await found(there, 'a'), {})
  const publishing = here.publish('a', 'failed')
  assert.equal(await here.publish('a', 'failed'), false, 'it is under way')
  assert.deepEqual(await found(there, 'a'), {})
  assert.equal(await publishing, true)
  assert.deepEqual(await found(there, 'a', 'b'), { a: 'failed' })
  assert.equal(await here.publish('b', 'success'), true)
  assert.deepEqual(await found(there, 'a', 'b'), { a: 'failed', b: 'success' })
  ledger.isAway = true
  assert.equal(await here.publish('c', 'success'), false)
  assert.deepEqual(await found(there, 'a'), {})
})
