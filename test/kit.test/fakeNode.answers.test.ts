import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { after, describe, test } from 'node:test'
import { post, request } from '../kit/http.ts'
import type { Answer } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { JOB_QUESTIONS, subscription } from './jobQuestions.ts'
import { LOOK_QUESTIONS } from './lookQuestions.ts'
import { CONTAINERS } from './question.ts'
import type { Question } from './question.ts'

const QUESTIONS = [...LOOK_QUESTIONS, ...JOB_QUESTIONS]

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g
const REAL_NODE_URL = process.env.REAL_NODE_URL

/** What is wrong with the answer, in words; `undefined` if nothing is. */
function fault(question: Question, answer: Answer): string | undefined {
  const { status, headers, text } = answer
  const body = text.replace(UUID, '<id>')
  const { contentType = 'application/json', limited = true } = question
  if (status !== question.status) return `status ${status} instead of ${question.status}: ${body}`
  const fits = typeof question.answer === 'string' ? body === question.answer : question.answer.test(body)
  if (!fits) return `body ${JSON.stringify(body)} instead of ${String(question.answer)}`
  if (headers['content-type'] !== contentType) return `content type ${headers['content-type']}`
  if ('ratelimit-limit' in headers !== limited) return `limiter's headers: ${!limited}`
  if (answer.statusMessage !== '') return `reason phrase ${answer.statusMessage}`
  return undefined
}

let callers = 0

/** Each question comes from a caller of its own: none is refused for the one before. */
async function ask(url: string, question: Question, agent?: Agent): Promise<Answer> {
  const { method = 'GET', path, headers = {}, body } = question
  callers++
  const caller = `198.51.${callers >> 8}.${callers & 255}`
  return request(url + path, {
    method,
    body,
    headers: { 'X-Forwarded-For': caller, ...headers },
    ...(agent ? { agent } : {}),
  })
}

describe('the fake node answers', async () => {
  const node = await startFakeNode({ containers: CONTAINERS })
  after(() => node.stop())
  for (const question of QUESTIONS) {
    test(`to ${question.name}`, async () => assert.equal(fault(question, await ask(node.url, question)), undefined))
  }
})

describe('the short way for benchmarks gives the same answers', async () => {
  const node = await startFakeNode({ containers: CONTAINERS, fast: true })
  const agent = new Agent({ keepAlive: true })
  after(async () => {
    agent.destroy()
    await node.stop()
  })
  for (const question of JOB_QUESTIONS.filter(({ path }) => path === '/api/jobs')) {
    test(`to ${question.name}`, async () =>
      assert.equal(fault(question, await ask(node.url, question, agent)), undefined))
  }
  test('and the requests were not seen by the usual way', () => assert.equal(node.requests.length, 0))
})

test(
  'a real node answers as the simulated one does',
  { skip: REAL_NODE_URL ? false : 'REAL_NODE_URL names no real node' },
  async (t) => {
    let differences = 0
    for (const question of QUESTIONS) {
      const difference = fault(question, await ask(REAL_NODE_URL!, question))
      if (!difference) continue
      differences++
      t.diagnostic(`${question.name}: ${difference}`)
    }
    assert.equal(differences, 0)
  },
)

test('headers are written as hypercorn writes them', async (t) => {
  const node = await startFakeNode({}, t)
  const { rawHeaders } = await request(`${node.url}/health`)
  const names = rawHeaders.filter((_, i) => i % 2 === 0)
  assert.deepEqual(names, [
    'content-type',
    'content-length',
    'ratelimit-limit',
    'ratelimit-remaining',
    'ratelimit-reset',
    'date',
    'server',
    'Connection',
  ])
})

describe('subscriptions where the chain is enabled', async () => {
  const node = await startFakeNode({ containers: CONTAINERS, chain: true, walletAddress: '0xAa', rateLimit: 0 })
  after(() => node.stop())
  const send = async (body: string, path = '/api/jobs'): Promise<string> => {
    const { status, text } = await post(node.url + path, body, { headers: { 'Content-Type': 'application/json' } })
    return `${status} ${text.trim()}`
  }

  test('one is accepted without an id, and told of', async () => {
    const told = node.next('subscribed')
    assert.equal(await send(subscription(['echo', 'inner'])), '200 {}')
    assert.equal((await told).frequency, 1)
    assert.match((await request(`${node.url}/info`)).text, /^{"chain":{"address":"0xAa","enabled":true}/)
  })

  test('an expired signature and an unknown pipeline are 500', async () => {
    assert.match(await send(subscription(['echo'], 1)), /^500 .*MessageType is not JSON serializable/)
    assert.equal(await send(subscription(['other'])), '500 {"error":"Internal server error: list index out of range"}')
  })

  test('an inner container first is refused', async () => {
    assert.match(await send(subscription(['inner'])), /^405 {"error":"First container must be external"/)
  })

  test('a stream of one is refused without params', async () => {
    const refusal = '405 {"error":"Streaming only supported for OffchainJob requests."}'
    assert.equal(await send(subscription(['echo']), '/api/jobs/stream'), refusal)
  })

  test('in a batch, one whose refusal cannot be written spoils the answer after the others have started', async () => {
    const batch = `[{"containers":["echo"],"data":{},"id":"bx"},${subscription(['echo'], 1)}]`
    const ended = node.next('jobEnded', (job) => job.id === 'bx')
    assert.match(await send(batch, '/api/jobs/batch'), /^500 .*Could not enqueue job: {2}Object of type/)
    assert.equal((await ended).status, 'success')
  })

  test('in a batch, an unreadable item keeps the others from starting', async () => {
    const accepted = (await node.jobs()).length
    const batch = '[{"containers":["echo"],"data":{}},{"containers":["echo"]}]'
    assert.match(await send(batch, '/api/jobs/batch'), /^500 /)
    assert.equal((await node.jobs()).length, accepted)
  })
})
