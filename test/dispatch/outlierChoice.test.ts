import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Fleet } from '../../src/fleet/fleet.ts'
import { describeKind, comparedKindOf, type AskedOfNodes } from '../../src/dispatch/judge.ts'
import { Lease } from '../../src/dispatch/lease.ts'
import { CHAIN_NODE, requireContainers, requireModel } from '../../src/dispatch/requirement.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { Selector } from '../../src/dispatch/selector.ts'
import { ListedNodes, newFleet, setContainers } from '../kit/builders/fleets.ts'
import { containerOf } from '../kit/builders/infos.ts'

const NEED = requireContainers(['echo'])

interface Site {
  readonly clock: { now: number }
  readonly fleet: Fleet
  readonly nodes: readonly TrackedNode[]
  readonly selector: Selector
  /** A request of a caller of its own. */
  readonly asked: () => AskedOfNodes
  /** Sends a request there, which gets that answer. */
  readonly answer: (node: TrackedNode, status: number) => void
  /** Who is chosen at all, after these were tried. */
  readonly picks: (except?: readonly TrackedNode[]) => Set<TrackedNode | undefined>
  readonly setAside: (node: TrackedNode) => void
  /** Takes the first node out of the list. */
  readonly dropFirst: () => void
}

/** Nodes that run `echo` and are healthy, a clock that stands still, and one caller for each request. */
async function siteOf(t: TestContext, count: number): Promise<Site> {
  const clock = { now: 1000 }
  const addresses = Array.from({ length: count }, (_, n) => `127.0.0.1:${n + 1}`)
  const source = new ListedNodes(...addresses)
  const fleet = newFleet(t, [source], { now: () => clock.now })
  // Nobody is to be polled: what they are is said here.
  const started = fleet.start()
  fleet.stop()
  await started
  for (const node of fleet.nodes.values()) {
    node.health.observe(true)
    setContainers(node, [containerOf()])
  }
  fleet.version++
  let callers = 0
  const asked = (): AskedOfNodes => ({ requirement: NEED, kind: comparedKindOf(NEED), caller: `caller ${callers++}` })
  const answer = (node: TrackedNode, status: number): void => {
    const lease = Lease.take(fleet, node, asked())
    lease.judged(status === 200 ? 'served' : 'refused', status)
    lease.exchangeEnded()
    lease.workEnded(status === 200 ? 'success' : 'pushback')
  }
  const selector = new Selector(fleet)
  const picks = (except: readonly TrackedNode[] = []): Set<TrackedNode | undefined> =>
    new Set(Array.from({ length: 100 }, () => selector.pick(NEED, { except: new Set(except) }).node))
  const setAside = (node: TrackedNode): void => {
    for (let n = 0; n < 3; n++) answer(node, 500)
  }
  const dropFirst = (): void => source.list(...addresses.slice(1))
  return { clock, fleet, dropFirst, nodes: [...fleet.nodes.values()], asked, answer, selector, picks, setAside }
}

test('a node that is set aside is not chosen, and comes last in look-ups', async (t) => {
  const { nodes, picks, setAside, selector } = await siteOf(t, 3)
  const [bad, ...good] = nodes as [TrackedNode, ...TrackedNode[]]
  assert.ok(picks().has(bad))
  setAside(bad)
  assert.deepEqual(picks(), new Set(good))
  assert.equal(selector.rank(NEED, 3, 0)[2], bad)
  assert.deepEqual(selector.rank(NEED, 1, 2), [bad])
})

test('a retry goes to a node that is set aside only when no other is left, and is no trial before that', async (t) => {
  const { nodes, picks, setAside, clock } = await siteOf(t, 3)
  const [bad, second, third] = nodes as [TrackedNode, TrackedNode, TrackedNode]
  setAside(bad)
  clock.now += 30
  assert.deepEqual(picks([second]), new Set([third]))
  assert.deepEqual(picks([second, third]), new Set([bad]))
})

test('once the time of a node that was set aside is over, one request at a time tries it', async (t) => {
  const { nodes, picks, setAside, clock, fleet, asked } = await siteOf(t, 2)
  const [bad, good] = nodes as [TrackedNode, TrackedNode]
  setAside(bad)
  clock.now += 30
  assert.ok(picks().has(bad))
  const trial = Lease.take(fleet, bad, asked())
  assert.equal(trial.isTrial, true)
  assert.deepEqual(picks(), new Set([good]))
  // It ended without a word about the node.
  trial.exchangeEnded()
  trial.workEnded('pushback')
  assert.ok(picks().has(bad))
})

test('where all are set aside, one is chosen as if none were', async (t) => {
  const { nodes, picks, setAside, answer, clock, fleet } = await siteOf(t, 2)
  const [first, second] = nodes as [TrackedNode, TrackedNode]
  setAside(first)
  for (const seconds of [20, 50, 125]) {
    clock.now += seconds
    answer(first, 500)
  }
  clock.now += 150
  for (let n = 0; n < 1000; n++) answer(second, 200)
  for (let n = 0; n < 4; n++) answer(second, 500)
  for (const node of nodes) assert.equal(fleet.outliers.avoided(node, clock.now).length, 1)
  assert.deepEqual(picks([first]), new Set([second]))
  assert.ok([...picks()].every((node) => node !== undefined))
})

test('a refusal takes no service time, and is no success', async (t) => {
  const { nodes, answer, fleet, clock, asked } = await siteOf(t, 2)
  const [node] = nodes as [TrackedNode]
  const before = fleet.loads.infernet.serviceSeconds
  for (let n = 0; n < 20; n++) {
    const lease = Lease.take(fleet, node, asked())
    clock.now += 10
    lease.judged('refused', 500)
    lease.exchangeEnded()
    lease.workEnded('pushback')
  }
  assert.equal(fleet.loads.infernet.serviceSeconds, before)
  for (let n = 0; n < 3; n++) {
    fleet.failed(node, 'reset')
    answer(node, 500)
  }
  assert.equal(node.load.isEjected(clock.now), true)
})

test('a node that leaves the list is not suspected any more', async (t) => {
  const { nodes, setAside, fleet, dropFirst } = await siteOf(t, 3)
  setAside(nodes[0]!)
  dropFirst()
  assert.equal(fleet.nodes.size, 2)
  assert.deepEqual(fleet.outliers.avoided(nodes[0]!, fleet.now()), [])
})

test('kinds of work have names for people', () => {
  const names = [requireContainers(['a']), requireContainers(['b', 'a']), requireModel('org/m:1'), CHAIN_NODE].map(
    (requirement) => describeKind(comparedKindOf(requirement)),
  )
  assert.deepEqual(names, ['container a', 'containers a, b', 'model org/m:1', 'subscriptions'])
  assert.equal(describeKind(`${comparedKindOf(requireModel('m'))}\n/rerank`), 'model m (/rerank)')
})
