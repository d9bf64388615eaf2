import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Endpoint, FakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, statsOf } from '../support.ts'

const file = { after }
/** A container for each case: one that is refused several times in a row would go elsewhere, as it should. */
const containers = ['echo', ...Array.from({ length: 40 }, (_, n) => `echo-${n}`)]
const [first, second] = await Promise.all([
  startFakeNode({ rateLimit: 0, containers }, file),
  startFakeNode({ rateLimit: 0, containers }, file),
])
// The first is asked first whenever it may be asked at all.
await second.set({ shownPending: { offchain: 1000 } })
const gateway = await gatewayFor(file, [first, second])

let callers = 0

/** An address that has asked nothing yet: a node that rests does so for one caller. */
function newCaller(): { localAddress: string } {
  return { localAddress: `127.0.1.${++callers}` }
}

function submitFrom(from: { localAddress: string }, path = '/api/jobs', container = 'echo'): Promise<Answer> {
  return post(`${gateway.url}${path}`, jobOf({}, [container]), from)
}

function servedBy(answer: Answer, node: FakeNode): void {
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.headers['x-infernet-node'], node.address)
}

/** How many requests of that kind came to the nodes while the work was done. */
async function asked(endpoint: Endpoint, work: () => Promise<unknown>): Promise<[first: number, second: number]> {
  const before = [first.seen(endpoint).length, second.seen(endpoint).length] as const
  await work()
  return [first.seen(endpoint).length - before[0], second.seen(endpoint).length - before[1]]
}

describe('a 429 of one node', () => {
  test('sends the job to another, and the client hears nothing of it', async () => {
    await first.pushBack('submit', { times: 1 })
    const from = newCaller()
    assert.deepEqual(await asked('submit', async () => servedBy(await submitFrom(from), second)), [1, 1])
  })

  test('sends a stream to another too', async () => {
    await first.pushBack('stream', { times: 1 })
    servedBy(await submitFrom(newCaller(), '/api/jobs/stream'), second)
  })

  test('lets it rest for that caller and that endpoint alone', async () => {
    await first.pushBack('submit', { times: 1, retryAfter: 600 })
    const from = newCaller()
    servedBy(await submitFrom(from), second)
    assert.deepEqual(await asked('submit', async () => servedBy(await submitFrom(from), second)), [0, 1])
    servedBy(await submitFrom(from, '/api/jobs/stream'), first)
    servedBy(await submitFrom(newCaller()), first)
  })

  test('lets it rest no longer than it wishes', async () => {
    await first.pushBack('submit', { times: 1, retryAfter: 1 })
    const from = newCaller()
    servedBy(await submitFrom(from), second)
    const isAskedAgain = async (): Promise<boolean> =>
      (await submitFrom(from)).headers['x-infernet-node'] === first.address
    await eventually(isAskedAgain, { everyMs: 100 })
  })

  test('is no failure', async () => {
    const before = await statsOf(gateway, first)
    for (let i = 0; i < 6; i++) {
      await first.pushBack('submit', { times: 1 })
      servedBy(await submitFrom(newCaller()), second)
    }
    const { healthy, error_count } = await statsOf(gateway, first)
    assert.equal(healthy, true)
    assert.equal(error_count, before.error_count)
  })
})

describe('where all push back with 429', () => {
  /** The answer to a caller whom the nodes want to wait so long, by their `Retry-After`. */
  async function whenBothSay(one: string, other: string, path = '/api/jobs', from = newCaller()): Promise<Answer> {
    const endpoint = path === '/api/jobs' ? 'submit' : 'stream'
    await first.answer(429, endpoint, { times: 1, headers: { 'Retry-After': one } })
    await second.answer(429, endpoint, { times: 1, headers: { 'Retry-After': other } })
    return submitFrom(from, path)
  }

  test('the answer is a 429 in JSON with the least Retry-After', async () => {
    for (const path of ['/api/jobs', '/api/jobs/stream']) {
      const answer = await whenBothSay('40', '20', path)
      assertError(answer, 429)
      assert.equal(answer.headers['retry-after'], '20')
    }
  })

  test('it is never less than a second, though nodes say 0', async () => {
    assert.equal((await whenBothSay('0', '20')).headers['retry-after'], '1')
    assert.equal((await whenBothSay('soon', '20')).headers['retry-after'], '1')
  })

  test('they are left alone for that second, and then asked again', async () => {
    const from = newCaller()
    assertError(await whenBothSay('0', '0', '/api/jobs', from), 429)
    const refusedAt = Math.max(...[first, second].map((node) => node.seen('submit').at(-1)!.at))
    await eventually(async () => (await submitFrom(from)).status === 200, { everyMs: 50 })
    const askedAt = Math.max(...[first, second].map((node) => node.seen('submit').at(-1)!.at))
    assert.ok(askedAt - refusedAt >= 900, `${askedAt - refusedAt} ms`)
  })

  test('a date is understood', async () => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString()
    const seconds = Number((await whenBothSay(inAMinute, '600')).headers['retry-after'])
    assert.ok(seconds > 30 && seconds <= 60, String(seconds))
  })

  test('nobody is asked again until then', async () => {
    const from = newCaller()
    await first.pushBack('submit', { times: 1, retryAfter: 600 })
    await second.pushBack('submit', { times: 1, retryAfter: 300 })
    assertError(await submitFrom(from), 429)
    const count = await asked('submit', async () => {
      const answer = await submitFrom(from)
      assertError(answer, 429)
      const seconds = Number(answer.headers['retry-after'])
      assert.ok(seconds > 200 && seconds <= 300, String(seconds))
      // Later answers say what is left of the wait.
      const isLess = async (): Promise<boolean> => Number((await submitFrom(from)).headers['retry-after']) < seconds
      await eventually(isLess, { everyMs: 100 })
    })
    assert.deepEqual(count, [0, 0])
  })
})

describe('a node’s own affair', () => {
  const REFUSALS = [
    '{"error":"Container not supported","params":{"container":"echo"}}\n',
    '{"error":"Container not allowed for address","params":{"address":"127.0.0.1","container":"echo"}}\n',
    '{ "params": {}, "error": "Container does not generate proof" }',
  ]

  test('503 and the three refusals send the job, or the stream, to another', async () => {
    for (const [path, endpoint] of [
      ['/api/jobs', 'submit'],
      ['/api/jobs/stream', 'stream'],
    ] as const) {
      await first.answer(503, endpoint, { times: 1 })
      servedBy(await submitFrom(newCaller(), path), second)
      for (const body of REFUSALS) {
        await first.answer(405, endpoint, { times: 1, body })
        servedBy(await submitFrom(newCaller(), path), second)
      }
    }
  })

  test('is the client’s answer, as it came, where it is everybody’s', async () => {
    for (const [status, body] of [
      [503, '{"error":"down"}\n\n'] as const,
      ...REFUSALS.map((text) => [405, text] as const),
    ]) {
      await first.answer(status, 'submit', { times: 1, body })
      await second.answer(status, 'submit', { times: 1, body })
      const count = await asked('submit', async () => {
        const answer = await submitFrom(newCaller())
        assert.equal(answer.status, status)
        assert.equal(answer.text, body)
      })
      // Each node once, and no more.
      assert.deepEqual(count, [1, 1])
    }
  })

  test('never counts against it', async () => {
    const { healthy, in_flight } = await statsOf(gateway, first)
    assert.deepEqual([healthy, in_flight], [true, 0])
  })
})

describe('any other answer', () => {
  const ANSWERS: [status: number, body: string, contentType: string][] = [
    [405, '{"error":"First container must be external","params":{"first_container":"echo"}}\n', 'application/json'],
    [405, '{"error":"container not supported"}', 'application/json'],
    [405, 'Container not supported', 'text/plain'],
    [500, '{"error":"Internal server error: it is 500 for bad input"}\n', 'application/json'],
    [500, '<!doctype html>\n<title>500 Internal Server Error</title>\n', 'text/html; charset=utf-8'],
    [400, '{"error" : "as spaced"}', 'application/json'],
    [404, 'Ünïcode', 'text/plain; charset=utf-8'],
    [413, '', 'text/plain'],
    [502, '{"error":"of the node"}', 'application/json'],
    [504, '{"error":"of the node"}', 'application/json'],
  ]

  test('passes through untouched, and no other node is asked', async () => {
    let cases = 0
    for (const [status, body, contentType] of ANSWERS) {
      for (const [path, endpoint] of [
        ['/api/jobs', 'submit'],
        ['/api/jobs/stream', 'stream'],
      ] as const) {
        await first.answer(status, endpoint, { times: 1, body, contentType })
        const count = await asked(endpoint, async () => {
          const answer = await submitFrom(newCaller(), path, containers[++cases])
          assert.equal(answer.status, status)
          assert.equal(answer.text, body)
          assert.equal(answer.headers['content-type'], contentType)
          assert.equal(answer.headers['x-infernet-node'], first.address)
        })
        assert.deepEqual(count, [1, 0], `${status} ${body}`)
      }
    }
  })

  test('never makes a node unhealthy', async () => {
    for (const [n, status] of [500, 500, 500, 500, 400, 404, 405, 422].entries()) {
      await first.answer(status, 'submit', { times: 1 })
      assert.equal((await submitFrom(newCaller(), '/api/jobs', containers[30 + n])).status, status)
    }
    assert.equal((await statsOf(gateway, first)).healthy, true)
    servedBy(await submitFrom(newCaller()), first)
    assert.deepEqual(
      gateway.logs.filter((line) => line.message === 'node ejected' || line.message === 'node down'),
      [],
    )
  })
})
