import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { serve } from '../../kit/serve.ts'
import { post, request } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { eventually } from '../../kit/wait.ts'

const file = { after }
const node = await startFakeNode(
  { rateLimit: 0, containers: ['echo', { id: 'inner', external: false, image: 'example/inner:1' }] },
  file,
)
const rival = await startFakeNode({ rateLimit: 0, containers: [{ id: 'inner', image: 'example/inner:2' }] }, file)
const dead = await startFakeNode({}, file)
await dead.refuse()
const openai = await serve(file, (_request, response) => response.end('{"data":[{"id":"m1"},{"id":"m2"}]}'))
const named = `http://${node.address}/`
const gateway = await startGateway(file, {
  nodes: [named, rival.address, dead.address],
  services: [{ name: 'chat', url: `http://${openai}/v1/`, api_key: 'never-shown', concurrency: 9 }],
  env: { REFRESH_INTERVAL: '0.5' },
  healthy: 3,
})

interface Stats {
  name: string
  healthy: boolean
  request_count: number
  error_count: number
  response_time: number
  in_flight: number
  pending: number
  reason?: string
  [more: string]: unknown
}

interface AllStats {
  total_services: number
  healthy_services: number
  services: Stats[]
  image_conflicts: { container: string; images: Record<string, string[]> }[]
}

const stats = async (): Promise<AllStats> => (await request(`${gateway.url}/stats`)).json<AllStats>()

async function statsOf(name: string): Promise<Stats> {
  const found = (await stats()).services.find((service) => service.name === name)
  assert.ok(found, name)
  return found
}

describe('/services', () => {
  test('tells who is behind the gateway, and what they can do', async () => {
    await gateway.waitForLog((line) => line.message === 'node down' && line['node'] === dead.address)
    const counted = { request_count: 0, error_count: 0, response_time: 0 }
    const ofNode = ({ url, port }: { url: string; port: number }): object => ({
      ...{ url, host: '127.0.0.1', port, weight: 1, ...counted },
      metadata: { type: 'infernet-node' },
    })
    const service = { host: '127.0.0.1', port: Number(openai.split(':')[1]), weight: 1, ...counted }
    assert.deepEqual((await request(`${gateway.url}/services`)).json(), {
      services: [
        { name: named, healthy: true, containers: ['echo', 'inner'], ...ofNode(node) },
        { name: rival.address, healthy: true, containers: ['inner'], ...ofNode(rival) },
        { name: dead.address, healthy: false, containers: [], ...ofNode(dead) },
        {
          ...{ name: 'chat', url: `http://${openai}`, healthy: true, models: ['m1', 'm2'], ...service },
          metadata: { type: 'openai-api' },
        },
      ],
      total: 4,
    })
  })
})

describe('/stats', () => {
  test('counts services and healthy ones', async () => {
    const { total_services, healthy_services, services } = await stats()
    assert.deepEqual([total_services, healthy_services, services.length], [4, 3, 4])
  })

  test('tells how each of them does', async () => {
    const before = await statsOf(named)
    assert.deepEqual([before.request_count, before.error_count, before.in_flight], [0, 0, 0])
    await node.late(1, 'submit', { times: 1 })
    const running = post(`${gateway.url}/api/jobs`, jobOf())
    await eventually(async () => (await statsOf(named)).in_flight === 1)
    await running
    await eventually(async () => (await statsOf(named)).in_flight === 0)
    const { request_count, error_count, response_time, healthy } = await statsOf(named)
    assert.deepEqual([request_count, error_count, healthy], [1, 0, true])
    assert.ok(response_time >= 0.99 && response_time < 10, `${response_time} is in seconds`)
  })

  test('counts what fails at a node', async () => {
    await node.break('submit', { times: 1 })
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 502)
    assert.equal((await statsOf(named)).error_count, 1)
  })

  test('shows what is pending by the last poll', async () => {
    await node.set({ shownPending: { offchain: 4, onchain: 3 } })
    await eventually(async () => (await statsOf(named)).pending === 7, { withinMs: 20_000 })
    await node.set({ shownPending: {} })
  })

  test('tells why a node is unhealthy', async () => {
    const { healthy, reason } = await statsOf(dead.address)
    assert.equal(healthy, false)
    assert.match(reason ?? '', /refused/)
  })

  test('tells of one container id that stands for two images, as the log does', async () => {
    const { image_conflicts } = await stats()
    const conflict = {
      container: 'inner',
      images: { 'example/inner:1': [named], 'example/inner:2': [rival.address] },
    }
    assert.deepEqual(image_conflicts, [conflict])
    const lines = gateway.logs.filter(({ container }) => container === 'inner')
    const images = {
      'example/inner:1': { count: 1, nodes: [named] },
      'example/inner:2': { count: 1, nodes: [rival.address] },
    }
    assert.deepEqual(
      lines.map((line) => ({ level: line.level, images: line['images'] })),
      [{ level: 'warn', images }],
    )
  })

  test('tells no more of it once it is over', async () => {
    await rival.set({ containers: [{ id: 'inner', image: 'example/inner:1' }] })
    await eventually(async () => (await stats()).image_conflicts.length === 0, { withinMs: 20_000 })
  })
})

describe('/metrics', () => {
  /** The lines of one metric: labels and value. */
  async function metric(name: string): Promise<{ labels: Record<string, string>; value: number }[]> {
    const answer = await request(`${gateway.url}/metrics`)
    assert.equal(answer.status, 200)
    return [...answer.text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(([, labels, value]) => ({
      labels: Object.fromEntries(
        [...(labels ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text]),
      ),
      value: Number(value),
    }))
  }

  test('is text as Prometheus reads it, with help and type for each metric', async () => {
    const { headers, text } = await request(`${gateway.url}/metrics`)
    assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/)
    for (const line of text.split('\n')) {
      assert.match(line, /^$|^# (HELP|TYPE) \w+ .+$|^[a-zA-Z_:]\w*(\{.*\})? (-?[\d.]+(e[+-]?\d+)?|[+-]Inf|Nan)$/i)
    }
    for (const name of ['requests_total', 'request_seconds', 'node_healthy', 'node_in_flight', 'node_pending']) {
      assert.ok(text.includes(`# TYPE infernet_gateway_${name} `), name)
    }
    assert.ok(text.includes('process_cpu_seconds_total'))
  })

  test('shows each node under the name it is listed by', async () => {
    const healthy = await metric('infernet_gateway_node_healthy')
    assert.deepEqual(Object.fromEntries(healthy.map(({ labels, value }) => [labels['node'], value])), {
      [named]: 1,
      [rival.address]: 1,
      [dead.address]: 0,
      chat: 1,
    })
  })

  test('counts requests by route, method and status', async () => {
    const count = async (): Promise<number> =>
      (await metric('infernet_gateway_requests_total')).find(
        ({ labels: { route, method, status } }) => route === '/livez' && method === 'GET' && status === '200',
      )?.value ?? 0
    const before = await count()
    for (let i = 0; i < 3; i++) await request(`${gateway.url}/livez?n=${i}`)
    assert.equal(await count(), before + 3)
  })

  test('has no label value that a client made up', async () => {
    const made = 'made-up-7351'
    await Promise.all([
      request(`${gateway.url}/${made}`),
      request(`${gateway.url}/api/jobs/${made}`, { method: 'DELETE' }),
      request(`${gateway.url}/api/v1/ips?container=${made}`),
      request(`${gateway.url}/api/v1/resources?model_id=${made}`),
      request(`${gateway.url}/livez`, { method: 'PROPFIND', headers: { 'X-Request-Id': made, 'User-Agent': made } }),
      post(`${gateway.url}/api/jobs`, jobOf({}, [made])),
      post(`${gateway.url}/v1/chat/completions`, { model: made, messages: [] }),
      post(`${gateway.url}/v1/audio/${made}`, { model: made }),
      post(`${gateway.url}/route/`, { endpoint: made }),
    ])
    const { text } = await request(`${gateway.url}/metrics`)
    assert.ok(!text.includes(made))
    const requests = await metric('infernet_gateway_requests_total')
    assert.ok(!requests.some(({ labels }) => labels['method'] === 'PROPFIND'))
    assert.ok(requests.some(({ labels }) => labels['route'] === 'unknown' && labels['status'] === '404'))
  })

  test('has a bounded number of series, however many nodes there are', async () => {
    const nodes = await serve(file, (_request, response) => response.end(infoText()))
    await gateway.setNodes(Array.from({ length: 230 }, (_, n) => `http://${nodes}/${n}`))
    await gateway.ready(231, 30_000)
    const healthy = await metric('infernet_gateway_node_healthy')
    assert.equal(healthy.length, 201)
    assert.equal(healthy.find(({ labels }) => labels['node'] === 'other')?.value, 31)
    // Those that are gone take their series with them.
    assert.ok(!healthy.some(({ labels }) => labels['node'] === named))
  })

  test('shows nobody a key', async () => {
    for (const path of ['/services', '/stats', '/metrics']) {
      assert.ok(!(await request(gateway.url + path)).text.includes('never-shown'), path)
    }
    assert.ok(!gateway.output.includes('never-shown'))
  })
})
