import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startHeldService } from '../../kit/heldService.ts'
import { assertError } from '../support.ts'
import { answerInTurn, ask, assertRetryAfter, caller, questions, queueUp, SELDOM } from './support.ts'

test('a gateway that is told to stop serves what waits, within DRAIN_TIMEOUT, and turns new requests away', async (t) => {
  const service = await startHeldService(t)
  const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 1 })], SELDOM)
  const first = ask(gateway, { label: 'first' })
  const held = await service.next()
  const waited = await queueUp(gateway, questions('w', 3, caller(1)))
  gateway.signal('SIGTERM')
  await gateway.waitForLog((line) => line.message === 'draining')
  const late = await ask(gateway, { label: 'late', ...caller(2) })
  assertError(late, 503)
  assertRetryAfter(late)
  held.answer()
  assert.deepEqual(await answerInTurn(service, 3), ['w1', 'w2', 'w3'])
  for (const answer of [await first, ...(await waited.answers())]) assert.equal(answer.status, 200)
  assert.deepEqual(await gateway.exited, { code: 0, signal: null })
  assert.deepEqual(service.taken, ['first', 'w1', 'w2', 'w3'])
})

test('what still waits when DRAIN_TIMEOUT is over is refused in words, in the queue and for a backend that is away', async (t) => {
  const [busy, away] = [
    await startHeldService(t, { models: ['busy'] }),
    await startHeldService(t, { models: ['away'] }),
  ]
  const entries = [entryOf(busy, { concurrency: 1 }), entryOf(away, { concurrency: 1 })]
  const env = { ...SELDOM, DRAIN_TIMEOUT: '1', OUTAGE_WAIT: '20' }
  const gateway = await gatewayForServices(t, entries, env)
  void ask(gateway, { label: 'first', model: 'busy' }).catch(() => undefined)
  await busy.next()
  const inQueue = await queueUp(gateway, questions('w', 2, { model: 'busy', ...caller(1) }))
  away.refuse()
  const forAway = await queueUp(gateway, [{ label: 'away', model: 'away', ...caller(2) }])
  gateway.signal('SIGTERM')
  for (const answer of [...(await inQueue.answers()), ...(await forAway.answers())]) {
    assertError(answer, 503)
    assertRetryAfter(answer)
  }
  await gateway.exited
  assert.deepEqual(busy.taken, ['first'])
})
