import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { newKeyPem } from '../../../src/lookup/tickets/keys.ts'
import { SharedTicketKeys } from '../../../src/lookup/tickets/sharedKeys.ts'
import { eventually } from '../../kit/wait.ts'
import { ScriptedValues } from '../../replicas/scriptedValues.ts'

const NAME = 'ticket-key:'

async function opened(t: TestContext, values: ScriptedValues) {
  const errors: string[] = []
  const ignore = () => undefined
  const logger = { debug: ignore, info: ignore, warn: ignore, error: (message: string) => void errors.push(message) }
  const keys = await SharedTicketKeys.open(values, logger)
  t.after(() => keys.close())
  return { keys, errors }
}

test('all gateways sign with one key, however many start at once', async (t) => {
  const values = new ScriptedValues()
  const all = await Promise.all(Array.from({ length: 3 }, () => opened(t, values)))
  assert.equal(new Set(all.map(({ keys }) => keys.publicKeyPem)).size, 1)
  assert.equal(new Set(await Promise.all(all.map(({ keys }) => keys.sign('text')))).size, 1)
})

test('a gateway that starts without the store has the key once it is there; until then what needs it gets 503', async (t) => {
  const values = new ScriptedValues()
  values.isAway = true
  const { keys, errors } = await opened(t, values)
  const fault = { code: 'ERR_LEDGER', headers: { 'Retry-After': '5' } }
  assert.throws(() => keys.publicKeyPem, fault)
  await assert.rejects(keys.sign('text'), fault)
  values.isAway = false
  await eventually(() => keys.publicKeyPem, { what: 'the key' })
  assert.deepEqual(errors, [])
})

test('a key that is known needs no store', async (t) => {
  const values = new ScriptedValues()
  const { keys } = await opened(t, values)
  const calls = values.calls
  values.isAway = true
  await keys.sign('text')
  assert.equal(values.calls, calls)
})

test('a store that has lost the key gets it back, unless another gateway has set one since', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const values = new ScriptedValues()
  const { keys } = await opened(t, values)
  const publicKey = keys.publicKeyPem
  const pem = values.kept.get(NAME)!
  values.kept.clear()
  t.mock.timers.tick(30_000)
  const { keys: later } = await opened(t, values)
  assert.deepEqual(values.kept.get(NAME), pem)
  assert.equal(later.publicKeyPem, publicKey)
  values.kept.set(NAME, Buffer.from(await newKeyPem()))
  t.mock.timers.tick(30_000)
  const { keys: newest } = await opened(t, values)
  assert.notEqual(newest.publicKeyPem, publicKey)
  assert.equal(keys.publicKeyPem, newest.publicKeyPem)
})

test('what is no key is reported once, left as it is, and does not end the gateway', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const values = new ScriptedValues()
  values.kept.set(NAME, Buffer.from('no key'))
  const { keys, errors } = await opened(t, values)
  for (let i = 0; i < 3; i++) {
    t.mock.timers.tick(500)
    await turn()
  }
  assert.deepEqual(errors, ['ticket key cannot be used'])
  assert.throws(() => keys.publicKeyPem, { code: 'ERR_LEDGER' })
  assert.equal(values.kept.get(NAME)?.toString(), 'no key')
})
