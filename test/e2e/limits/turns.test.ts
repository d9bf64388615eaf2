import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Cleanup } from '../../kit/wait.ts'

/**
 * Sends a request but for its last byte, then this, and asks `/livez` again and again until the answer begins; returns how
 * often it was answered meanwhile.
 */
async function answersDuring(t: Cleanup, url: string, body: string, headers = {}): Promise<number> {
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const sent = http.request(url, { method: 'POST', headers: { 'content-length': body.length, ...headers } })
  await new Promise<void>((resolve) => void sent.write(body.slice(0, -1), () => resolve()))
  const livez = new URL('/livez', url)
  // What the gateway has received by its answer it has received of the body as well.
  await request(livez, { agent })
  sent.end(body.slice(-1))
  let isOver = false
  const over = once(sent, 'response').finally(() => (isOver = true))
  let answers = 0
  while (!isOver) {
    await request(livez, { agent })
    answers++
  }
  const [response] = (await over) as [http.IncomingMessage]
  response.resume()
  return answers
}

/** Read in one turn, a request lets the look before and the look after it be answered. */
const ONE_TURN = 2

/** JSON that takes the scanner longest, nothing but the shortest values: 24 MB, or some 200 ms. */
const SLOW = `[${'0,'.repeat(12_000_000)}0]`

describe('while one request takes long, others are answered', () => {
  test('a job, a chat and a form of many megabytes', async (t) => {
    const node = await startFakeNode({ containers: ['echo'] }, t)
    const { url } = await gatewayFor(t, [node])
    // Refused, each after it was read to its end: no backend takes part.
    const jobOf = (data: string): string => `{"containers":["nobody"],"data":{"x":${data}}}`
    const chat = `{"model":"nobody","messages":${SLOW}}`
    for (const [path, body] of [
      ['/api/jobs', jobOf(SLOW)],
      ['/api/jobs/batch', `[${jobOf(SLOW)}]`],
      ['/v1/chat/completions', chat],
    ] as const) {
      const answers = await answersDuring(t, url + path, body)
      assert.ok(answers > 2 * ONE_TURN, `${path}: ${answers} answers`)
    }
  })

  test('a batch of ten thousand subscriptions, each with headers that are long to read', async (t) => {
    const node = await startFakeNode({ containers: ['a', 'b', 'c', 'd', 'e', 'f', 'g'], chain: false }, t)
    const { url } = await gatewayFor(t, [node], { MAX_JOBS_PER_CALLER: '0' })
    const item = (n: number): object => ({
      subscription: { containers: `0x${n.toString(16).padStart(64, '0')}` },
      signature: {},
      data: {},
    })
    const batch = JSON.stringify(Array.from({ length: 10_000 }, (_, n) => item(n)))
    const headers = { connection: Array(20_000).fill('a').join(',') }
    const answers = await answersDuring(t, `${url}/api/jobs/batch`, batch, headers)
    assert.ok(answers > 2 * ONE_TURN, `${answers} answers`)
  })
})
