import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const NODES = 800
/** New nodes that fall silent hold their places for a second of three, and so do those that are asked again. */
const MOST_OPEN = 3 * (128 + 64)
const PATHS = ['/api/v1/ip', '/api/v1/ips?container=echo', '/api/v1/containers', '/api/v1/resources', '/info']

/** Polls that are not answered yet, by path. */
const open = new Map<string, ServerResponse>()
let mostOpen = 0
let isHolding = true
const address = await serve({ after }, (incoming, response) => {
  if (!isHolding) return void response.end(infoText())
  const { url = '' } = incoming
  open.set(url, response)
  mostOpen = Math.max(mostOpen, open.size)
  response.once('close', () => open.delete(url))
})
const gateway = await spawnGateway(
  { after },
  {
    nodes: Array.from({ length: NODES }, (_, n) => `http://${address}/${n}`),
    env: { RATELIMIT_REQS_PER_MIN: '0', REFRESH_INTERVAL: '5' },
  },
)

test('before the first poll has ended requests wait for three seconds, then they are told to come again', async () => {
  const startedAt = performance.now()
  // A client that would ask again anyway is told so in its own dialect.
  const waiting = post(`${gateway.url}/route/`, { endpoint: 'echo', request_idx: 0 })
  const answers = await Promise.all([
    ...PATHS.map((path) => request(gateway.url + path)),
    post(`${gateway.url}/api/jobs`, jobOf()),
    post(`${gateway.url}/api/jobs/stream`, jobOf()),
  ])
  const seconds = (performance.now() - startedAt) / 1000
  for (const answer of answers) {
    assertError(answer, 503)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
  }
  assert.ok(seconds > 2.5, `after ${seconds} s`)
  const { status, text } = await waiting
  assert.equal(status, 200, text)
  assert.match(text, /^{"endpoint":"echo","request_idx":1,"status":{/)
  // Nothing was sent.
  assert.ok([...open.keys()].every((url) => url.endsWith('/info')))
})

test('many polls of new nodes run at once, but not all', () => {
  assert.ok(mostOpen >= 100, `${mostOpen} at once`)
  assert.ok(mostOpen <= MOST_OPEN, `${mostOpen} at once`)
})

test('once the polls are answered, all nodes are there', async () => {
  isHolding = false
  for (const response of open.values()) response.end(infoText())
  await gateway.ready(NODES, 30_000)
  assert.equal(
    (await request(`${gateway.url}/api/v1/ips?container=echo&n=${NODES + 1}`)).json<string[]>().length,
    NODES,
  )
})

test('a fleet of one node that says nothing is not known after the three seconds either', async (t) => {
  const silent = await serve(t, () => undefined)
  const alone = await spawnGateway(t, { nodes: [silent], env: { RATELIMIT_REQS_PER_MIN: '0' } })
  for (const answer of await Promise.all(PATHS.map((path) => request(alone.url + path)))) assertError(answer, 503)
  // Later on it is a fleet without a healthy node, which is an answer.
  await eventually(async () => (await request(`${alone.url}/api/v1/ips?container=echo`)).text === '[]', {
    withinMs: 10_000,
  })
})
