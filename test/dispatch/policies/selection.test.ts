import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import { rank } from '../../../src/dispatch/policies/ranking.ts'
import { isInPanic } from '../../../src/dispatch/policies/selection.ts'
import { SELECTION_POLICIES, type SelectionPolicyName } from '../../bench/routing/policies.ts'
import { seededRandom } from '../../kit/routingSimulation/random.ts'

interface Named {
  readonly name: number
  readonly load: NodeLoad
}

interface Fleet {
  readonly fleet: FleetLoad
  readonly nodes: readonly Named[]
  pick(policy: SelectionPolicyName, allows?: (node: Named) => boolean, now?: number): Named | undefined
}

function fleetOf(size: number): Fleet {
  const fleet = new FleetLoad()
  const random = seededRandom(7)
  const nodes = Array.from({ length: size }, (_, name) => ({ name, load: new NodeLoad(fleet) }))
  const pick: Fleet['pick'] = (policy, allows, now = 0) =>
    SELECTION_POLICIES[policy](nodes, { now, fleet, random, allows })
  return { fleet, nodes, pick }
}

/** How often each node was picked. */
function tally(times: number, fleet: Fleet, policy: SelectionPolicyName): number[] {
  const counts = fleet.nodes.map(() => 0)
  for (let time = 0; time < times; time++) counts[fleet.pick(policy)!.name]! += 1
  return counts
}

const POLICIES = Object.keys(SELECTION_POLICIES) as SelectionPolicyName[]

for (const policy of POLICIES) {
  test(`${policy}: without a candidate nobody is chosen, and a candidate that is not allowed never`, () => {
    const small = fleetOf(3)
    assert.equal(fleetOf(0).pick(policy), undefined)
    for (let time = 0; time < 20; time++) assert.equal(small.pick(policy, (node) => node.name === 1)?.name, 1)
    assert.equal(
      small.pick(policy, () => false),
      undefined,
    )
  })
}

for (const policy of ['score', 'least-pending', 'least-in-flight', 'two-random'] as const) {
  test(`${policy}: equal nodes are chosen equally often`, () => {
    for (const count of tally(6000, fleetOf(3), policy)) assert.ok(Math.abs(count - 2000) < 200, `${count}`)
  })
}

test('by score the node with the least load wins', () => {
  const fleet = fleetOf(3)
  fleet.nodes[0]!.load.started(0)
  fleet.nodes[2]!.load.lookedUp(0)
  assert.equal(fleet.pick('score')?.name, 1)
})

test('least-pending goes by the last poll alone, least-in-flight by our own requests alone', () => {
  const fleet = fleetOf(2)
  fleet.nodes[0]!.load.polled(0, 5)
  fleet.nodes[1]!.load.polled(0, 4)
  fleet.nodes[1]!.load.started(0)
  assert.equal(fleet.pick('least-pending')?.name, 1)
  assert.equal(fleet.pick('least-in-flight')?.name, 0)
})

test('round-robin takes one after the other', () => {
  const fleet = fleetOf(3)
  assert.deepEqual(
    Array.from({ length: 7 }, () => fleet.pick('round-robin')?.name),
    [0, 1, 2, 0, 1, 2, 0],
  )
})

test('two-random never compares a node with itself', () => {
  const fleet = fleetOf(2)
  fleet.nodes[0]!.load.polled(0, 1)
  assert.deepEqual(tally(100, fleet, 'two-random'), [0, 100])
})

test('of a large fleet a few are drawn, the more often the more they get done', () => {
  const fleet = fleetOf(200)
  for (const { name, load } of fleet.nodes) load.configure({ concurrency: name < 100 ? 1 : 9 })
  const counts = tally(2000, fleet, 'score')
  const strong = counts.slice(100).reduce((sum, count) => sum + count, 0)
  // Nine in ten draws fall on a strong node, and of five nearly always one does.
  assert.ok(strong > 1900, `${strong}`)
  assert.ok(counts.filter((count) => count > 0).length > 90)
})

test('of a large fleet of which nearly all are left out one of the rest is still found', () => {
  const fleet = fleetOf(1000)
  assert.equal(fleet.pick('score', (node) => node.name === 123)?.name, 123)
})

test('a busy node of a large fleet is drawn but not chosen', () => {
  const fleet = fleetOf(200)
  for (const { name, load } of fleet.nodes) if (name < 100) for (let job = 0; job < 5; job++) load.started(0)
  const counts = tally(2000, fleet, 'score')
  const busy = counts.slice(0, 100).reduce((sum, count) => sum + count, 0)
  assert.ok(busy < 2000 * 0.5 ** 4, `${busy}`)
})

test('the table that nodes are drawn from is built anew each second', () => {
  const fleet = fleetOf(200)
  fleet.pick('score')
  for (const { name, load } of fleet.nodes) load.configure({ concurrency: name === 5 ? 1e9 : 1 })
  let stale = 0
  for (let time = 0; time < 100; time++) if (fleet.pick('score', undefined, 0.5)?.name === 5) stale++
  assert.ok(stale < 20, `${stale}`)
  assert.equal(fleet.pick('score', undefined, 1)?.name, 5)
})

test('a ranking is best first, and a page of it continues the page before', () => {
  for (const size of [30, 300]) {
    const { fleet, nodes } = fleetOf(size)
    for (const { name, load } of nodes) for (let job = 0; job < (name * 7) % size; job++) load.started(0)
    const context = { now: 0, fleet, random: seededRandom(3) }
    const inFlight = (ranked: readonly Named[]): number[] => ranked.map(({ load }) => load.inFlight)
    const all = inFlight(rank(nodes, context, size))
    // Up to two jobs fit in beside the new one, so those nodes differ by less than others but in the same order.
    assert.deepEqual(
      all,
      [...all].sort((a, b) => a - b),
    )
    assert.equal(all.length, size)
    assert.deepEqual(inFlight(rank(nodes, context, 3, 4)), all.slice(4, 7))
    assert.deepEqual(inFlight(rank(nodes, context, size, size - 2)), all.slice(-2))
    assert.deepEqual(rank(nodes, context, 3, size), [])
    assert.deepEqual(rank(nodes, context, 0), [])
  }
})

test('equal nodes are ranked in random order', () => {
  const { fleet, nodes } = fleetOf(5)
  const context = { now: 0, fleet, random: seededRandom(3) }
  const firsts = nodes.map(() => 0)
  for (let time = 0; time < 5000; time++) firsts[rank(nodes, context, 1)[0]!.name]! += 1
  for (const count of firsts) assert.ok(Math.abs(count - 1000) < 120, `${count}`)
})

test('a ranking leaves out what is not allowed', () => {
  const { fleet, nodes } = fleetOf(5)
  const context = { now: 0, fleet, random: Math.random, allows: (node: Named) => node.name > 2 }
  const names = rank(nodes, context, 5).map(({ name }) => name)
  assert.deepEqual(names.sort(), [3, 4])
})

test('only a majority of at least four nodes points at our own network', () => {
  assert.equal(isInPanic(4, 3, 4), true)
  assert.equal(isInPanic(4, 2, 4), false)
  assert.equal(isInPanic(3, 3, 4), false)
  assert.equal(isInPanic(100, 51, 4), true)
})
