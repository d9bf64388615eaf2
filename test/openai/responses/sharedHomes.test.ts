import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ResponseHomes } from '../../../src/openai/responses/homes.ts'
import { ScriptedValues } from '../../replicas/scriptedValues.ts'

const HOME = { nodeKey: 'a', caller: 'c' }

function twoGateways() {
  const values = new ScriptedValues()
  return { values, one: new ResponseHomes({ values }), other: new ResponseHomes({ values }) }
}

test('a gateway finds what another has seen being made, and then knows it itself', async () => {
  const { values, one, other } = twoGateways()
  one.remember('r', HOME)
  assert.deepEqual(await other.lookUp('r'), HOME)
  const calls = values.calls
  assert.equal((await other.lookUp('r'))?.nodeKey, 'a')
  assert.equal((await one.lookUp('r'))?.nodeKey, 'a')
  assert.equal(values.calls, calls)
})

test('what was deleted is deleted for all that do not know it', async () => {
  const { one, other } = twoGateways()
  one.remember('r', HOME)
  one.forget('r')
  assert.equal(await other.lookUp('r'), undefined)
})

test('a response whose caller was not seen is never told to others, for whom it may be a caller’s own', async () => {
  const { values, one, other } = twoGateways()
  one.remember('r', HOME)
  other.remember('r', { nodeKey: 'a', caller: undefined })
  await turn()
  assert.deepEqual(JSON.parse(String(values.kept.get('resp:r'))), ['a', 'c'])
})

test('a store that is away leaves what this gateway has seen', async () => {
  const { values, one, other } = twoGateways()
  values.isAway = true
  one.remember('r', HOME)
  assert.equal((await one.lookUp('r'))?.nodeKey, 'a')
  assert.equal(await other.lookUp('r'), undefined)
})

test('a store that does not answer holds nobody up for long, and gathers few changes', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { values, one } = twoGateways()
  values.isSilent = true
  const look = one.lookUp('unknown')
  t.mock.timers.tick(250)
  assert.equal(await look, undefined)
  for (let i = 0; i < 1000; i++) one.remember(`r${i}`, HOME)
  await turn()
  assert.ok(values.calls <= 201, String(values.calls))
})

test('an id that is longer than ids are is not asked for', async () => {
  const { values, one } = twoGateways()
  assert.equal(await one.lookUp('x'.repeat(257)), undefined)
  assert.equal(values.calls, 0)
})
