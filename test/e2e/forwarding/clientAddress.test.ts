import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Endpoint, RecordedRequest } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const [trusting, distrustful] = await Promise.all([
  gatewayFor(file, [node], { TRUST_PROXY: 'loopback' }),
  gatewayFor(file, [node]),
])

type Headers = Record<string, string | string[]>
interface From {
  headers?: Headers
  localAddress?: string
}

/** What the node is sent when a client with that address and those headers submits a job. */
async function sentBy(at: Gateway, from: From): Promise<RecordedRequest> {
  const after = node.requests.at(-1)?.n ?? 0
  assert.equal((await post(`${at.url}/api/jobs`, jobOf(), from)).status, 200)
  return node.waitFor((seen) => seen.endpoint === 'submit', { after })
}

describe('by default nobody’s X-Forwarded-For is believed', () => {
  test('the node is told the true address, first and only', async () => {
    for (const forged of [
      '198.51.100.7',
      '127.0.0.1, 198.51.100.7',
      'unknown',
      ',',
      '::1',
      ['198.51.100.7', '10.0.0.1'],
    ]) {
      const seen = await sentBy(distrustful, { headers: { 'X-Forwarded-For': forged }, localAddress: '127.0.0.9' })
      assert.deepEqual(seen.headerLines('x-forwarded-for'), ['127.0.0.9'])
    }
  })

  test('on every call that goes to a node', async () => {
    const from = { headers: { 'X-Forwarded-For': '198.51.100.7' }, localAddress: '127.0.0.10' }
    const sent: [Endpoint, () => Promise<unknown>][] = [
      [
        'stream',
        async () => (await openStream(`${distrustful.url}/api/jobs/stream`, { body: jobOf(), ...from })).ended,
      ],
      ['batch', () => post(`${distrustful.url}/api/jobs/batch`, [jobOf()], from)],
    ]
    for (const [endpoint, send] of sent) {
      const after = node.requests.at(-1)!.n
      await send()
      const seen = await node.waitFor((one) => one.endpoint === endpoint, { after })
      assert.deepEqual(seen.headerLines('x-forwarded-for'), ['127.0.0.10'], endpoint)
    }
  })

  test('nor what else a client says of itself', async () => {
    const headers = {
      Host: 'gateway.example:8080',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Port': '443',
      'X-Real-IP': '198.51.100.7',
      Forwarded: 'for=198.51.100.7',
    }
    const seen = await sentBy(distrustful, { headers, localAddress: '127.0.0.11' })
    assert.equal(seen.header('x-forwarded-for'), '127.0.0.11')
    assert.equal(seen.header('x-forwarded-proto'), 'http')
    assert.equal(seen.header('x-forwarded-host'), 'gateway.example:8080')
    assert.equal(seen.header('host'), node.address)
    for (const name of ['x-forwarded-port', 'x-real-ip', 'forwarded']) assert.equal(seen.header(name), undefined, name)
  })

  test('nobody gets at another’s jobs by a forged address', async () => {
    const made = await post(`${distrustful.url}/api/jobs`, jobOf(), { localAddress: '127.0.0.12' })
    const { id } = made.json<{ id: string }>()
    const forged = { headers: { 'X-Forwarded-For': '127.0.0.12' }, localAddress: '127.0.0.13' }
    assert.equal((await request(`${distrustful.url}/api/jobs`, forged)).text, '[]')
    assert.equal((await request(`${distrustful.url}/api/jobs?id=${id}`, forged)).text, '[]')
    const own = await request(`${distrustful.url}/api/jobs`, { localAddress: '127.0.0.12' })
    assert.deepEqual(own.json(), [id])
  })

  test('the operator is warned, once', async () => {
    const isWarning = (line: { level?: string; message?: string }): boolean =>
      line.level === 'warn' && /X-Forwarded-For/.test(line.message ?? '')
    for (let i = 0; i < 3; i++) {
      await request(`${distrustful.url}/livez`, {
        headers: { 'X-Forwarded-For': '198.51.100.7', 'X-Request-Id': `w${i}` },
      })
    }
    await distrustful.waitForLog((line) => line['requestId'] === 'w2')
    assert.equal(distrustful.logs.filter(isWarning).length, 1)
    assert.equal(trusting.logs.filter(isWarning).length, 0)
  })
})

describe('with TRUST_PROXY', () => {
  test('a trusted proxy’s word counts, and the node is told the whole believed chain, the client first', async () => {
    const chains: Record<string, string> = {
      '198.51.100.7': '198.51.100.7, 127.0.0.9',
      '198.51.100.7, 127.0.0.3': '198.51.100.7, 127.0.0.3, 127.0.0.9',
      // What an untrusted hop claims about those before it counts for nothing.
      '203.0.113.5, 198.51.100.7': '198.51.100.7, 127.0.0.9',
      '2001:db8::1': '2001:db8::1, 127.0.0.9',
      '::ffff:198.51.100.7': '198.51.100.7, 127.0.0.9',
    }
    for (const [given, told] of Object.entries(chains)) {
      const seen = await sentBy(trusting, { headers: { 'X-Forwarded-For': given }, localAddress: '127.0.0.9' })
      assert.deepEqual(seen.headerLines('x-forwarded-for'), [told], given)
    }
  })

  test('without the header the proxy itself is the client', async () => {
    const seen = await sentBy(trusting, { localAddress: '127.0.0.9' })
    assert.deepEqual(seen.headerLines('x-forwarded-for'), ['127.0.0.9'])
  })

  test('where it names no address, the proxy itself is the client; a port that it adds counts for nothing', async () => {
    const clients: Record<string, string> = {
      '': '127.0.0.9',
      ',': '127.0.0.9',
      unknown: '127.0.0.9',
      _hidden: '127.0.0.9',
      '198.51.100.7:1234': '198.51.100.7, 127.0.0.9',
      '[2001:db8::1]:1234': '2001:db8::1, 127.0.0.9',
      '198.51.100.7:1234, 127.0.0.3': '198.51.100.7, 127.0.0.3, 127.0.0.9',
    }
    for (const [given, told] of Object.entries(clients)) {
      const seen = await sentBy(trusting, { headers: { 'X-Forwarded-For': given }, localAddress: '127.0.0.9' })
      assert.deepEqual(seen.headerLines('x-forwarded-for'), [told], given)
    }
  })

  test('its word on scheme and host goes on', async () => {
    const headers = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'api.example' }
    const seen = await sentBy(trusting, { headers })
    assert.equal(seen.header('x-forwarded-proto'), 'https')
    assert.equal(seen.header('x-forwarded-host'), 'api.example')
  })

  test('jobs belong to the client behind the proxy', async () => {
    const as = (client: string): From => ({ headers: { 'X-Forwarded-For': client } })
    const made = await post(`${trusting.url}/api/jobs`, jobOf(), as('198.51.100.20'))
    const { id } = made.json<{ id: string }>()
    await eventually(async () => (await request(`${trusting.url}/api/jobs`, as('198.51.100.20'))).text === `["${id}"]`)
    assert.equal((await request(`${trusting.url}/api/jobs`, as('198.51.100.21'))).text, '[]')
    assert.equal((await request(`${trusting.url}/api/jobs`)).text.includes(id), false)
  })
})
