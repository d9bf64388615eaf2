/** How many requests a service gets at once where its entry does not say. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startHeldService } from '../../kit/heldService.ts'
import type { Gateway } from '../../kit/gateway.ts'
import type { Held, HeldService } from '../../kit/heldService.ts'
import type { Answer } from '../../kit/http.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { inFlightIs } from '../openai/support.ts'
import { answerInTurn, ask, caller, questions, queueUp, SELDOM, waitingIs } from './support.ts'

const OFTEN = { REFRESH_INTERVAL: '0.2' }
const IDLE = { running: 0, waiting: 0 }

/** Resolves once the gateway has asked for the load at least twice more: the second question came after the first one was read. */
async function pollsRead(service: HeldService): Promise<void> {
  const before = service.looks
  await eventually(() => service.looks >= before + 2)
}

/** A service that has a request, shows that another waits in it, and for which two more wait in the gateway: `b1` and `b2`. */
async function closedByItsLoad(t: Cleanup): Promise<{ service: HeldService; gateway: Gateway; first: Held }> {
  const service = await startHeldService(t, { load: IDLE })
  const gateway = await gatewayForServices(t, [entryOf(service)], OFTEN)
  void ask(gateway, { label: 'a1', ...caller(1) })
  const first = await service.next()
  service.load = { running: 1, waiting: 1 }
  await pollsRead(service)
  await queueUp(gateway, questions('b', 2, caller(2)))
  return { service, gateway, first }
}

describe('a service that tells its load at /metrics', { concurrency: 2 }, () => {
  test('gets no more while requests wait in it, and more when none does', async (t) => {
    const { service, gateway, first } = await closedByItsLoad(t)
    service.load = { running: 1, waiting: 0 }
    const next = await service.next()
    assert.equal(next.label, 'b1')
    next.answer()
    assert.deepEqual(await answerInTurn(service, 1), ['b2'])
    first.answer()
    await inFlightIs(gateway, service, 0)
  })

  test('gets one all the same while it has none of ours, however many of others wait there', async (t) => {
    const service = await startHeldService(t, { load: { running: 40, waiting: 20 } })
    const gateway = await gatewayForServices(t, [entryOf(service)], OFTEN)
    await pollsRead(service)
    const answering = ask(gateway, { label: 'a1', ...caller(1) })
    await service.next()
    await queueUp(gateway, [{ label: 'a2', ...caller(1) }])
    assert.equal(service.running, 1)
    void answering
  })

  test('is not full because its metrics are gone: what waits is sent', async (t) => {
    const { service, first } = await closedByItsLoad(t)
    service.load = undefined
    assert.deepEqual(await answerInTurn(service, 2), ['b1', 'b2'])
    first.answer()
  })
})

describe('a service that tells neither its `concurrency` nor its load', { concurrency: 2 }, () => {
  test('gets all requests at once', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], SELDOM)
    const answering = questions('a', 30).map((question) => ask(gateway, question))
    const held = await service.take(30)
    assert.equal(service.running, 30)
    await waitingIs(gateway, 0)
    for (const each of held) each.answer()
    for (const answer of await Promise.all(answering)) assert.equal(answer.status, 200)
  })

  test('gets no more than it had in flight after 429s to several callers, and later more again', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], SELDOM)
    const first = questions('a', 4, caller(1)).map((question) => ask(gateway, question))
    const held = await service.take(4)
    const refused = ask(gateway, { label: 'refused', ...caller(2) })
    const fifth = await service.next()
    fifth.fail(429, { 'retry-after': '1' })
    assert.equal((await refused).status, 429)
    // One may have used up its quota: only if another hears the same is the service full.
    const refusedToo = ask(gateway, { label: 'refused too', ...caller(5) })
    const sixth = await service.next()
    sixth.fail(429, { 'retry-after': '1' })
    assert.equal((await refusedToo).status, 429)
    // The caller that was refused, and others that were not.
    const others = await queueUp(gateway, [
      { label: 'o2', ...caller(2) },
      { label: 'o3', ...caller(3) },
      { label: 'o4', ...caller(4) },
    ])
    assert.equal(service.running, 4)
    held[0]!.answer()
    const next = await service.next()
    assert.equal(service.running, 4)
    for (const each of [...held.slice(1), next]) each.answer()
    await answerInTurn(service, 2)
    for (const answer of [...(await Promise.all(first)), ...(await others.answers())]) {
      assert.equal(answer.status, 200, answer.text)
    }

    const later: Promise<Answer>[] = []
    const send = (): void => void later.push(ask(gateway, { label: `l${later.length}`, ...caller(6) }))
    for (let n = 0; n < 20; n++) send()
    // There is always one that waits, and now and then one that has been served.
    const grown = async (): Promise<boolean> => {
      if (service.running >= 8) return true
      const each = await service.next()
      each.answer()
      send()
      return false
    }
    await eventually(grown, { withinMs: 60_000, everyMs: 100, what: 'eight at once' })
    service.serve()
    for (const answer of await Promise.all(later)) assert.equal(answer.status, 200, answer.text)
  })
})
