/** How many requests may wait, and how long. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Answer } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import {
  answerInTurn,
  ask,
  assertRetryAfter,
  caller,
  queueMs,
  questions,
  queueUp,
  startStage,
  waiting,
  waitingIs,
} from './support.ts'

const file = { after }
const [stage, unqueued, impatient] = await Promise.all([
  startStage(file, 4, { env: { QUEUE_SIZE: '10' } }),
  startStage(file, 1, { env: { QUEUE_SIZE: '0' } }),
  startStage(file, 1, { env: { QUEUE_TIMEOUT: '0.6' } }),
])

describe('QUEUE_SIZE', () => {
  test('bounds how many wait: the others get 429 `queue_full` at once, and the service never sees them', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    const clients = 24
    const answering = Array.from({ length: clients }, (_, n) =>
      ask(gateway, { label: `c${n}`, model, ...caller(n + 1) }),
    )
    const refused: Answer[] = []
    const outcomes = answering.map((each) =>
      each.then((answer) => {
        if (answer.status !== 200) refused.push(answer)
        return answer.status
      }),
    )
    // The others have their answer while the first request still has the place.
    const passing = await eventually(async () => {
      const now = await waiting(gateway)
      return now + refused.length === clients ? now : 0
    })
    assert.ok(passing <= 10, `${passing} wait`)
    first.answer()
    await answerInTurn(service, passing)
    const statuses = await Promise.all(outcomes)
    assert.equal(statuses.filter((status) => status === 200).length, passing)
    for (const answer of refused) {
      assertError(answer, 429, 'queue_full')
      assertRetryAfter(answer)
    }
    assert.equal(service.taken.length, 1 + passing)
  })

  test('a caller holds no more places than are free, half of them at most, so that others find one', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    const own = await queueUp(gateway, questions('a', 5, { model, ...caller(1) }))
    const more = await ask(gateway, { label: 'a6', model, ...caller(1) })
    assertError(more, 429, 'queue_full')
    assertRetryAfter(more)
    const others = await queueUp(gateway, [
      { label: 'b1', model, ...caller(2) },
      { label: 'c1', model, ...caller(3) },
    ])
    first.answer()
    await answerInTurn(service, 7)
    for (const answer of [...(await own.answers()), ...(await others.answers())]) assert.equal(answer.status, 200)
    assert.ok(!service.taken.includes('a6'))
  })

  test('a request that found its place frees the one in the queue', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    await queueUp(gateway, questions('a', 5, { model, ...caller(1) }))
    assert.equal((await ask(gateway, { label: 'over', model, ...caller(1) })).status, 429)
    first.answer()
    await service.next()
    await waitingIs(gateway, 4)
    await queueUp(gateway, [{ label: 'a6', model, ...caller(1) }])
  })

  test('the refusal has the shape of its path', async (t) => {
    const { gateway, model } = await stage.scene(t)
    await queueUp(gateway, questions('a', 5, { model, ...caller(1) }))
    for (const [path, code] of [
      ['/v1/chat/completions', 'queue_full'],
      ['/v1/messages', undefined],
      ['/chat/completions', undefined],
    ] as const) {
      const refused = await ask(gateway, { label: 'over', path, model, ...caller(1) })
      assertError(refused, 429, code)
      assertRetryAfter(refused)
    }
  })

  test('of 0 there is no queue: all requests go to the service at once', async (t) => {
    const { gateway, service, model, first } = await unqueued.scene(t)
    const answering = questions('a', 5, { model, ...caller(1) }).map((question) => ask(gateway, question))
    const held = await service.take(5)
    assert.equal(service.running, 6)
    for (const each of [first, ...held]) each.answer()
    for (const answer of await Promise.all(answering)) {
      assert.equal(answer.status, 200)
      assert.equal(queueMs(answer), 0)
    }
  })
})

test('QUEUE_TIMEOUT ends a wait with 503 `queue_timeout`, in the shape of its path, and the service never sees the request', async (t) => {
  const { gateway, service, model, first } = await impatient.scene(t)
  const asks: [path: string, code: string | undefined][] = [
    ['/v1/chat/completions', 'queue_timeout'],
    ['/v1/messages', undefined],
    ['/chat/completions', undefined],
  ]
  const answers = await Promise.all(asks.map(([path], n) => ask(gateway, { label: `late${n}`, path, model })))
  for (const [n, answer] of answers.entries()) {
    assertError(answer, 503, asks[n]![1])
    assertRetryAfter(answer)
    assert.ok(queueMs(answer) >= 600, `${queueMs(answer)} ms`)
  }
  assert.equal(await waiting(gateway), 0)
  first.answer()
  const next = ask(gateway, { label: 'next', model })
  assert.deepEqual(await answerInTurn(service, 1), ['next'])
  assert.equal((await next).status, 200)
  assert.deepEqual(service.taken, ['first', 'next'])
})
