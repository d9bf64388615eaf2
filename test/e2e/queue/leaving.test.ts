/** Clients that leave while their requests wait. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { entryOf, gatewayForServices } from '../../kit/builders/gateways.ts'
import { seededRandom } from '../../kit/fakeNode/serviceTime.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { openRaw, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { callersHold, holdsExactly } from '../memory/support.ts'
import { inFlightIs } from '../openai/support.ts'
import { answerInTurn, ask, caller, questions, queueUp, startStage, waitingIs } from './support.ts'

const file = { after }
const stage = await startStage(file, 5, { env: { QUEUE_SIZE: '8', MEMORY_BUDGET: '8mb', MAX_BODY: '2mb' } })

describe('a client that leaves while its request waits', () => {
  test('is gone from the queue at once, and the service never sees its request', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    const leaving = new AbortController()
    const { signal } = leaving
    await queueUp(gateway, [
      { label: 'a1', model, ...caller(1) },
      { label: 'a2', model, signal, ...caller(1) },
      { label: 'b1', model, signal, isStream: true, ...caller(2) },
      { label: 'a3', model, ...caller(1) },
    ])
    leaving.abort()
    await waitingIs(gateway, 2)
    first.answer()
    assert.deepEqual(await answerInTurn(service, 2), ['a1', 'a3'])
    await inFlightIs(gateway, service, 0)
    assert.deepEqual(service.taken, ['first', 'a1', 'a3'])
  })

  test('is so too after a reset, and after an orderly end of its connection', async (t) => {
    const { gateway, model } = await stage.scene(t)
    const body = JSON.stringify({ model, messages: [] })
    const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json'
    for (const leave of ['resetAndDestroy', 'destroy'] as const) {
      const client = await openRaw(gateway.url, { t })
      client.send(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      await waitingIs(gateway, 1)
      client.socket[leave]()
      await waitingIs(gateway, 0)
    }
  })

  test('frees its place of QUEUE_SIZE, and of its part of it', async (t) => {
    const { gateway, model } = await stage.scene(t)
    const leaving = new AbortController()
    await queueUp(gateway, questions('a', 3, { model, ...caller(1) }))
    await queueUp(gateway, [{ label: 'leaves', model, signal: leaving.signal, ...caller(1) }])
    assert.equal((await ask(gateway, { label: 'over', model, ...caller(1) })).status, 429)
    leaving.abort()
    await waitingIs(gateway, 3)
    await queueUp(gateway, [{ label: 'a4', model, ...caller(1) }])
  })

  test('frees the memory of its body, which MEMORY_BUDGET counts while it waits', async (t) => {
    const { gateway, model } = await stage.scene(t)
    const before = await callersHold(gateway)
    const leaving = new AbortController()
    const prompt = 'x'.repeat(1_000_000)
    await queueUp(gateway, [{ label: 'large', model, prompt, signal: leaving.signal, ...caller(1) }])
    assert.ok((await callersHold(gateway)) >= before + prompt.length)
    leaving.abort()
    await holdsExactly(gateway, before)
  })

  test('while it is served frees the place for the next in order', async (t) => {
    const { gateway, service, model, first } = await stage.scene(t)
    const leaving = new AbortController()
    await queueUp(gateway, questions('a', 3, { model, signal: leaving.signal, ...caller(1) }))
    const staying = await queueUp(gateway, [{ label: 'b1', model, ...caller(2) }])
    first.answer()
    const held = await service.next()
    assert.equal(held.label, 'a1')
    leaving.abort()
    await held.left
    assert.deepEqual(await answerInTurn(service, 1), ['b1'])
    assert.equal((await staying.answers())[0]!.status, 200)
  })
})

test('after 300 clients that came and left at random nothing is in flight or waits, and the next request is served', async (t) => {
  const services = await Promise.all([1, 2].map(() => startFakeOpenAi({ seconds: 0.02, concurrency: 100 }, t)))
  const entries = services.map((service) => entryOf(service, { concurrency: 2 }))
  const gateway = await gatewayForServices(t, entries, { QUEUE_SIZE: '60', QUEUE_TIMEOUT: '0.5' })
  const random = seededRandom(7)
  const statuses = new Map<number | 'left', number>()
  const clients = Array.from({ length: 300 }, async (_, n) => {
    const [startMs, stayMs, isPatient] = [random() * 2000, random() * 300, random() < 0.4]
    await sleep(startMs)
    const leaving = new AbortController()
    const timer = isPatient ? undefined : setTimeout(() => leaving.abort(), stayMs)
    const question = { label: `c${n}`, isStream: n % 2 === 0, signal: leaving.signal, ...caller(1 + (n % 20)) }
    const status = await ask(gateway, question).then(
      (answer) => answer.status,
      () => 'left' as const,
    )
    clearTimeout(timer)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  })
  await Promise.all(clients)
  const told = JSON.stringify([...statuses])
  // What they had: an answer, a full queue, or the end of QUEUE_TIMEOUT.
  assert.deepEqual(
    [...statuses.keys()].filter((status) => !['left', 200, 429, 503].includes(status)),
    [],
    told,
  )
  assert.ok((statuses.get(200) ?? 0) > 0 && (statuses.get('left') ?? 0) > 0, told)

  await waitingIs(gateway, 0)
  for (const service of services) await inFlightIs(gateway, service, 0)
  assert.equal(await callersHold(gateway), 0)
  // As many at once as there are places: none was lost.
  const answers = await Promise.all(questions('z', 4).map((question) => ask(gateway, question)))
  for (const answer of answers) assert.equal(answer.status, 200)
  const idle = async (): Promise<boolean> =>
    (await request(`${gateway.url}/stats`))
      .json<{ services: { in_flight: number }[] }>()
      .services.every((service) => service.in_flight === 0)
  await eventually(idle)
})
