/** Requests for different models, where one of them has a queue: none is held up by those before it that ask for another. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { startHeldService } from '../../kit/heldService.ts'
import type { HeldService } from '../../kit/heldService.ts'
import { answerInTurn, ask, caller, queueMs, questions, queueUp, SELDOM, waitingIs } from './support.ts'

const file = { after }
const services = async (...lists: string[][]): Promise<HeldService[]> =>
  Promise.all(lists.map((models) => startHeldService(file, { models })))
const entriesOf = (all: readonly HeldService[]): object[] => all.map((service) => entryOf(service, { concurrency: 1 }))

const [busy, idle, one, both, ...three] = (await services(
  ['busy'],
  ['idle'],
  ['one'],
  ['one', 'two'],
  ...Array.from({ length: 3 }, () => ['three']),
)) as [HeldService, HeldService, HeldService, HeldService, ...HeldService[]]
const gateway = await gatewayForServices(file, entriesOf([busy, idle, one, both, ...three]), SELDOM)

describe('a model whose service is idle', () => {
  test('is served at once, though requests for another model wait', async () => {
    void ask(gateway, { label: 'first', model: 'busy', ...caller(9) })
    const first = await busy.next()
    await queueUp(gateway, questions('a', 5, { model: 'busy', ...caller(1) }))
    const answering = ask(gateway, { label: 'b', model: 'idle', ...caller(1) })
    await answerInTurn(idle, 1)
    const answer = await answering
    assert.equal(answer.status, 200)
    assert.equal(queueMs(answer), 0)
    await waitingIs(gateway, 5)
    assert.deepEqual(busy.taken, ['first'])
    first.answer()
    await answerInTurn(busy, 5)
  })

  test('is served at once, though requests for another model fill the queue', async () => {
    const [busy, idle] = (await services(['busy'], ['idle'])) as [HeldService, HeldService]
    const gateway = await gatewayForServices(file, entriesOf([busy, idle]), { ...SELDOM, QUEUE_SIZE: '2' })
    void ask(gateway, { label: 'first', model: 'busy', ...caller(9) })
    await busy.next()
    const filling = [1, 2, 3, 4, 5, 6].map((n) => ask(gateway, { label: `a${n}`, model: 'busy', ...caller(n) }))
    const refused = await Promise.race(filling)
    assert.equal(refused.status, 429)
    for (const n of [1, 7]) {
      const answering = ask(gateway, { label: `b${n}`, model: 'idle', ...caller(n) })
      await answerInTurn(idle, 1)
      assert.equal((await answering).status, 200)
    }
  })
})

test('a place that becomes free goes to a request that it can serve, however many wait before it for another model', async () => {
  void ask(gateway, { label: 'p1', model: 'two', ...caller(9) })
  const onBoth = await both.next()
  void ask(gateway, { label: 'p2', model: 'one', ...caller(9) })
  const onOne = await one.next()
  await queueUp(gateway, questions('t', 4, { model: 'two', ...caller(1) }))
  await queueUp(gateway, questions('o', 2, { model: 'one', ...caller(2) }))
  onOne.answer()
  assert.deepEqual(await answerInTurn(one, 2), ['o1', 'o2'])
  await waitingIs(gateway, 4)
  onBoth.answer()
  assert.deepEqual(await answerInTurn(both, 4), ['t1', 't2', 't3', 't4'])
})

test('requests for a model wait for any of its services, and take the first place that becomes free', async () => {
  const first = questions('p', 3, { model: 'three' }).map((question) => ask(gateway, question))
  const held = await Promise.all(three.map((service) => service.next()))
  await queueUp(gateway, questions('w', 2, { model: 'three' }))
  held[2]!.answer()
  assert.deepEqual(await answerInTurn(three[2]!, 2), ['w1', 'w2'])
  for (const each of held.slice(0, 2)) each.answer()
  for (const answer of await Promise.all(first)) assert.equal(answer.status, 200)
  assert.deepEqual(
    three.map(({ mostRunning }) => mostRunning),
    [1, 1, 1],
  )
})
