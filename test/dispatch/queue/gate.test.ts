import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Gate } from '../../../src/dispatch/queue/gate.ts'
import { QueueSite } from './site.ts'

/** A gate with this many of our requests under way. */
function gateWith(
  own: number,
  concurrency?: number,
): { site: QueueSite; gate: Gate; begin: (count: number) => void; end: (count: number) => void } {
  const site = new QueueSite({ services: [concurrency === undefined ? {} : { concurrency }] })
  const node = site.services[0]!
  const begin = (count: number): void => {
    for (let n = 0; n < count; n++) node.load.started(site.now)
  }
  const end = (count: number): void => {
    for (let n = 0; n < count; n++) node.load.ended(site.now, { outcome: 'success' })
  }
  begin(own)
  // What its engine shows is known to the fleet as well.
  node.engineLoad = { running: own, waiting: 0, own, at: site.now }
  return { site, gate: site.queue.gates.of(node), begin, end }
}

describe('the gate of a service', () => {
  test('lets through as many requests as its operator says, and always one', () => {
    const { gate, begin } = gateWith(0, 2)
    for (const isOpen of [true, true, false]) {
      assert.equal(gate.isOpen, isOpen)
      begin(1)
    }
  })

  test('is learnt from the load that the engine shows: it doubles until requests wait in the engine, then grows slowly', () => {
    const { site, gate, begin } = gateWith(8)
    gate.sawLoad({ running: 8, waiting: 0, own: 8, at: site.now }, true)
    assert.equal(gate.places, 16)
    begin(8)
    gate.sawLoad({ running: 12, waiting: 4, own: 16, at: site.now }, true)
    assert.equal(gate.places, 12)
    gate.sawLoad({ running: 12, waiting: 0, own: 12, at: site.now }, true)
    assert.equal(gate.places, 13)
  })

  test('does not grow while no request waits for a place', () => {
    const { site, gate } = gateWith(8)
    gate.sawLoad({ running: 8, waiting: 0, own: 8, at: site.now }, false)
    assert.equal(gate.places, 8)
  })

  test('is closed while requests wait in the engine, until ours there are fewer than those that ran', () => {
    const { site, gate, end } = gateWith(8)
    gate.sawLoad({ running: 5, waiting: 3, own: 8, at: site.now }, true)
    assert.equal(gate.isOpen, false)
    end(3)
    assert.equal(gate.isOpen, false)
    end(1)
    assert.equal(gate.isOpen, true)
  })

  test('is closed by what its engine showed for some seconds only', () => {
    const { site, gate } = gateWith(4)
    gate.sawLoad({ running: 5, waiting: 3, own: 4, at: site.now }, true)
    gate.wanted(site.now + 1)
    assert.equal(gate.isOpen, false)
    gate.wanted(site.now + 5)
    assert.equal(gate.isOpen, true)
  })

  test('lets one through to an engine that is full of the requests of others, and no more', () => {
    const { site, gate, begin } = gateWith(0)
    gate.sawLoad({ running: 40, waiting: 20, own: 0, at: site.now }, true)
    assert.equal(gate.isOpen, true)
    begin(1)
    assert.equal(gate.isOpen, false)
    gate.sawLoad({ running: 40, waiting: 0, own: 1, at: site.now }, true)
    assert.equal(gate.isOpen, true)
  })

  test('is open again when its engine no longer shows its load, or its operator says something else', () => {
    const { site, gate } = gateWith(8)
    gate.sawLoad({ running: 5, waiting: 3, own: 8, at: site.now }, true)
    site.services[0]!.engineLoad = undefined
    assert.equal(gate.places, Infinity)
    site.services[0]!.load.configure({ concurrency: 20 })
    assert.equal(gate.places, 20)
  })

  test('that shows no load is what it had when it sent several callers away, and grows while requests wait', () => {
    const { site, gate } = gateWith(5)
    site.services[0]!.engineLoad = undefined
    gate.pushedBack({ status: 429, caller: 'a', others: 4, now: site.now })
    assert.equal(gate.places, Infinity, 'one caller may have used up its quota')
    gate.pushedBack({ status: 429, caller: 'b', others: 4, now: site.now + 1 })
    assert.equal(gate.places, 4)
    gate.wanted(site.now + 1.5)
    assert.equal(gate.places, 4)
    gate.wanted(site.now + 2.5)
    assert.equal(gate.places, 5)
  })
})
