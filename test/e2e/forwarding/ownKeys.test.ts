import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf, statusReport } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'

const OPS_KEY = 'ops-key-4711'
const API_KEY = 'api-key-4711'
const SERVICE_KEY = 'key-of-the-service'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const open = await startFakeOpenAi({ models: ['open'] }, file)
const locked = await startFakeOpenAi({ models: ['locked'], apiKey: SERVICE_KEY }, file)
const backends = [node, open, locked]

async function gatewayWith(env: Record<string, string>): Promise<Gateway> {
  return startGateway(file, {
    nodes: [node],
    services: [
      { name: 'open', url: open.url },
      { name: 'locked', url: locked.url, api_key: SERVICE_KEY },
    ],
    env,
  })
}

const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`

/** Every way in which a request can show a key in its headers. */
const formsOf = (key: string): Record<string, string>[] => [
  { Authorization: `Bearer ${key}` },
  { Authorization: `bearer   ${key}  ` },
  { Authorization: `Bearer\t${key}` },
  { Authorization: key },
  { Authorization: `Token token="${key}"` },
  { Authorization: `Bearer "${key}"` },
  { Authorization: `Bearer ${key};` },
  { Authorization: basic(`operator:${key}`) },
  { Authorization: basic(`${key}:`) },
  { Authorization: basic(key) },
  { 'X-API-Key': key },
  { 'X-API-Key': `client-own, ${key}` },
  { 'api-key': key },
  { 'X-Auth-Token': key },
  { 'X-Goog-Api-Key': key },
]

/** Sends something on every path that forwards. */
async function sendOnEveryPath(url: string, headers: Record<string, string>): Promise<void> {
  const chat = (model: string): object => ({ model, messages: [{ role: 'user', content: 'hello' }] })
  const { id } = (await post(`${url}/api/jobs`, jobOf(), { headers })).json<{ id: string }>()
  await post(`${url}/api/jobs/batch`, [jobOf(), jobOf()], { headers })
  await (
    await openStream(`${url}/api/jobs/stream`, { body: jobOf(), headers })
  ).ended
  await request(`${url}/api/status`, {
    method: 'PUT',
    body: statusReport(id, 'running'),
    headers,
  })
  for (const model of ['open', 'locked']) {
    await post(`${url}/v1/chat/completions`, chat(model), { headers })
    await post(`${url}/v1/embeddings`, { model, input: 'a' }, { headers })
  }
  for (const path of [
    '/info',
    '/resources',
    '/resources?model_id=m',
    '/api/v1/resources',
    '/api/v1/ips?container=echo',
  ]) {
    await request(url + path, { headers })
  }
}

/** Fails where a backend has seen the key, plain or inside HTTP Basic. */
function assertUnseen(key: string): void {
  for (const { requests } of backends) {
    for (const { url, rawHeaders, endpoint } of requests) {
      const texts = rawHeaders.map(
        (text) => `${text} ${Buffer.from(text.replace(/^Basic /i, ''), 'base64').toString()}`,
      )
      assert.ok(![url, ...texts].some((text) => text.includes(key)), `${endpoint}: ${url} ${rawHeaders.join(' ')}`)
    }
  }
}

describe('with an OPS_KEY alone', async () => {
  const gateway = await gatewayWith({ OPS_KEY })

  test('it never reaches a backend, in whatever header it comes and on whatever path', async () => {
    for (const headers of formsOf(OPS_KEY)) await sendOnEveryPath(gateway.url, headers)
    assert.ok(node.seen('submit').length >= formsOf(OPS_KEY).length)
    assert.ok(open.seen('chat').length >= formsOf(OPS_KEY).length)
    assertUnseen(OPS_KEY)
  })

  test('it does not reach a service in a query either, and the rest of the query does', async () => {
    const query = `?api_key=${OPS_KEY}&deployment=a%20b&key=${encodeURIComponent(OPS_KEY)}&key=own`
    await post(`${gateway.url}/v1/chat/completions${query}`, { model: 'open', messages: [] })
    assertUnseen(OPS_KEY)
    assert.match(open.seen('chat').at(-1)!.url, /\?deployment=a%20b&key=own$/)
  })

  test("a client's own credentials beside it go on", async () => {
    const headers = { Authorization: basic(`operator:${OPS_KEY}`), 'X-API-Key': 'client-own' }
    await post(`${gateway.url}/v1/chat/completions`, { model: 'open', messages: [] }, { headers })
    const seen = open.seen('chat').at(-1)!
    assert.equal(seen.header('authorization'), undefined)
    assert.equal(seen.header('x-api-key'), 'client-own')
  })

  test('a header with more words than anybody reads stays behind, and costs no time', async () => {
    const headers = { 'X-Auth-Token': Array.from({ length: 10_000 }, (_, i) => `w${i}`).join(' ') }
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf(), { headers })).status, 200)
    assert.equal(node.seen('submit').at(-1)!.header('x-auth-token'), undefined)
  })
})

test('with API_KEYS and an OPS_KEY neither reaches a backend, whichever the client is admitted by', async () => {
  const gateway = await gatewayWith({ OPS_KEY, API_KEYS: API_KEY })
  const before = node.seen('submit').length
  const admitting = [{ Authorization: `Bearer ${API_KEY}` }, { 'X-API-Key': API_KEY }, { 'api-key': API_KEY }]
  for (const [i, other] of [...formsOf(OPS_KEY), ...formsOf(API_KEY)].entries()) {
    await sendOnEveryPath(gateway.url, { ...other, ...admitting[i % 3] })
  }
  assert.ok(node.seen('submit').length > before)
  for (const key of [OPS_KEY, API_KEY]) assertUnseen(key)
})

test('cookies and header names with an underscore go to no backend', async (t) => {
  const gateway = await gatewayWith({})
  const headers = { Cookie: 'session=1; theme=2', Cookie2: '$Version=1', X_Forwarded_For: '9.9.9.9', 'X-Kept_Not': '1' }
  await sendOnEveryPath(gateway.url, { ...headers, 'X-Kept': '1' })
  for (const endpoint of ['submit', 'batch', 'stream', 'status'] as const) {
    const seen = node.seen(endpoint).at(-1)!
    assert.equal(seen.header('x-kept'), '1', endpoint)
    for (const name of Object.keys(headers)) assert.equal(seen.header(name), undefined, `${endpoint} ${name}`)
  }
  for (const service of [open, locked]) {
    const seen = service.seen('chat').at(-1)!
    assert.equal(seen.header('x-kept'), '1')
    for (const name of Object.keys(headers)) assert.equal(seen.header(name), undefined, name)
  }
  const raw = await openRaw(gateway.url, { t })
  const body = JSON.stringify(jobOf())
  raw.send(
    `POST /api/jobs HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\ncookie: b=2\r\nx_real_ip: 9.9.9.9\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await raw.until((received) => received.includes('"id"'))
  await eventually(() => !node.seen('submit').at(-1)!.rawHeaders.includes('x-kept'))
  assert.deepEqual(
    node
      .seen('submit')
      .at(-1)!
      .rawHeaders.filter((text) => /^cookie$|_/i.test(text)),
    [],
  )
})
