import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openStream, post } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { pipelineHash, startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Endpoint } from '../../kit/fakeNode/index.ts'
import { assertError } from '../support.ts'

const file = { after }
const nodes = await Promise.all([0, 1, 2].map(() => startFakeNode({ rateLimit: 0, chain: true }, file)))
const gateway = await gatewayFor(file, nodes, { PROXY_TIMEOUT: '1' })

const SUBSCRIPTION = {
  subscription: {
    ...{
      owner: '0x1',
      active_at: 1,
      period: 1,
      frequency: 1,
      redundancy: 1,
      containers: pipelineHash(['echo']),
      lazy: false,
    },
    ...{ verifier: '0x0', payment_amount: 0, payment_token: '0x0', wallet: '0x0' },
  },
  signature: { nonce: 1, expiry: 4e9, v: 27, r: 3, s: 4 },
  data: {},
}

/** How many requests of that kind came to all nodes while the work was done. */
async function asked(endpoint: Endpoint, work: () => Promise<unknown>): Promise<number> {
  const count = (): number => nodes.reduce((sum, node) => sum + node.seen(endpoint).length, 0)
  const before = count()
  await work()
  return count() - before
}

/** Makes all nodes misbehave for a while, so that it does not matter who is chosen. */
async function whileAll(
  misbehave: (node: (typeof nodes)[0]) => Promise<void>,
  work: () => Promise<void>,
): Promise<void> {
  await Promise.all(nodes.map(misbehave))
  try {
    await work()
  } finally {
    await Promise.all(nodes.map((node) => node.behave()))
  }
}

describe('without an Idempotency-Key, what may have been taken is never sent again', () => {
  test('a job after a reset', async () => {
    await whileAll(
      (node) => node.break('submit'),
      async () => {
        const count = await asked('submit', async () =>
          assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 502),
        )
        assert.equal(count, 1)
      },
    )
  })

  test('a job after a time-out', async () => {
    await whileAll(
      (node) => node.hang('submit'),
      async () => {
        const count = await asked('submit', async () =>
          assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 504),
        )
        assert.equal(count, 1)
      },
    )
  })

  test('a job after an answer that is none', async () => {
    await whileAll(
      (node) => node.garbage('submit'),
      async () => {
        const count = await asked('submit', async () =>
          assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 502),
        )
        assert.equal(count, 1)
      },
    )
  })

  test('a stream after a reset', async () => {
    await whileAll(
      (node) => node.break('stream'),
      async () => {
        const url = `${gateway.url}/api/jobs/stream`
        assert.equal(await asked('stream', async () => assertError(await post(url, jobOf()), 502)), 1)
      },
    )
  })
})

describe('with an Idempotency-Key, which accepts a second run, a job goes on', async () => {
  const four = await Promise.all([0, 1, 2, 3].map(() => startFakeNode({ rateLimit: 0 }, file)))
  const toFour = await gatewayFor(file, four)
  let keys = 0
  const send = (path: string): Promise<Answer> =>
    post(`${toFour.url}${path}`, path === '/api/jobs' ? jobOf() : [jobOf()], {
      headers: { 'Idempotency-Key': `key-${++keys}` },
    })

  for (const [what, when] of [
    ['a reset', 'answer'],
    ['an answer that breaks off after its head', 'head'],
    ['one that breaks off in its body', 'body'],
  ] as const) {
    for (const [path, endpoint] of [
      ['/api/jobs', 'submit'],
      ['/api/jobs/batch', 'batch'],
    ] as const) {
      test(`after ${what}, to two more nodes and never to all: ${path}`, async () => {
        await Promise.all(four.map((node) => node.break(endpoint, { when })))
        const count = (): number => four.reduce((sum, node) => sum + node.seen(endpoint).length, 0)
        const before = count()
        const failed = await send(path)
        if (path === '/api/jobs') assertError(failed, 502)
        assert.equal(count() - before, 3)
        await four[0]!.behave()
        await four[1]!.behave()
        const answer = await send(path)
        assert.equal(answer.status, 200)
        assert.match(answer.text, /"id"/)
        await Promise.all(four.map((node) => node.behave()))
      })
    }
  }
})

test('a stream that has begun is cut, never retried', async () => {
  const count = await asked('stream', async () => {
    const body = jobOf({ pieces: 9, dieAfter: 1, dieHow: 'reset' })
    const open = await openStream(`${gateway.url}/api/jobs/stream`, { body })
    assert.equal((await open.ended).complete, false)
  })
  assert.equal(count, 1)
})

describe('a subscription is sent once, whatever its node says', () => {
  test('and a node that takes it answers for itself', async () => {
    const count = await asked('submit', async () => {
      const answer = await post(`${gateway.url}/api/jobs`, SUBSCRIPTION)
      assert.equal(answer.status, 200)
      assert.equal(answer.text, '{}\n')
    })
    assert.equal(count, 1)
  })

  test('a reset is a 502', async () => {
    await whileAll(
      (node) => node.break('submit'),
      async () => {
        const send = async (): Promise<unknown> => assertError(await post(`${gateway.url}/api/jobs`, SUBSCRIPTION), 502)
        assert.equal(await asked('submit', send), 1)
      },
    )
  })

  test('a 503 or a refusal is the client’s answer', async () => {
    for (const [status, error] of [
      [503, 'down'],
      [405, 'Container not allowed for address'],
    ] as const) {
      await whileAll(
        (node) => node.answer(status, 'submit', { body: JSON.stringify({ error }) }),
        async () => {
          const count = await asked('submit', async () => {
            assert.equal(assertError(await post(`${gateway.url}/api/jobs`, SUBSCRIPTION), status), error)
          })
          assert.equal(count, 1)
        },
      )
    }
  })

  test('a 429 is the client’s answer too, in JSON', async () => {
    await whileAll(
      (node) => node.pushBack('submit', { retryAfter: 7 }),
      async () => {
        const count = await asked('submit', async () => {
          const answer = await post(`${gateway.url}/api/jobs`, SUBSCRIPTION, { localAddress: '127.0.0.31' })
          assertError(answer, 429)
          assert.equal(answer.headers['retry-after'], '7')
        })
        assert.equal(count, 1)
      },
    )
  })
})

test('each node is asked at most once', async () => {
  await whileAll(
    (node) => node.answer(503, 'submit'),
    async () => {
      const before = nodes.map((node) => node.seen('submit').length)
      assertError(await post(`${gateway.url}/api/jobs`, jobOf()), 503)
      const seen = nodes.map((node, i) => node.seen('submit').length - before[i]!)
      assert.deepEqual(seen, [1, 1, 1])
    },
  )
})
