import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jobOf } from '../kit/builders/jobs.ts'
import { request } from '../kit/http.ts'
import type { Answer } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'

async function times(n: number, ask: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let i = 0; i < n; i++) answers.push(await ask())
  return answers
}

/** So many requests of one caller within a second, in which a budget refills by one. */
async function quickBurst(n: number, ask: (caller: string) => Promise<Answer>): Promise<Answer[]> {
  for (let left = 10; ; left--) {
    const caller = `burst-${Date.now()}-${left}`
    const since = performance.now()
    const answers = await times(n, () => ask(caller))
    if (performance.now() - since < 900 || left === 1) return answers
  }
}

const limitHeaders = ({ headers }: Answer): unknown[] => [
  headers['ratelimit-limit'],
  headers['ratelimit-remaining'],
  headers['ratelimit-reset'],
]

const REAL_NODE_URL = process.env.REAL_NODE_URL

for (const [name, realUrl] of [
  ['the fake node', undefined],
  ['a real node', REAL_NODE_URL],
] as const) {
  const skip = name === 'a real node' && !realUrl && 'REAL_NODE_URL names no real node'
  describe(`${name} limits`, { skip }, () => {
    test('a burst of 60 passes, the 61st is 429 with a web page', async (t) => {
      const url = realUrl ?? (await startFakeNode({}, t)).url
      const answers = await quickBurst(61, (caller) =>
        request(`${url}/health`, { headers: { 'X-Forwarded-For': caller } }),
      )
      assert.deepEqual(limitHeaders(answers[0]!), ['60', '59', '0'])
      assert.deepEqual(limitHeaders(answers[1]!), ['60', '58', '1'])
      assert.equal(
        answers.findIndex(({ status }) => status !== 200),
        60,
      )
      const last = answers[60]!
      assert.equal(last.status, 429)
      assert.equal(last.headers['retry-after'], '0')
      assert.equal(last.headers['content-type'], 'text/html; charset=utf-8')
      assert.equal(last.headers['content-length'], '169')
      assert.deepEqual(limitHeaders(last), ['60', '0', '59'])
      assert.match(last.text, /^<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests<\/title>\n/)
    })

    test('by endpoint, and by the first address of the first X-Forwarded-For', async (t) => {
      const url = realUrl ?? (await startFakeNode({}, t)).url
      const caller = `caller-${Date.now()}`
      const remaining = async (path: string, forwarded: string | string[]): Promise<unknown> =>
        (await request(url + path, { headers: { 'X-Forwarded-For': forwarded } })).headers['ratelimit-remaining']
      assert.equal(await remaining('/health', `${caller}, 9.9.9.9`), '59')
      assert.equal(await remaining('/health', [caller, '8.8.8.8']), '58')
      assert.equal(await remaining('/info', caller), '59')
      assert.equal(await remaining('/health', `8.8.8.8, ${caller}-2`), '59')
    })
  })
}

test('without X-Forwarded-For the TCP peer counts', async (t) => {
  const node = await startFakeNode({ rateLimit: 2 }, t)
  const ask = (localAddress: string): Promise<Answer> => request(`${node.url}/info`, { localAddress })
  const answers = await times(3, () => ask('127.0.0.2'))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 429],
  )
  assert.equal((await ask('127.0.0.3')).status, 200)
})

test('refusals of the guardian count, those of the limiter do not', async (t) => {
  const node = await startFakeNode({ rateLimit: 2 }, t)
  const body = jobOf({}, [])
  const answers = await times(5, () => request(`${node.url}/api/jobs`, { method: 'POST', body }))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [405, 405, 429, 429, 429],
  )
  assert.equal(answers[4]!.headers['retry-after'], '29')
})

test('endpoints may have budgets of their own, 0 is none, and budgets can be given back', async (t) => {
  const node = await startFakeNode({ rateLimit: { info: 1, health: 0 } }, t)
  const health = await request(`${node.url}/health`)
  assert.equal('ratelimit-limit' in health.headers, false)
  const answers = await times(2, () => request(`${node.url}/info`))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 429],
  )
  await node.resetLimits()
  assert.equal((await request(`${node.url}/info`)).status, 200)
})

test('a status may be set without limit', async (t) => {
  const node = await startFakeNode({ rateLimit: 1 }, t)
  const body = { id: 's', status: 'success', containers: [] }
  const answers = await times(5, () => request(`${node.url}/api/status`, { method: 'PUT', body }))
  assert.ok(answers.every(({ status, headers }) => status === 200 && !('ratelimit-limit' in headers)))
})
