/** Requests that come while nobody can take them: while the only service restarts, and while it is down for good. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { spawnEngines } from '../../kit/fakeEngine/index.ts'
import { startHeldService } from '../../kit/heldService.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'
import { inFlightIs, openChat } from '../openai/support.ts'
import { answerInTurn, ask, assertRetryAfter, caller, queueMs, questions, SELDOM, waitingIs } from './support.ts'

/** Longer than any machine needs here. */
const PATIENT = { ...SELDOM, OUTAGE_WAIT: '30' }

describe('while the only service restarts', { concurrency: 2 }, () => {
  // Whether or not polls come in between.
  for (const [name, env] of [
    ['seldom', PATIENT],
    ['often', { ...PATIENT, REFRESH_INTERVAL: '0.3' }],
  ] as const) {
    test(`chats and streams wait, and are served when it is back; it is polled ${name}`, async (t) => {
      const service = await startHeldService(t)
      const gateway = await gatewayForServices(t, [entryOf(service)], env)
      service.refuse()
      const answering = [...questions('a', 3, caller(1)), ...questions('s', 3, { isStream: true, ...caller(2) })].map(
        (question) => ask(gateway, question),
      )
      await waitingIs(gateway, 6)
      await service.comeBack()
      await answerInTurn(service, 6)
      for (const answer of await Promise.all(answering)) {
        assert.equal(answer.status, 200, answer.text)
        assert.ok(queueMs(answer) > 0)
      }
    })
  }

  test('for three seconds, under a steady stream of requests, none of them fails', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], { ...SELDOM, OUTAGE_WAIT: '8' })
    service.serve()
    let isOver = false
    const statuses: number[] = []
    const clients = [1, 2, 3, 4].map(async (n) => {
      for (let i = 0; !isOver; i++) {
        statuses.push((await ask(gateway, { label: `c${n}-${i}`, isStream: i % 2 === 0, ...caller(n) })).status)
        await sleep(20)
      }
    })
    await eventually(() => statuses.length >= 20)
    service.refuse()
    // The length of the outage is what this test is about.
    await sleep(3000)
    const during = statuses.length
    await service.comeBack()
    await eventually(() => statuses.length >= during + 20)
    isOver = true
    await Promise.all(clients)
    assert.deepEqual(new Set(statuses), new Set([200]))
  })

  test('what it had not answered yet is served too, after its process was killed', async (t) => {
    const [model, timeScale] = ['org/model', 0.02]
    const engines = await spawnEngines([{ model, timeScale }], t)
    const [url] = engines.urls
    const service = { url: url!, address: new URL(url!).host }
    const gateway = await gatewayForServices(t, [entryOf(service)], PATIENT)
    // At 1.2 ms a token these take a minute, so that the death comes before the end.
    const long = { max_tokens: 50_000 }
    const short = { max_tokens: 10 }
    const inFlight = questions('f', 2, caller(1)).map((question) => ask(gateway, { ...question, model, more: long }))
    await inFlightIs(gateway, service, 2)
    await engines.kill()
    const late = questions('w', 2, caller(2)).map((question) => ask(gateway, { ...question, model, more: short }))
    await waitingIs(gateway, 4)
    await engines.start()
    for (const answer of await Promise.all(late)) assert.equal(answer.status, 200, answer.text)
    await inFlightIs(gateway, service, 2)
    await waitingIs(gateway, 0)
    const [stats] = await engines.stats()
    assert.equal(stats!.requests, 4)
    void inFlight
  })

  test('a stream that had begun is broken off, never begun again', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], SELDOM)
    const opening = openChat(gateway, {}, { headers: { 'X-Request-Id': 's' } })
    const held = await service.next()
    held.begin()
    const stream = await opening
    assert.equal(stream.status, 200)
    await stream.next()
    service.refuse()
    await service.comeBack()
    assert.equal((await stream.ended).complete, false)
    const after = ask(gateway, { label: 'after' })
    await answerInTurn(service, 1)
    assert.equal((await after).status, 200)
    assert.deepEqual(service.taken, ['s', 'after'])
  })
})

describe('where no service comes back within OUTAGE_WAIT', { concurrency: 2 }, () => {
  test('a request that was tried gets 502 at the end of the wait', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], { ...SELDOM, OUTAGE_WAIT: '1' })
    service.refuse()
    const tried = await ask(gateway, { label: 'tried', ...caller(1) })
    assertError(tried, 502, 'backend_unreachable')
    // Less what passed before it was found to be away.
    assert.ok(queueMs(tried) >= 900, `${queueMs(tried)} ms`)
    assert.deepEqual(service.taken, [])
  })

  test('requests for a model that has been down for longer get 503 at once', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], { REFRESH_INTERVAL: '0.2', OUTAGE_WAIT: '1' })
    service.refuse()
    await eventually(async () => !(await statsOf(gateway, service)).healthy)
    // It has waited for the whole of OUTAGE_WAIT, all of which the service was down.
    const first = await ask(gateway, { label: 'first', ...caller(1) })
    assert.ok(first.status === 502 || first.status === 503, `${first.status} ${first.text}`)
    for (const isStream of [false, true]) {
      const answer = await ask(gateway, { label: 'later', isStream, ...caller(1) })
      assertError(answer, 503, 'no_healthy_backend')
      assertRetryAfter(answer)
      assert.equal(queueMs(answer), 0)
    }
    await service.comeBack()
    await eventually(async () => (await statsOf(gateway, service)).healthy)
    const answering = ask(gateway, { label: 'back' })
    await answerInTurn(service, 1)
    assert.equal((await answering).status, 200)
  })

  test('a model that no service lists is still 404 at once', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], PATIENT)
    const answer = await ask(gateway, { label: 'x', model: 'unknown' })
    assertError(answer, 404, 'model_not_found')
  })

  test('a client that leaves during an outage is gone at once, and its request is never sent', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service)], PATIENT)
    service.refuse()
    const leaving = new AbortController()
    void ask(gateway, { label: 'gone', signal: leaving.signal, ...caller(1) })
    const staying = ask(gateway, { label: 'stays', ...caller(2) })
    await waitingIs(gateway, 2)
    leaving.abort()
    await waitingIs(gateway, 1)
    await service.comeBack()
    assert.deepEqual(await answerInTurn(service, 1), ['stays'])
    assert.equal((await staying).status, 200)
    assert.deepEqual(service.taken, ['stays'])
  })
})

describe('a request that ends its service each time', () => {
  test('is tried at most twice, and the others are served', async (t) => {
    const service = await startHeldService(t)
    const gateway = await gatewayForServices(t, [entryOf(service, { concurrency: 1 })], PATIENT)
    const others = questions('a', 6, caller(1)).map((question) => ask(gateway, question))
    const poison = ask(gateway, { label: 'poison', ...caller(2) })
    service.serve(async (held) => {
      if (held.label !== 'poison') return held.answer()
      service.refuse()
      await service.comeBack()
    })
    const refused = await poison
    assertError(refused, 502)
    for (const answer of await Promise.all(others)) assert.equal(answer.status, 200, answer.text)
    assert.equal((await ask(gateway, { label: 'last' })).status, 200)
    const tries = service.taken.filter((label) => label === 'poison').length
    assert.ok(tries >= 1 && tries <= 2, `${tries} tries`)
  })
})
