import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseAddress } from '../../src/fleet/address.ts'
import type { Fleet } from '../../src/fleet/fleet.ts'
import { Lease } from '../../src/dispatch/lease.ts'
import { requireContainers } from '../../src/dispatch/requirement.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { Selector } from '../../src/dispatch/selector.ts'
import { ListedNodes, newFleet, startFleet } from '../kit/builders/fleets.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../kit/fakeOpenAi/index.ts'
import { eventually } from '../kit/wait.ts'

async function fleetOf(
  t: TestContext,
  sources: ListedNodes[],
  refreshIntervalSeconds = 3600,
): Promise<{ fleet: Fleet; node: (name: string) => TrackedNode }> {
  const fleet = await startFleet(t, sources, { refreshIntervalSeconds })
  const node = (name: string): TrackedNode => {
    const found = fleet.nodes.get(parseAddress(name).key)
    assert.ok(found, name)
    return found
  }
  return { fleet, node }
}

const isUp = (node: TrackedNode): Promise<unknown> => eventually(() => node.health.isHealthy, { withinMs: 20_000 })

describe('a fleet', () => {
  test('lists what its sources list, those of the first source first, each node once', async (t) => {
    const first = new ListedNodes('10.255.255.1:4000', 'http://10.255.255.2:4000/')
    const second = new ListedNodes('10.255.255.2:4000', '10.255.255.3:4000')
    const fleet = newFleet(t, [second, first].reverse())
    // Stopped at once: nobody is to be asked.
    void fleet.start()
    fleet.stop()
    const names = [...fleet.nodes.values()].map(({ name }) => name)
    assert.deepEqual(names, ['10.255.255.1:4000', 'http://10.255.255.2:4000/', '10.255.255.3:4000'])
  })

  test('keeps what it knows of a node through changes of the list', async (t) => {
    const stays = await startFakeNode({}, t)
    const goes = await startFakeNode({}, t)
    const source = new ListedNodes(stays.address, goes.address)
    const { fleet, node } = await fleetOf(t, [source])
    const known = node(stays.address)
    await isUp(known)
    known.counts.requests = 7
    source.list(`http://${stays.address}/`)
    assert.equal(node(stays.address), known)
    assert.equal(known.name, `http://${stays.address}/`)
    assert.equal(known.isHealthy(fleet.now()), true)
    assert.equal(fleet.nodes.size, 1)
  })

  test('gives a removed node no more work, and polls it no more', async (t) => {
    const sim = await startFakeNode({}, t)
    const source = new ListedNodes(sim.address)
    const { fleet, node } = await fleetOf(t, [source], 0.05)
    const selector = new Selector(fleet)
    const removed = node(sim.address)
    await isUp(removed)
    assert.equal(selector.pick(requireContainers(['echo'])).node, removed)
    source.list()
    assert.equal(selector.pick(requireContainers(['echo'])).node, undefined)
    assert.deepEqual(selector.rank(requireContainers(['echo']), 9, 0), [])
    assert.equal(removed.isHealthy(fleet.now()), false)
    const polls = sim.seen('info').length
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(sim.seen('info').length <= polls + 1)
  })

  test('pays no heed to a poll that ends after its node was removed', async (t) => {
    const sim = await startFakeNode({}, t)
    await sim.late(0.3, 'info')
    const source = new ListedNodes(sim.address)
    const { node } = await fleetOf(t, [source])
    const removed = node(sim.address)
    await sim.waitFor('info')
    source.list()
    await new Promise((resolve) => setTimeout(resolve, 600))
    assert.equal(removed.isKnown, false)
    assert.equal(removed.health.isHealthy, false)
  })

  test('finds a removed node as long as it is not released, and takes it up again when it is listed', async (t) => {
    const sim = await startFakeNode({}, t)
    const source = new ListedNodes(sim.address)
    const { fleet, node } = await fleetOf(t, [source])
    const known = node(sim.address)
    await isUp(known)
    source.list()
    assert.equal(fleet.find(known.key), known)
    assert.ok(fleet.origins().has(sim.url))
    source.list(sim.address)
    assert.equal(node(sim.address), known)
    assert.equal(known.isHealthy(fleet.now()), true)
    fleet.release(known)
    assert.equal(fleet.find(known.key), known, 'a listed node is not released')

    source.list()
    fleet.release(known)
    assert.equal(fleet.find(known.key), undefined)
    assert.ok(!fleet.origins().has(sim.url))
    source.list(sim.address)
    assert.notEqual(node(sim.address), known)
  })

  test('adopts a node that no list names, and lists it as the same when one does', async (t) => {
    const source = new ListedNodes()
    const { fleet, node } = await fleetOf(t, [source])
    const sim = await startFakeNode({}, t)
    const adopted = fleet.adopt(parseAddress(sim.url))
    assert.equal(adopted.isRetired, true)
    assert.equal(fleet.adopt(parseAddress(sim.address)), adopted)
    assert.equal(fleet.nodes.size, 0)
    source.list(sim.address)
    assert.equal(node(sim.address), adopted)
    assert.equal(adopted.name, sim.address)
    await isUp(adopted)
  })

  test('starts a node that comes back from the mean of the fleet', async (t) => {
    const sim = await startFakeNode({ rateLimit: 0 }, t)
    const { fleet, node } = await fleetOf(t, [new ListedNodes(sim.address)], 0.05)
    const known = node(sim.address)
    await isUp(known)
    // It looks a thousand times as fast as it will be thought of.
    for (let i = 0; i < 50; i++) {
      const lease = Lease.take(fleet, known)
      await new Promise((resolve) => setTimeout(resolve, 1))
      lease.exchangeEnded()
      lease.workEnded('success')
    }
    known.load.failed(fleet.now())
    assert.ok(known.load.snapshot(fleet.now()).failureLevel > 0)
    await sim.answer(500, 'info', { times: 3 })
    const [down] = (await once(fleet, 'node:down')) as [TrackedNode]
    assert.equal(down, known)
    await once(fleet, 'node:up')
    assert.equal(known.load.snapshot(fleet.now()).failureLevel, 0)
    assert.equal(known.load.serviceSeconds(fleet.now()), fleet.loads.infernet.serviceSeconds)
  })

  test('takes a node down for three refused requests at once, before any poll, and not for two', async (t) => {
    const sim = await startFakeNode({}, t)
    const { fleet, node } = await fleetOf(t, [new ListedNodes(sim.address)])
    const known = node(sim.address)
    await isUp(known)
    const refuse = (): void => fleet.failed(known, 'connection refused', { refused: true, lost: true })
    refuse()
    refuse()
    assert.equal(known.health.isHealthy, true)
    refuse()
    assert.equal(known.health.isHealthy, false)
    assert.equal(known.reason, 'connection refused')
  })

  test('sets a node aside for three failed requests in a row, and an answer ends that', async (t) => {
    const sim = await startFakeNode({}, t)
    const { fleet, node } = await fleetOf(t, [new ListedNodes(sim.address)])
    const known = node(sim.address)
    await isUp(known)
    const ejected: string[] = []
    fleet.on('node:ejected', ({ name }) => ejected.push(name))
    const fail = (): void => fleet.failed(known, 'reset', { lost: true })
    fail()
    fail()
    fleet.answered(known, { tookWork: true })
    fail()
    fail()
    assert.equal(known.isHealthy(fleet.now()), true)
    fail()
    assert.equal(known.isHealthy(fleet.now()), false)
    assert.equal(known.health.isHealthy, true)
    assert.deepEqual(ejected, [known.name])
    fleet.answered(known, { tookWork: false })
    assert.equal(known.isHealthy(fleet.now()), false, 'that it answers about jobs does not show that it takes them')
    fleet.answered(known, { tookWork: true })
    assert.equal(known.isHealthy(fleet.now()), true)
  })

  test('is ready once somebody is healthy, or nobody is left to hear of, and stays so', async (t) => {
    const sim = await startFakeNode({}, t)
    await sim.late(0.2, 'info', { times: 1 })
    const source = new ListedNodes(sim.address)
    const { fleet } = await fleetOf(t, [source])
    assert.equal(fleet.isReady, false)
    assert.equal(await fleet.whenReady(0.01), false)
    assert.equal(await fleet.whenReady(20), true)
    source.list('127.0.0.1:1')
    assert.equal(fleet.isReady, true)
    source.list()
    assert.equal(fleet.isReady, true)
  })

  test('without any node is ready as soon as its sources have spoken', async (t) => {
    const { fleet } = await fleetOf(t, [new ListedNodes()])
    assert.equal(await fleet.whenReady(20), true)
  })
})

describe('the candidates for a need', () => {
  test('are found once for as long as nothing changes', async (t) => {
    const sim = await startFakeNode({}, t)
    const source = new ListedNodes(sim.address)
    const { fleet, node } = await fleetOf(t, [source])
    await isUp(node(sim.address))
    const selector = new Selector(fleet)
    const found = selector.candidates(requireContainers(['echo']))
    assert.equal(found.length, 1)
    assert.equal(selector.candidates(requireContainers(['echo'])), found)
    source.list()
    assert.deepEqual(selector.candidates(requireContainers(['echo'])), [])
  })

  test('stay found through polls of a service that tell nothing new', async (t) => {
    const service = await startFakeOpenAi({ models: ['m'] }, t)
    const spec = { ...parseAddress(service.address), kind: 'openai' as const }
    const fleet = await startFleet(t, [new ListedNodes(spec)], { refreshIntervalSeconds: 0.05 })
    await eventually(() => fleet.healthy().length === 1, { withinMs: 20_000 })
    const { version } = fleet
    const polls = service.requests.length
    await eventually(() => service.requests.length >= polls + 4, { withinMs: 20_000 })
    assert.equal(fleet.version, version)
  })

  test('are not remembered under names that only a client can have made up', async (t) => {
    const { fleet } = await fleetOf(t, [new ListedNodes()])
    const selector = new Selector(fleet)
    const long = requireContainers(['x'.repeat(100_000)])
    assert.notEqual(selector.candidates(long), selector.candidates(long))
  })
})
