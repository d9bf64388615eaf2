/** `POST /worker_status/`: what workers of Vast's SDK report of themselves. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer, RequestOptions } from '../../kit/http.ts'
import { serve } from '../../kit/serve.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'

const file = { after }
/** As workers are: nothing that the gateway could ask of them is there. */
const startWorker = (): Promise<string> => serve(file, (_incoming, response) => void response.writeHead(404).end())
const [one, other, node] = await Promise.all([
  startWorker(),
  startWorker(),
  startFakeNode({ containers: ['only'], rateLimit: 0 }, file),
])
const SERVICES = [
  { name: 'one', url: `http://${one}`, models: ['m', 'alone'] },
  { name: 'other', url: `http://${other}`, models: ['m'] },
]
const gateway = await startGateway(file, {
  nodes: [`${node.address}/`],
  services: SERVICES,
  env: { REFRESH_INTERVAL: '600', OPS_KEY: 'the-ops-key' },
})
const STRANGER = { localAddress: '127.0.0.2' }
const OPS = { headers: { Authorization: 'Bearer the-ops-key' } }

/** A whole report, as version 1.9 of the SDK sends it. */
const report = (address: string, more: object = {}): object => ({
  ...{ id: 1234, mtoken: 'secret-token', version: '1.1.0', loadtime: 12.5, cur_load: 0.0, rej_load: 0.0 },
  ...{ new_load: 0.0, error_msg: '', max_perf: 100.5, cur_perf: 0.0, cur_capacity: 0, max_capacity: 0 },
  ...{ num_requests_working: 0, num_requests_recieved: 0, additional_disk_usage: 0.1, disk_usage: 20.5 },
  ...{ working_request_idxs: [], url: `http://${address}`, ...more },
})
const LOADING = { loadtime: 0.0, max_perf: 0.0 }

const tell = (body: object | string, options: RequestOptions = {}, path = '/worker_status/'): Promise<Answer> =>
  post(gateway.url + path, body, options)

async function told(address: string, more: object = {}): Promise<void> {
  const answer = await tell(report(address, more))
  assert.equal(answer.status, 200, answer.text)
}

async function urlFor(endpoint: string, { url } = gateway): Promise<string | undefined> {
  return (await post(`${url}/route/`, { endpoint, request_idx: 0 })).json<{ url?: string }>().url
}

async function statsOf(name: string): Promise<{ healthy: boolean; reason?: string; unseen: number }> {
  const { services } = (await request(`${gateway.url}/stats`, OPS)).json<{
    services: { name: string; healthy: boolean; reason?: string; unseen: number }[]
  }>()
  return services.find((service) => service.name === name)!
}

describe('a worker that reports', () => {
  test('that it is loading gets no tickets until it reports that it is not', async () => {
    assert.equal(await urlFor('alone'), `http://${one}`)
    const answer = await tell(report(one, LOADING), {}, '/worker_status')
    assert.deepEqual([answer.status, answer.json()], [200, { workers: ['one'], ready: false }])
    assert.equal(await urlFor('alone'), undefined)
    assertError(await post(`${gateway.url}/api/v1/ip`, {}), 405)
    for (let n = 0; n < 8; n++) assert.equal(await urlFor('m'), `http://${other}`)
    const { status } = (await post(`${gateway.url}/route/`, { endpoint: 'alone' })).json<{ status: object }>()
    assert.deepEqual(status, { healthy: 2, unhealthy: 1, total: 3, loading: 1 })
    assert.deepEqual(
      [(await statsOf('one')).healthy, (await statsOf('one')).reason],
      [false, 'The worker reports that it is loading'],
    )
    await told(one)
    assert.equal(await urlFor('alone'), `http://${one}`)
    assert.equal((await statsOf('one')).reason, undefined)
  })

  test('an error gets none either, and its words are told to operators', async () => {
    await told(one, { error_msg: 'Out of memory' })
    assert.equal(await urlFor('alone'), undefined)
    await gateway.waitForLog((line) => line.message === 'node down' && /Out of memory/.test(String(line['reason'])))
    await told(one)
    assert.equal(await urlFor('alone'), `http://${one}`)
  })

  test('in plain words is understood too', async () => {
    for (const [words, isReady] of [
      [{ loading: true }, false],
      [{ loaded: true }, true],
      [{ loaded: false, max_perf: 10 }, false],
      [{ loading: false }, true],
    ] as const) {
      assert.equal((await tell({ url: `http://${one}/`, ...words })).json<{ ready: boolean }>().ready, isReady)
      assert.equal((await urlFor('alone')) !== undefined, isReady)
    }
  })

  test('many requests at work is as busy as that', async () => {
    await told(one, { num_requests_working: 50 })
    await told(other, { num_requests_working: 0 })
    assert.ok((await statsOf('one')).unseen > 40)
    assert.equal(await urlFor('m'), `http://${other}`)
    await told(one)
  })

  test('may be a node', async () => {
    await told(node.address, LOADING)
    assert.equal(await urlFor('only'), undefined)
    await told(node.address)
    assert.equal(await urlFor('only'), node.url)
  })

  test('leaves no secret of its own in the log', () => {
    assert.ok(!gateway.output.includes('secret-token'))
  })
})

describe('a report', () => {
  test('is taken from STATUS_ALLOWED_IPS or with the OPS_KEY alone', async () => {
    const body = report(one)
    const basic = `Basic ${Buffer.from('worker:the-ops-key').toString('base64')}`
    for (const headers of [OPS.headers, { 'X-API-Key': 'the-ops-key' }, { Authorization: basic }]) {
      assert.equal((await tell(body, { ...STRANGER, headers })).status, 200)
    }
    for (const headers of [{}, { Authorization: 'Bearer wrong' }]) {
      assert.deepEqual((await tell(body, { ...STRANGER, headers })).json(), { error: 'Unauthorized' })
      assertError(await tell('no JSON', { ...STRANGER, headers }), 403)
      assertError(await tell({}, { ...STRANGER, headers }, '/delete_requests/'), 403)
    }
    assert.equal((await tell(body, { headers: { Authorization: 'Bearer wrong' } })).status, 200, 'by its address')
  })

  test('of a worker that is not listed is a 404', async () => {
    for (const url of ['http://127.0.0.1:1', `https://${one}`, `http://${one}/base`]) {
      assertError(await tell(report(one, { url })), 404)
    }
  })

  test('that cannot be understood is a 400 that names what is wrong', async () => {
    for (const [body, what] of [
      ['', /JSON/],
      ['[]', /JSON/],
      [{}, /url/],
      [report(one, { url: null }), /url/],
      [report(one, { url: 'ftp://x' }), /url/],
      [report(one, { url: 5 }), /url/],
      [{ url: `http://${one}` }, /loadtime/],
      [report(one, { loadtime: 'long' }), /loadtime/],
      [report(one, { max_perf: -1 }), /max_perf/],
      [report(one, { num_requests_working: 1.5 }), /num_requests_working/],
      [report(one, { loaded: 'yes' }), /loaded/],
      [report(one, { error_msg: {} }), /error_msg/],
    ] as const) {
      assert.match(assertError(await tell(body), 400), what)
    }
    assert.equal(await urlFor('alone'), `http://${one}`)
  })

  test('of requests that have ended is taken, and changes nothing', async () => {
    const body = { worker_id: 1234, mtoken: 'secret-token', requests: [{ request_idx: 1, status: 'Success' }] }
    assert.deepEqual((await tell(body, {}, '/delete_requests/')).json(), {})
  })
})

test('one of several processes is told, and all of them know', async (t) => {
  const crew: Gateway = await startGateway(t, { services: SERVICES, env: { WORKERS: '2' } })
  const isReady = async (): Promise<boolean> => (await urlFor('alone', crew)) !== undefined
  // Requests of new connections go to the workers in turn.
  const all = async (): Promise<boolean[]> => [await isReady(), await isReady(), await isReady(), await isReady()]
  await eventually(async () => (await all()).every(Boolean), { withinMs: 10_000 })
  await post(`${crew.url}/worker_status/`, report(one, LOADING))
  assert.deepEqual(await all(), [false, false, false, false])
  await post(`${crew.url}/worker_status/`, report(one))
  await eventually(async () => (await all()).every(Boolean), { withinMs: 10_000 })
})
