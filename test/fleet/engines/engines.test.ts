/** When services are asked for their load, and what becomes of the answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { MemoryBudget } from '../../../src/base/memory/budget.ts'
import { parseAddress, type NodeSpec } from '../../../src/fleet/address.ts'
import type { Fleet } from '../../../src/fleet/fleet.ts'
import type { TrackedNode } from '../../../src/fleet/node.ts'
import { ListedNodes, startFleet } from '../../kit/builders/fleets.ts'
import { startFakeOpenAi, type FakeOpenAi, type FakeOpenAiOptions } from '../../kit/fakeOpenAi/index.ts'
import { eventually } from '../../kit/wait.ts'

const WITHIN = { withinMs: 20_000 }

function specOf({ url }: { url: string }, more: Partial<NodeSpec> = {}): NodeSpec {
  return { ...parseAddress(url), kind: 'openai', ...more }
}

/** Listens until the end of the test. Returns the server's URL. */
async function listening(t: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Watched {
  readonly service: FakeOpenAi
  readonly fleet: Fleet
  readonly node: TrackedNode
}

/** A service and a fleet that polls it every 0.2 s, unless told otherwise. */
async function startWatched(
  t: TestContext,
  { seconds = 0.2, ...options }: FakeOpenAiOptions & { seconds?: number } = {},
): Promise<Watched> {
  const service = await startFakeOpenAi({ hasMetrics: true, ...options }, t)
  const fleet = await startFleet(t, [new ListedNodes(specOf(service))], { refreshIntervalSeconds: seconds })
  const [node] = [...fleet.nodes.values()] as [TrackedNode]
  return { service, fleet, node }
}

const loadIs = (node: TrackedNode, running: number, waiting: number): Promise<boolean> =>
  eventually(() => node.engineLoad?.running === running && node.engineLoad.waiting === waiting, WITHIN)

describe('the load of an engine', { concurrency: true }, () => {
  test('is polled with its models, and is its pending', async (t) => {
    const { service, fleet, node } = await startWatched(t, { others: { running: 3, waiting: 2 } })
    const [told, load] = (await once(fleet, 'service:load')) as [TrackedNode, TrackedNode['engineLoad']]
    assert.deepEqual([told, load?.running, load?.waiting, load?.own], [node, 3, 2, 0])
    assert.equal(node.pending, 5)
    assert.ok(Math.abs(node.load.load(fleet.now()) - 5) < 0.5, 'requests of others are load')
    await service.set({ others: { running: 0, waiting: 0 } })
    await loadIs(node, 0, 0)
    assert.equal(node.pending, 0)
    assert.ok(service.seen('metrics').every(({ url }) => url === '/metrics'))
  })

  test('counts requests of ours once', async (t) => {
    const { service, fleet, node } = await startWatched(t, { others: { running: 4, waiting: 0 } })
    for (let request = 0; request < 4; request++) node.load.started(fleet.now())
    const [, load] = (await once(fleet, 'service:load')) as [TrackedNode, NonNullable<TrackedNode['engineLoad']>]
    assert.ok(load.own === 2 || load.own === 4, 'half of the way where they began while it was asked')
    await eventually(() => node.engineLoad?.own === 4, WITHIN)
    assert.equal(node.load.load(fleet.now()), 4)
    // It knows of them later than we do, or we of their end later than it.
    await service.set({ others: { running: 1, waiting: 0 } })
    await loadIs(node, 1, 0)
    assert.equal(node.load.load(fleet.now()), 4, 'never less than our own')
  })

  test('that it may have counted earlier is compared with the most of ours since it began to show it', async (t) => {
    let running = 8
    const server = createServer(({ url }, response) => {
      if (url === '/v1/models') return void response.end('{"data":[{"id":"m"}]}')
      response.end(`sglang:num_running_reqs{tp_rank="0"} ${running}.0\nsglang:num_queue_reqs{tp_rank="0"} 0.0\n`)
    })
    const sources = [new ListedNodes(specOf({ url: await listening(t, server) }))]
    const fleet = await startFleet(t, sources, { refreshIntervalSeconds: 0.2 })
    const [node] = [...fleet.nodes.values()] as [TrackedNode]
    for (let request = 0; request < 8; request++) node.load.started(fleet.now())
    await eventually(() => node.engineLoad?.own === 8, WITHIN)
    for (let request = 0; request < 8; request++) node.load.ended(fleet.now(), { outcome: 'success' })
    await once(fleet, 'service:load')
    await once(fleet, 'service:load')
    assert.equal(node.engineLoad?.own, 8)
    assert.ok(node.load.load(fleet.now()) < 1, 'ours, which have ended, are not others')
    running = 9
    await loadIs(node, 9, 0)
    assert.equal(node.engineLoad?.own, 0)
  })

  test('is unknown, and the service as healthy as before, once metrics fail', async (t) => {
    const { service, node } = await startWatched(t, { others: { running: 3, waiting: 2 } })
    await loadIs(node, 3, 2)
    await service.break('metrics', { when: 'request' })
    await eventually(() => node.engineLoad === undefined, WITHIN)
    assert.deepEqual([node.pending, node.load.inFlight, node.health.isHealthy], [0, 0, true])
    const { n } = service.requests.at(-1)!
    for (let poll = 0; poll < 3; poll++) await service.waitFor('models', { after: n + poll })
    assert.equal(node.health.isHealthy, true)
    assert.equal(node.load.snapshot(0).unseenJobs, 0, 'what was seen of others holds no more')
  })

  test('is asked for again when the service is back', async (t) => {
    const { service, node } = await startWatched(t, { others: { running: 3, waiting: 2 } })
    await loadIs(node, 3, 2)
    await service.refuse()
    await eventually(() => !node.health.isHealthy, WITHIN)
    assert.equal(node.engineLoad, undefined)
    await service.set({ others: { running: 1, waiting: 0 } })
    await service.comeBack()
    await loadIs(node, 1, 0)
  })
})

describe('a service', { concurrency: true }, () => {
  test('that tells no load is asked ever more seldom', async (t) => {
    const { service, node } = await startWatched(t, { hasMetrics: false, seconds: 0.05 })
    await eventually(() => service.seen('models').length >= 30, WITHIN)
    const questions = service.seen('metrics').length
    assert.ok(questions > 0 && questions <= 15, `${questions} questions in 30 polls`)
    assert.equal(node.health.isHealthy, true)
  })

  test('that has much to do is asked each second, and all with it', async (t) => {
    const services = await Promise.all([1, 2].map(() => startFakeOpenAi({ hasMetrics: true }, t)))
    const fleet = await startFleet(t, [new ListedNodes(...services.map((service) => specOf(service)))])
    const nodes = [...fleet.nodes.values()]
    await eventually(() => nodes.every(({ engineLoad }) => engineLoad), WITHIN)
    const [first] = nodes as [TrackedNode]
    for (let request = 0; request < 2; request++) first.load.started(fleet.now())
    await eventually(() => services.every((service) => service.seen('metrics').length >= 3), WITHIN)
    assert.ok(services.every((service) => service.seen('models').length <= 2))
  })

  test('is asked each second while somebody watches it closely', async (t) => {
    const { service, fleet, node } = await startWatched(t, { seconds: 3600 })
    await eventually(() => node.engineLoad, WITHIN)
    fleet.engines.watchClosely(node, fleet.now() + 60)
    fleet.engines.watchClosely(node, fleet.now())
    await eventually(() => service.seen('metrics').length >= 3, WITHIN)
  })

  test('that leaves its questions unanswered is polled for its models all the same', async (t) => {
    const { service, node } = await startWatched(t)
    await service.hang('metrics')
    const { n } = await service.waitFor('metrics')
    for (let after = n; after < n + 3; after++) await service.waitFor('models', { after })
    assert.equal(node.health.isHealthy, true)
  })

  test('is asked with its key and its query, and a redirect is not followed', async (t) => {
    const other = await startFakeOpenAi({ hasMetrics: true }, t)
    const asked: [path: string | undefined, key: string | undefined][] = []
    const server = createServer(({ url, headers }, response) => {
      if (url?.startsWith('/base/v1/models')) return void response.end('{"data":[{"id":"m"}]}')
      asked.push([url, headers.authorization])
      response.writeHead(302, { location: `${other.url}/metrics` }).end()
    })
    const url = `${await listening(t, server)}/base`
    const spec = specOf({ url }, { apiKey: 'secret', query: 'api-version=1' })
    const fleet = await startFleet(t, [new ListedNodes(spec)], { refreshIntervalSeconds: 0.2 })
    await eventually(() => asked.length >= 2, WITHIN)
    assert.deepEqual(asked[0], ['/base/metrics?api-version=1', 'Bearer secret'])
    assert.equal([...fleet.nodes.values()][0]!.engineLoad, undefined)
    assert.equal(other.requests.length, 0)
  })

  test('holds memory only while its metrics are read', async (t) => {
    const memory = new MemoryBudget(2 ** 20)
    const service = await startFakeOpenAi({ hasMetrics: true }, t)
    const fleet = await startFleet(t, [new ListedNodes(specOf(service))], { refreshIntervalSeconds: 3600, memory })
    await once(fleet, 'service:load')
    assert.equal(memory.ownBytes, 0)
  })
})
