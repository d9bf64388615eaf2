/** What lets waiting requests go on besides an answer: changes of the fleet. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entryOf, gatewayForServices, startGateway } from '../../kit/builders/gateways.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { startHeldService } from '../../kit/heldService.ts'
import { request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { answerInTurn, ask, questions, queueUp, SELDOM, waitingIs } from './support.ts'

/** Resolves once the gateway has read a services file that names this service. */
async function isListed(gateway: Gateway, name: string): Promise<void> {
  const look = async (): Promise<boolean> =>
    (await request(`${gateway.url}/stats`))
      .json<{ services: { name: string }[] }>()
      .services.some((service) => service.name === name)
  await eventually(look, { what: `${name} in /stats` })
}

describe('requests that wait are sent at once', { concurrency: 2 }, () => {
  test('when the services file gives their service more places', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 1 })], SELDOM)
    void ask(gateway, { label: 'first' })
    const first = await service.next()
    await queueUp(gateway, questions('w', 3))
    await gateway.setServices([entryOf(service, { concurrency: 3 })])
    const held = await service.take(2)
    assert.deepEqual(
      held.map(({ label }) => label),
      ['w1', 'w2'],
    )
    await waitingIs(gateway, 1)
    assert.equal(service.running, 3)
    first.answer()
    assert.equal((await service.next()).label, 'w3')
  })

  test('when the services file takes the number of places away', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 1 })], SELDOM)
    void ask(gateway, { label: 'first' })
    await service.next()
    await queueUp(gateway, questions('w', 3))
    await gateway.setServices([entryOf(service)])
    await service.take(3)
    await waitingIs(gateway, 0)
  })

  test('when a service is added that can take them', async (t) => {
    const [one, two] = await Promise.all([startHeldService(t), startHeldService(t)])
    const gateway = await gatewayForServices(t, [entryOf(one, { concurrency: 1 })], SELDOM)
    void ask(gateway, { label: 'first' })
    await one.next()
    await queueUp(gateway, questions('w', 3))
    await gateway.setServices([one, two].map((service) => entryOf(service, { concurrency: 1 })))
    assert.deepEqual(await answerInTurn(two, 3), ['w1', 'w2', 'w3'])
    assert.equal(one.running, 1)
  })

  test('when a drained service may have work again', async (t) => {
    const [one, two] = await Promise.all([startHeldService(t), startHeldService(t)])
    const key = 'operators-7351'
    const headers = { Authorization: `Bearer ${key}` }
    const gateway = await startGateway(t, {
      services: [entryOf(one, { concurrency: 1 }), entryOf(two, { concurrency: 1, name: 'two' })],
      env: { ...SELDOM, OPS_KEY: key },
    })
    const command = async (what: 'drain' | 'undrain'): Promise<void> => {
      const { status, text } = await request(`${gateway.url}/admin/nodes/two/${what}`, { method: 'POST', headers })
      assert.equal(status, 200, text)
    }
    await command('drain')
    void ask(gateway, { label: 'first' })
    await one.next()
    const waited = ask(gateway, { label: 'waited' })
    await waitingIs(gateway, 1, headers)
    await command('undrain')
    assert.deepEqual(await answerInTurn(two, 1), ['waited'])
    assert.equal((await waited).status, 200)
  })
})

test('a service that is given fewer places gets no more until it is below them', async (t) => {
  const [service, marker] = await Promise.all([startHeldService(t), startHeldService(t, { models: ['other'] })])
  const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 3 })], SELDOM)
  for (const question of questions('a', 3)) void ask(gateway, question)
  const held = await service.take(3)
  await gateway.setServices([entryOf(service, { concurrency: 1 }), entryOf(marker, { name: 'marker' })])
  await isListed(gateway, 'marker')
  await queueUp(gateway, questions('w', 1))
  for (const each of held.slice(0, 2)) {
    each.answer()
    await eventually(async () => service.running < 3)
  }
  await waitingIs(gateway, 1)
  assert.equal(service.taken.length, 3)
  held[2]!.answer()
  assert.deepEqual(await answerInTurn(service, 1), ['w1'])
})
