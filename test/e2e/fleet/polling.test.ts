import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, describe, test } from 'node:test'
import { spawnGateway } from '../../kit/gateway.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { startSimNode } from '../../kit/simNode/index.ts'
import type { SimNode } from '../../kit/simNode/handle.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError, gatewayFor, job } from '../support.ts'
import { infoText, serve } from './infoServer.ts'

const file = { after }

/** Seconds between the requests to `/info`. */
function gaps(node: SimNode): number[] {
  const times = node.seen('info').map(({ at }) => at)
  return times.slice(1).map((at, i) => (at - times[i]!) / 1000)
}

/** Waits until the node has been asked so often in all. */
async function asked(node: SimNode, times: number, withinMs = 20_000): Promise<void> {
  await eventually(() => node.seen('info').length >= times, { withinMs, what: `poll ${times}` })
}

async function isHealthy(gateway: Gateway, node: SimNode): Promise<boolean> {
  const { services } = (await request(`${gateway.url}/services`)).json<{
    services: { name: string; healthy: boolean }[]
  }>()
  return services.find(({ name }) => name === node.address)?.healthy === true
}

/** How often the log says that of the node. */
function told(gateway: Gateway, message: string, node: SimNode): number {
  return gateway.logs.filter((line) => line.message === message && line['node'] === node.address).length
}

describe('polls', { concurrency: true }, () => {
  test('come once an interval, give or take a tenth', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.6' })
    await asked(node, 6)
    for (const gap of gaps(node)) assert.ok(gap > 0.53 && gap < 3, `${gap} s`)
  })

  test('of one node never overlap, however slowly it answers', async (t) => {
    let open = 0
    let most = 0
    let polls = 0
    const address = await serve(t, (_request, response) => {
      polls++
      most = Math.max(most, ++open)
      response.once('close', () => open--)
      setTimeout(() => response.end(infoText()), 500)
    })
    await gatewayFor(t, [{ address }], { REFRESH_INTERVAL: '0.1' })
    await eventually(() => polls >= 4, { withinMs: 20_000 })
    assert.equal(most, 1)
  })

  test('run thirty-two at once at most, and before the first has ended requests wait, in the end in vain', async (t) => {
    const open = new Map<string, ServerResponse>()
    let isHolding = true
    const address = await serve(t, (incoming, response) => {
      if (!isHolding) return void response.end(infoText())
      const { url = '' } = incoming
      open.set(url, response)
      response.once('close', () => open.delete(url))
    })
    const nodes = Array.from({ length: 40 }, (_, n) => `http://${address}/${n}`)
    const gateway = await spawnGateway(t, { nodes, env: { RATELIMIT_REQS_PER_MIN: '0' } })
    const startedAt = performance.now()
    const early = ['/api/v1/ip', '/api/v1/ips?container=echo', '/api/v1/containers', '/info', '/api/jobs'].map(
      async (path) => {
        if (path !== '/api/jobs') return request(gateway.url + path)
        return post(gateway.url + path, job())
      },
    )
    const answers = Promise.all(early)
    await eventually(() => open.size === 32, { withinMs: 2500, what: 'the thirty-second poll' })
    const paths = new Set(open.keys())
    for (const answer of await answers) {
      assertError(answer, 503)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
    const seconds = (performance.now() - startedAt) / 1000
    assert.ok(seconds > 2.5 && seconds < 10, `after ${seconds} s`)
    assert.equal(paths.size, 32)
    isHolding = false
    for (const response of open.values()) response.end(infoText())
    await gateway.ready(40)
    assert.equal((await request(`${gateway.url}/api/v1/ips?container=echo&n=50`)).json<string[]>().length, 40)
  })

  test('a request that comes before the first answer waits for it', async (t) => {
    const node = await startSimNode({}, t)
    await node.late(0.7, 'info', { times: 1 })
    const gateway = await spawnGateway(t, { nodes: [node.address] })
    const answer = await request(`${gateway.url}/api/v1/ips?container=echo`)
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json(), [node.address])
  })

  test('of a node that fails come after 1, 2, 4 … seconds, up to the interval', async (t) => {
    const failing = await startSimNode({}, t)
    await failing.answer(500, 'info')
    await spawnGateway(t, { nodes: [failing.address], env: { REFRESH_INTERVAL: '3' } })
    await asked(failing, 4)
    const expected = [1, 2, 3]
    for (const [i, gap] of gaps(failing).slice(0, 3).entries()) {
      assert.ok(gap > 0.88 * expected[i]! && gap < 1.12 * expected[i]! + 1, `pause ${i + 1}: ${gap} s`)
    }
  })

  test('a node that answers again is asked at its usual pace again', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '2' })
    await node.answer(500, 'info', { times: 3 })
    await gateway.waitForLog((line) => line.message === 'node down')
    const polls = node.seen('info').length
    await gateway.waitForLog((line) => line.message === 'node up' && told(gateway, 'node up', node) === 2)
    await asked(node, polls + 4)
    const [, , last = 0] = gaps(node).slice(polls)
    assert.ok(last > 1.75, `${last} s`)
  })
})

describe('a 429 to a poll', { concurrency: true }, () => {
  test('is no sign of death: the node stays healthy and is handed out', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.3' })
    await node.pushBack('info')
    const polls = node.seen('info').length
    await asked(node, polls + 4)
    assert.equal(await isHealthy(gateway, node), true)
    assert.deepEqual((await request(`${gateway.url}/api/v1/ips?container=echo`)).json(), [node.address])
    assert.equal(told(gateway, 'node down', node), 0)
    // Each of them asked for a second's patience.
    for (const gap of gaps(node).slice(polls, polls + 3)) assert.ok(gap > 0.95, `${gap} s`)
  })

  test('of a node that nobody knows yet is asked again as soon as it allows, not an interval later', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    await node.pushBack('info', { times: 1 })
    const gateway = await spawnGateway(t, { nodes: [node.address], env: { REFRESH_INTERVAL: '60' } })
    await gateway.ready(1)
  })

  test('that asks for a thousand years is no reason to ask a thousand times a second', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    await node.pushBack('info', { retryAfter: 40_000_000_000 })
    await spawnGateway(t, { nodes: [node.address] })
    await asked(node, 1)
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.equal(node.seen('info').length, 1)
  })
})

describe('health flips on consecutive evidence', { concurrency: true }, () => {
  test('from polls: down by three failures in a row, up by two successes', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.3' })
    await node.answer(500, 'info', { times: 2 })
    await asked(node, node.seen('info').length + 4)
    assert.equal(told(gateway, 'node down', node), 0)

    const polls = node.seen('info').length
    await node.answer(500, 'info', { times: 3 })
    const down = await gateway.waitForLog((line) => line.message === 'node down')
    assert.match(String(down['reason']), /answered 500/)
    assert.ok(node.seen('info').length >= polls + 3)
    const pollsWhenDown = node.seen('info').length
    await gateway.waitForLog((line) => line.message === 'node up' && told(gateway, 'node up', node) === 2)
    assert.ok(node.seen('info').length >= pollsWhenDown + 2)
    assert.equal(told(gateway, 'node down', node), 1)
  })

  test('from traffic: a node that refuses three requests is down at once, and no request is lost', async (t) => {
    const nodes = [await startSimNode({ rateLimit: 0 }, t), await startSimNode({ rateLimit: 0 }, t)]
    const [dead, alive] = nodes as [SimNode, SimNode]
    const gateway = await gatewayFor(t, nodes, { REFRESH_INTERVAL: '60' })
    await dead.refuse()
    await eventually(
      async () => {
        const answer = await post(`${gateway.url}/api/jobs`, job({ seconds: 0.2 }))
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.headers['x-infernet-node'], alive.address)
        return told(gateway, 'node down', dead) > 0
      },
      { withinMs: 15_000 },
    )
    assert.equal(await isHealthy(gateway, dead), false)
    assert.deepEqual((await request(`${gateway.url}/api/v1/ips?container=echo`)).json(), [alive.address])
    await dead.comeBack()
    await gateway.waitForLog((line) => line.message === 'node up' && told(gateway, 'node up', dead) === 2)
  })

  test('from traffic: one that breaks three requests is set aside for a while, though its polls go well', async (t) => {
    const node = await startSimNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.3' })
    await node.break('submit', { times: 3 })
    for (let i = 0; i < 3; i++) assert.equal((await post(`${gateway.url}/api/jobs`, job())).status, 502)
    assert.equal(await isHealthy(gateway, node), false)
    assert.deepEqual((await request(`${gateway.url}/api/v1/ips?container=echo`)).json(), [])
    await gateway.waitForLog((line) => line.message?.startsWith('node ejected') === true)
    // A try is still better than a refusal, and its success ends the matter.
    assert.equal((await post(`${gateway.url}/api/jobs`, job())).status, 200)
    assert.equal(await isHealthy(gateway, node), true)
  })
})
