/** Nodes that are to be switched off: no new work, and what they have to its end. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { assertError } from '../support.ts'
import { entryOf, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post, request, type Answer } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { ended, startNodes, submitted, submitTo } from '../jobs/support.ts'

const file = { after }
const KEY = 'operators-7351'
const BEARER = { Authorization: `Bearer ${KEY}` }
const BASIC = { Authorization: `Basic ${Buffer.from(`me:${KEY}`).toString('base64')}` }

interface Shown {
  name: string
  healthy: boolean
  drain: string | null
  unfinished: number
}

const nodes = await startNodes(file, 2, { concurrency: 10 })
const services = await Promise.all([1, 2].map(() => startFakeOpenAi({ models: ['m'] }, file)))
const gateway = await startGateway(file, {
  nodes,
  services: services.map((service, n) => entryOf(service, { name: `service ${n}` })),
  env: { OPS_KEY: KEY, STATE_URL: 'sqlite:jobs.db' },
})

const command = (what: 'drain' | 'undrain', name: string, headers: Record<string, string> = BEARER): Promise<Answer> =>
  request(`${gateway.url}/admin/nodes/${encodeURIComponent(name)}/${what}`, { method: 'POST', headers })

async function done(what: 'drain' | 'undrain', name: string): Promise<Shown> {
  const answer = await command(what, name)
  assert.equal(answer.status, 200, answer.text)
  return answer.json<Shown>()
}

async function shown(name: string): Promise<Shown | undefined> {
  const { services } = (await request(`${gateway.url}/stats`, { headers: BEARER })).json<{ services: Shown[] }>()
  return services.find((one) => one.name === name)
}

const healthOf = async (): Promise<{ status: string; degraded: boolean; healthy_services: string }> =>
  (await request(`${gateway.url}/health`)).json()

const addresses = async (): Promise<string[]> =>
  (await request(`${gateway.url}/api/v1/ips?container=echo&n=9`)).json<string[]>()

const toldOf = (message: string, name: string): number =>
  gateway.logs.filter((line) => line.message === message && line['node'] === name).length
const DRAINED = 'node is drained, may be switched off'

describe('who may drain a node', () => {
  test('is whoever has the OPS_KEY', async () => {
    const { address } = nodes[0]!
    assertError(await command('drain', address, {}), 401)
    assertError(await command('drain', address, { Authorization: 'Bearer other' }), 401)
    assertError(await command('drain', 'nobody'), 404)
    assertError(await command('undrain', 'nobody'), 404)
    assertError(await request(`${gateway.url}/admin/nodes/x/drain`, { headers: BEARER }), 405)
    assert.equal((await shown(address))?.drain, null)
  })

  test('with a password is only a page of the gateway itself, by the word of its browser', async () => {
    const { address } = nodes[0]!
    const evil = { Origin: 'http://evil.example' }
    const refused: Record<string, string>[] = [
      {},
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'none' },
      evil,
      { 'Sec-Fetch-Site': 'same-site', Origin: gateway.url },
    ]
    for (const headers of refused) assertError(await command('drain', address, { ...BASIC, ...headers }), 403)
    assertError(await command('drain', address, { ...BEARER, ...evil }), 403)
    assert.equal((await shown(address))?.drain, null)
    for (const headers of [{ 'Sec-Fetch-Site': 'same-origin' }, { Origin: gateway.url }] as Record<string, string>[])
      assert.equal((await command('undrain', address, { ...BASIC, ...headers })).status, 200)
  })

  test('is nobody where no OPS_KEY is set', async (t) => {
    const open = await spawnGateway(t)
    assert.match(assertError(await request(`${open.url}/admin/nodes/x/drain`, { method: 'POST' }), 403), /OPS_KEY/)
    for (const path of ['/admin', '/admin/nodes/x/drain', '/admin/nothing'])
      assert.match(assertError(await request(open.url + path), 403), /OPS_KEY/)
  })
})

describe('a drained node', () => {
  test('gets no new work of any kind, also after a restart, and is told of when its last job has ended', async () => {
    const [first, second] = nodes.map(({ address }) => address) as [string, string]
    await done('drain', second)
    const id = await submitted(gateway, { seconds: 6 })
    assert.equal((await done('undrain', second)).drain, null)
    const { drain, unfinished } = await done('drain', first)
    assert.deepEqual([drain, unfinished], ['draining', 1])
    const before = (await nodes[0]!.jobs()).length
    await Promise.all(Array.from({ length: 6 }, () => submitted(gateway)))
    assert.deepEqual(await addresses(), [second])
    assert.equal(
      (await post(`${gateway.url}/route/`, { endpoint: 'echo' })).json<{ url: string }>().url,
      `http://${second}`,
    )
    assert.deepEqual(
      await healthOf().then(({ status, degraded, healthy_services }) => [status, degraded, healthy_services]),
      ['healthy', false, '3/3'],
    )
    const there = await shown(first)
    assert.deepEqual([there?.healthy, there?.drain, there?.unfinished], [true, 'draining', 1])
    assert.match(
      (await request(`${gateway.url}/metrics`, { headers: BEARER })).text,
      new RegExp(`draining_node_unfinished{node="${first}"} 1`),
    )
    assert.equal(toldOf(DRAINED, first), 0)

    await gateway.restart()
    await gateway.ready(3)
    // On a slow machine its job has ended by now.
    assert.notEqual((await shown(first))?.drain, null)
    await submitted(gateway)
    assert.equal((await nodes[0]!.jobs()).length, before)
    await ended(gateway, [id])
    await eventually(async () => (await shown(first))?.drain === 'drained')
    assert.equal(toldOf(DRAINED, first), 1)
  })

  test('is as if it was not there, and gets work again at once when it is taken back', async () => {
    const [first, second] = nodes.map(({ address }) => address) as [string, string]
    assert.equal((await done('drain', second)).drain, 'drained')
    assertError(await submitTo(gateway, jobOf()), 503)
    assertError(await post(`${gateway.url}/api/jobs/stream`, jobOf()), 503)
    assert.deepEqual(await addresses(), [])
    assert.equal((await post(`${gateway.url}/route/`, { endpoint: 'echo' })).status, 503)
    assert.equal((await done('undrain', first)).drain, null)
    assert.deepEqual(await addresses(), [first])
    await submitted(gateway)
    assert.equal((await done('undrain', second)).drain, null)
    // What is done twice is done.
    assert.equal((await done('undrain', second)).drain, null)
  })

  test('may be drained by its line, which the command cannot take back', async () => {
    const [first, second] = nodes.map(({ address }) => address) as [string, string]
    await gateway.setNodes([first], [`${second} drain`])
    await eventually(async () => (await shown(second))?.drain === 'drained')
    assert.deepEqual(await addresses(), [first])
    assertError(await command('undrain', second), 409)
    await gateway.setNodes([first, second])
    await eventually(async () => (await addresses()).length === 2)
  })

  test('that is taken out of the list stays in /stats until its last job has ended', async () => {
    const [first, second] = nodes.map(({ address }) => address) as [string, string]
    await done('drain', second)
    const id = await submitted(gateway, { seconds: 4 })
    await done('undrain', second)
    const told = toldOf(DRAINED, first)
    await gateway.setNodes([second])
    await eventually(async () => (await shown(first))?.drain === 'draining')
    assert.equal((await healthOf()).healthy_services, '3/3')
    await ended(gateway, [id])
    await eventually(async () => (await shown(first)) === undefined)
    assert.equal(toldOf(DRAINED, first), told + 1)
    await gateway.setNodes([first, second])
    await eventually(async () => (await addresses()).length === 2)
  })
})

describe('a drained service', () => {
  const ask = (): Promise<Answer> => post(`${gateway.url}/v1/chat/completions`, { model: 'm', messages: [] })

  test('gets no requests; where all are drained, its models are 503, and not unknown', async () => {
    assert.equal((await done('drain', 'service 0')).drain, 'drained')
    for (let n = 0; n < 4; n++) assert.equal((await ask()).headers['x-infernet-node'], 'service 1')
    await done('drain', 'service 1')
    assertError(await ask(), 503, 'no_healthy_backend')
    assert.deepEqual((await request(`${gateway.url}/v1/models`)).json<{ data: unknown[] }>().data, [])
    await done('undrain', 'service 0')
    assert.equal((await ask()).headers['x-infernet-node'], 'service 0')
    await done('undrain', 'service 1')
  })
})
