/** MAX_JOBS_PER_CALLER: how many unfinished jobs one caller may have. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf, subscriptionFor } from '../../kit/builders/jobs.ts'
import { openStream, post } from '../../kit/http.ts'
import type { Gateway } from '../../kit/gateway.ts'
import type { LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'
import { afterSuite, ask, ended, startNodes, submitMany, submitted, submitTo } from './support.ts'

const LIMIT = 3
const LONG = { seconds: 60 }

describe('unfinished jobs', () => {
  const cleanup = afterSuite()
  let gateway: Gateway
  let node: LocalFakeNode

  before(async () => {
    ;[node] = (await startNodes(cleanup, 1, { concurrency: 100, chain: true })) as [LocalFakeNode]
    gateway = await gatewayFor(cleanup, [node], {
      MAX_JOBS_PER_CALLER: String(LIMIT),
      STATE_URL: 'sqlite:jobs.db',
      TRUST_PROXY: 'loopback',
    })
  })

  async function assertFull(from: string): Promise<void> {
    const asked = node.seen('submit').length
    const answer = await submitTo(gateway, jobOf(), { from })
    assertError(answer, 429)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf(), { localAddress: from }), 429)
    assert.equal(node.seen('submit').length, asked)
  }

  test('are limited for each caller; a finished one makes room', async () => {
    const from = '127.0.0.5'
    const short = await submitted(gateway, { seconds: 3 }, { from })
    await submitMany(gateway, LIMIT - 1, () => LONG, { from })
    await assertFull(from)
    await submitted(gateway, {}, { from: '127.0.0.6' })
    await ended(gateway, [short], { from })
    await submitted(gateway, LONG, { from })
    await assertFull(from)
  })

  test('are counted before anything is sent, so that even a rush does not pass', async () => {
    const from = '127.0.0.7'
    const answers = await Promise.all(Array.from({ length: 20 }, () => submitTo(gateway, jobOf(LONG), { from })))
    assert.equal(answers.filter(({ status }) => status === 200).length, LIMIT)
    assert.equal(answers.filter(({ status }) => status === 429).length, 20 - LIMIT)
  })

  test('of a batch must all have room', async () => {
    const options = { localAddress: '127.0.0.8' }
    const url = `${gateway.url}/api/jobs/batch`
    // Bad items take no room.
    const answer = await post(url, [jobOf(LONG), { containers: [] }, jobOf(LONG)], options)
    assert.equal(answer.status, 200)
    assertError(await post(url, [jobOf({}), jobOf({})], options), 429)
    await submitted(gateway, LONG, { from: '127.0.0.8' })
    await assertFull('127.0.0.8')
  })

  test('of a batch can never be more than the limit, subscriptions included: 413 names it', async () => {
    const url = `${gateway.url}/api/jobs/batch`
    const bodyOf = (jobs: number, subscriptions: number): string => {
      const job = JSON.stringify(jobOf(LONG))
      return `[${[...Array<string>(jobs).fill(job), ...Array<string>(subscriptions).fill(subscriptionFor(['echo']))].join()}]`
    }
    for (const body of [bodyOf(LIMIT + 1, 0), bodyOf(LIMIT - 1, 2)]) {
      const answer = await post(url, body, { localAddress: '127.0.0.12' })
      assert.match(assertError(answer, 413), /\bMAX_JOBS_PER_CALLER is 3$/)
      assert.equal(answer.headers['retry-after'], undefined)
    }
    assert.equal((await post(url, bodyOf(1, LIMIT - 1), { localAddress: '127.0.0.12' })).status, 200)
    // A subscription that was taken has given its place back.
    await submitMany(gateway, LIMIT - 1, () => LONG, { from: '127.0.0.12' })
    await assertFull('127.0.0.12')
  })

  test('include subscriptions while their request is under way', async () => {
    const from = '127.0.0.13'
    await node.late(2, 'submit', { times: LIMIT })
    const { n: after } = node.requests.at(-1)!
    const under = Array.from({ length: LIMIT }, () => submitTo(gateway, subscriptionFor(['echo']), { from }))
    await eventually(() => node.seen('submit').filter(({ n }) => n > after).length === LIMIT)
    await assertFull(from)
    assertError(
      await post(`${gateway.url}/api/jobs/batch`, `[${subscriptionFor(['echo'])}]`, { localAddress: from }),
      429,
    )
    assert.deepEqual(
      (await Promise.all(under)).map(({ status }) => status),
      [200, 200, 200],
    )
    await submitMany(gateway, LIMIT, () => LONG, { from })
  })

  test('of one IPv6 network are counted together, whoever of it owns them', async () => {
    const from = (host: string): { headers: Record<string, string> } => ({
      headers: { 'X-Forwarded-For': `2001:db8::${host}` },
    })
    for (let n = 0; n < LIMIT; n++) await submitted(gateway, LONG, from(`${n}`))
    assertError(await submitTo(gateway, jobOf({}), from('ff:1')), 429)
    assert.equal((await ask(gateway, '', from('0'))).json<string[]>().length, 1)
    await submitted(gateway, LONG, { headers: { 'X-Forwarded-For': '2001:db8:1::1' } })
  })

  test('that were refused count no more', async () => {
    const from = '127.0.0.9'
    for (let n = 0; n < 2 * LIMIT; n++) assertError(await submitTo(gateway, jobOf({}, ['nowhere']), { from }), 405)
    await node.answer(500, 'submit', { times: 1 })
    assert.equal((await submitTo(gateway, jobOf(), { from })).status, 500)
    await submitMany(gateway, LIMIT, () => LONG, { from })
    await assertFull(from)
  })

  test('include streams, until they end or are left', async () => {
    const from = '127.0.0.10'
    await submitMany(gateway, LIMIT - 1, () => LONG, { from })
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, {
      body: jobOf({ pieces: 100, pieceMs: 100 }),
      localAddress: from,
    })
    await stream.next()
    await assertFull(from)
    stream.destroy()
    await eventually(async () => (await submitTo(gateway, jobOf(LONG), { from })).status === 200)
    await assertFull(from)
  })

  test('are counted after a restart as before', async () => {
    await gateway.kill()
    await gateway.restart()
    await gateway.ready(1)
    for (const from of ['127.0.0.5', '127.0.0.7', '127.0.0.8', '127.0.0.9', '127.0.0.10']) await assertFull(from)
    await submitMany(gateway, LIMIT, () => LONG, { from: '127.0.0.11' })
  })
})
