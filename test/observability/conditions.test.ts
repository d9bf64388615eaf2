import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { FleetLoad } from '../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../src/fleet/load/nodeLoad.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { conditionsOf, conflictsByNode } from '../../src/observability/conditions.ts'
import type { NodeDrains } from '../../src/admin/nodeDrains.ts'
import { newFleet, trackedNode } from '../kit/builders/fleets.ts'

interface Conditions {
  down_since: string | null
  last_asked: string | null
  service_time_from: string
  concurrency_from: string
  why_avoided: { cause: string; kind: string | null; text: string; until: string | null }[]
}

const fleet = newFleet({ after }, [])
const NOW = 1000

interface Given {
  now?: number
  conflicts?: ReadonlyMap<string, readonly string[]>
  drain?: ReturnType<NodeDrains['stateOf']>
}

function conditions(node: TrackedNode, { now = NOW, conflicts = new Map(), drain = null }: Given = {}): Conditions {
  return conditionsOf(node, node.load.snapshot(now), {
    fleet,
    drains: { stateOf: () => drain },
    now,
    conflicts,
  }) as unknown as Conditions
}

const causesOf = (node: TrackedNode, now?: number): string[] =>
  conditions(node, now === undefined ? {} : { now }).why_avoided.map(({ cause }) => cause)

/** A node that was polled and is healthy. */
function goodNode(load?: NodeLoad): TrackedNode {
  const node = trackedNode('10.0.0.1:4000', load)
  node.isKnown = true
  node.health.observe(true)
  return node
}

function secondsFromNow(time: string | null): number {
  return Math.round((Date.parse(time ?? '') - Date.now()) / 1000)
}

describe('why a node is avoided', () => {
  test('is nothing where it is healthy', () => assert.deepEqual(causesOf(goodNode()), []))

  test('is that it has not been polled yet', () => {
    assert.deepEqual(causesOf(trackedNode('10.0.0.1:4000')), ['not_polled'])
  })

  test('is that it is down, with the reason and since when', () => {
    const node = trackedNode('10.0.0.1:4000')
    node.isKnown = true
    node.askedAt = NOW - 2
    node.sawFailure('connection refused', NOW - 60)
    node.sawFailure('no route', NOW - 2)
    const { down_since, last_asked, why_avoided } = conditions(node)
    assert.deepEqual(why_avoided, [{ cause: 'down', kind: null, text: 'no route', until: null }])
    assert.equal(secondsFromNow(down_since), -60)
    assert.equal(secondsFromNow(last_asked), -2)
    node.health.observe(true)
    node.cameUp()
    assert.deepEqual([conditions(node).down_since, causesOf(node)], [null, []])
  })

  test('is down only from the failure on that makes it count as unhealthy', () => {
    const node = goodNode()
    node.sawFailure('slow', NOW - 9)
    node.sawFailure('slow', NOW - 8)
    assert.equal(conditions(node).down_since, null)
    node.sawFailure('slow', NOW - 7)
    assert.equal(secondsFromNow(conditions(node).down_since), -7)
  })

  test('is that it drains', () => {
    const [{ cause } = {}] = conditions(goodNode(), { drain: 'draining' }).why_avoided
    assert.equal(cause, 'draining')
  })

  test('is its own report that it is not ready', () => {
    const node = goodNode()
    node.notReady = 'still loading'
    const [{ cause, text } = {}] = conditions(node).why_avoided
    assert.deepEqual([cause, text], ['not_ready', 'by its own report: still loading'])
  })

  test('is that it is ejected, then on trial, then no more', () => {
    const node = goodNode()
    for (let n = 0; n < 3; n++) node.load.failed(NOW)
    const [ejected] = conditions(node).why_avoided
    assert.equal(ejected!.cause, 'ejected')
    assert.equal(secondsFromNow(ejected!.until), 5)
    assert.deepEqual(causesOf(node), ['ejected', 'failing'])
    assert.deepEqual(causesOf(node, NOW + 6), ['on_trial', 'failing'])
    node.load.succeeded(NOW + 400)
    assert.deepEqual(causesOf(node, NOW + 400), [])
  })

  test('is that it rests after 429', () => {
    const node = goodNode()
    node.pushedBack('/api/jobs caller', { 'retry-after': '30' }, NOW)
    node.pushedBack('/api/jobs other', { 'retry-after': '7' }, NOW)
    const [resting] = conditions(node).why_avoided
    assert.equal(resting!.cause, 'resting')
    assert.equal(secondsFromNow(resting!.until), 30)
    assert.ok(!resting!.text.includes('caller'))
    assert.deepEqual(causesOf(node, NOW + 31), [])
  })

  test('is that its image is another one than elsewhere', () => {
    const node = goodNode()
    const conflicts = conflictsByNode([
      { container: 'a', images: { one: [node.name], two: ['other'] } },
      { container: 'b', images: { one: ['other'], two: ['another'] } },
    ])
    const [conflict] = conditions(node, { conflicts }).why_avoided
    assert.deepEqual(
      [conflict!.cause, conflict!.text],
      ['image_conflict', 'its image is another one than elsewhere: a'],
    )
  })
})

test('service time and concurrency say whether they are set, learnt, the mean of the fleet or a default', () => {
  const loads = new FleetLoad()
  const [busy, idle] = [new NodeLoad(loads), new NodeLoad(loads, { concurrency: 8 })]
  const origins = (load: NodeLoad): string[] => {
    const { service_time_from, concurrency_from } = conditions(goodNode(load))
    return [service_time_from, concurrency_from]
  }
  assert.deepEqual(origins(busy), ['default', 'default'])
  assert.deepEqual(origins(idle), ['default', 'set'])
  for (let n = 0; n < 20; n++) {
    const at = NOW - 100 + 4 * n
    const mark = busy.started(at)
    busy.ended(at + 2, { outcome: 'success', mark })
  }
  assert.deepEqual(origins(busy), ['learnt', 'learnt'])
  assert.deepEqual(origins(idle), ['fleet', 'set'])
  idle.configure({})
  assert.deepEqual(origins(idle), ['fleet', 'default'])
})
