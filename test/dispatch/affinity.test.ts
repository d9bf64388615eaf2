import assert from 'node:assert/strict'
import { test } from 'node:test'
import { preferredFor } from '../../src/dispatch/affinity.ts'
import { FleetLoad } from '../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../src/fleet/load/nodeLoad.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { trackedNode } from '../kit/builders/fleets.ts'

const SESSIONS = Array.from({ length: 2000 }, (_, i) => `session-${i}`)
const everybody = (): boolean => true

function servicesOf(count: number, concurrency = 4): TrackedNode[] {
  const fleet = new FleetLoad()
  return Array.from({ length: count }, (_, i) => {
    const address = `127.0.0.1:${4000 + i}`
    const spec = { key: `openai:s${i}@${address}`, kind: 'openai', name: `s${i}`, origin: `http://${address}` } as const
    return trackedNode({ ...spec, basePath: '' }, new NodeLoad(fleet, { concurrency }))
  })
}

const homeOf = (session: string, nodes: readonly TrackedNode[], allows: (node: TrackedNode) => boolean = everybody) =>
  preferredFor(session, nodes, 0, allows)

test('sessions spread evenly over services that are alike', () => {
  const nodes = servicesOf(5)
  const counts = new Map<TrackedNode | undefined, number>()
  for (const session of SESSIONS) counts.set(homeOf(session, nodes), (counts.get(homeOf(session, nodes)) ?? 0) + 1)
  for (const node of nodes) assert.ok(Math.abs(counts.get(node)! - 400) < 100, `${node.name}: ${counts.get(node)}`)
})

test('the order of the list makes no difference', () => {
  const nodes = servicesOf(5)
  const reversed = [...nodes].reverse()
  for (const session of SESSIONS) assert.equal(homeOf(session, nodes), homeOf(session, reversed))
})

test('when a service comes only the sessions that move to it move; when it goes only its own do', () => {
  const nodes = servicesOf(6)
  const fewer = nodes.slice(0, 5)
  let moved = 0
  for (const session of SESSIONS) {
    const before = homeOf(session, fewer)
    const later = homeOf(session, nodes)
    if (later === before) continue
    assert.equal(later, nodes[5])
    moved++
  }
  assert.ok(Math.abs(moved - SESSIONS.length / 6) < 100, String(moved))
})

test('a service that would have to queue gives way to the same other one each time, and gets its sessions back', () => {
  const nodes = servicesOf(4, 1)
  const home = homeOf('mine', nodes)!
  const mark = home.load.started(0)
  const next = homeOf('mine', nodes)!
  assert.notEqual(next, home)
  assert.equal(
    next,
    homeOf(
      'mine',
      nodes.filter((node) => node !== home),
    ),
  )
  home.load.ended(0, { outcome: 'success', mark })
  assert.equal(homeOf('mine', nodes), home)
})

test('where all would have to queue no session has a claim', () => {
  const nodes = servicesOf(3, 1)
  for (const node of nodes) node.load.started(0)
  assert.equal(homeOf('mine', nodes), undefined)
})

test('a service that may not be asked, or is much slower than the fastest, has no claim to a session', () => {
  const nodes = servicesOf(3)
  const home = homeOf('mine', nodes)!
  assert.notEqual(
    homeOf('mine', nodes, (node) => node !== home),
    home,
  )
  for (const node of nodes) {
    for (let i = 0; i < 100; i++) {
      const mark = node.load.started(i * 10)
      node.load.ended(i * 10 + (node === home ? 9 : 1), { outcome: 'success', mark })
    }
  }
  const later = preferredFor('mine', nodes, 1000, everybody)
  assert.ok(later !== undefined && later !== home)
  // Not even where the fast ones may not be asked is there anybody faster than it.
  assert.equal(
    preferredFor('mine', nodes, 1000, (node) => node === home),
    home,
  )
})
