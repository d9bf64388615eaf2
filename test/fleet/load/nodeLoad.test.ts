import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineLoad } from '../../../src/fleet/engines/engineLoad.ts'
import { DEFAULT_CONSTANTS } from '../../../src/fleet/load/constants.ts'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'

function node(capacity = {}): NodeLoad {
  return new NodeLoad(new FleetLoad(), capacity)
}

test('the load is our own jobs and those that we do not see', () => {
  const load = node()
  load.started(0)
  load.restored(0)
  load.lookedUp(0)
  assert.equal(load.load(0), 3)
  load.ended(0, { outcome: 'success' })
  assert.equal(load.load(0), 2)
  assert.equal(load.inFlight, 1)
})

test('a poll replaces the guess of what is unseen', () => {
  const load = node()
  load.started(0)
  for (let lookup = 0; lookup < 5; lookup++) load.lookedUp(0)
  load.polled(0, 3)
  assert.equal(load.load(0), 3)
  load.polled(0, 0)
  assert.equal(load.load(0), 1)
})

test('between polls unseen load drains, our own does not', () => {
  const load = node()
  load.started(0)
  load.polled(0, 3)
  assert.ok(load.load(1) < 3)
  assert.ok(load.load(1) > load.load(2))
  assert.ok(Math.abs(load.load(1000) - 1) < 1e-6)
})

test('streams that clients left are not taken for unseen load for a quarter of an hour', () => {
  const load = node()
  for (let stream = 0; stream < 4; stream++) load.cancelledStream(100)
  load.polled(101, 5)
  assert.equal(load.load(101), 1)
  load.polled(800, 5)
  assert.equal(load.load(800), 1)
  load.polled(1030, 5)
  assert.ok(load.load(1030) >= 5)
})

test('streams that clients left are forgotten in the order in which they left', () => {
  const load = node()
  for (let minute = 0; minute < 30; minute++) load.cancelledStream(60 * minute)
  load.polled(1801, 15)
  assert.ok(load.load(1801) <= 1)
  load.polled(1801, 17)
  assert.ok(load.load(1801) >= 2)
})

test('the operator is believed about concurrency, else three is assumed', () => {
  assert.equal(node().concurrency, 3)
  const load = node({ concurrency: 8 })
  assert.equal(load.concurrency, 8)
  load.configure({})
  assert.equal(load.concurrency, 3)
})

test('the score is the service time while a slot is free and grows with the square of the queue', () => {
  const wellKnown = new FleetLoad({ ...DEFAULT_CONSTANTS, doubtTiltRatio: 0 })
  const load = new NodeLoad(wellKnown, { concurrency: 2 })
  assert.equal(load.score(0), 1 + 0.001 * 0.5)
  for (let job = 0; job < 7; job++) load.started(0)
  assert.equal(load.score(0), 16)
})

/** A node that has served so many jobs of so many seconds, one after the other. */
function served(fleet: FleetLoad, jobs: number, seconds: number): NodeLoad {
  const load = new NodeLoad(fleet)
  let now = 0
  for (let job = 0; job < jobs; job++) {
    const mark = load.started(now)
    load.ended((now += seconds), { outcome: 'success', mark })
  }
  return load
}

test('of nodes that served little the one with less to do is chosen, though it seems slower', () => {
  const fleet = new FleetLoad()
  const [quick, slow] = [served(fleet, 2, 0.8), served(fleet, 2, 1.2)]
  quick.started(3)
  assert.ok(slow.score(3) < quick.score(3))
})

test('of nodes that served much the faster one is chosen while it has room, though it has more to do', () => {
  const fleet = new FleetLoad()
  const [quick, slow] = [served(fleet, 100, 0.8), served(fleet, 100, 1.2)]
  quick.started(120)
  assert.ok(quick.score(120) < slow.score(120))
})

test('a weight divides the score', () => {
  const load = node({ weight: 4 })
  const plain = node()
  for (const each of [load, plain]) for (let job = 0; job < 5; job++) each.started(0)
  assert.equal(load.score(0), plain.score(0) / 4)
})

test('a hinted cost adds half a service time for each unit of its root over one', () => {
  const load = node()
  assert.equal(load.score(0, 9), load.score(0) + 0.5 * 2)
  assert.equal(load.score(0, 0.25), load.score(0) - 0.5 * 0.5)
  assert.equal(load.score(0, 1), load.score(0))
})

test('a large job waits for a fast node where a small one goes to a free slow one', () => {
  const fleet = new FleetLoad()
  const fast = new NodeLoad(fleet, { concurrency: 1 })
  const slow = new NodeLoad(fleet, { concurrency: 1 })
  let now = 0
  for (let job = 0; job < 200; job++) {
    fast.started(now)
    fast.ended((now += 1), { outcome: 'success' })
    slow.started(now)
    slow.ended((now += 3.5), { outcome: 'success' })
  }
  fast.started(now)
  assert.ok(slow.score(now, 1) < fast.score(now, 1))
  assert.ok(slow.score(now, 16) > fast.score(now, 16))
})

test('the fourth look-up since a poll asks for another half a second later', () => {
  const load = node()
  load.polled(0, 0)
  for (const now of [10, 11, 12]) load.lookedUp(now)
  assert.equal(load.earlyPollAt(12), undefined)
  load.lookedUp(13)
  assert.equal(load.earlyPollAt(13), 13.5)
  load.lookedUp(13.4)
  assert.equal(load.earlyPollAt(13.4), 13.5)
  assert.equal(load.earlyPollAt(14), 14)
  load.polled(14, 2)
  assert.equal(load.earlyPollAt(14), undefined)
})

test('early polls are a second apart at least', () => {
  const load = node()
  load.polled(10, 0)
  for (let lookup = 0; lookup < 4; lookup++) load.lookedUp(10.1)
  assert.equal(load.earlyPollAt(10.1), 11)
})

test('a ticket counts with its cost but as one look-up', () => {
  const load = node()
  load.polled(0, 0)
  load.lookedUp(0, 6)
  assert.equal(load.load(0), 6)
  assert.equal(load.earlyPollAt(0), undefined)
})

test('a reused score is never older than the last event or a quarter of a second', () => {
  const load = node()
  load.polled(0, 9)
  const before = load.cachedScore(0)
  assert.equal(load.cachedScore(0.2), before)
  assert.ok(load.cachedScore(0.3) < before)
  load.started(0.3)
  assert.equal(load.cachedScore(0.3), load.score(0.3))
})

test('a poll that was sent before the latest event does no harm', () => {
  const load = node()
  load.started(10)
  load.polled(9.99, 1)
  load.ended(11, { outcome: 'success' })
  assert.equal(load.load(11), 0)
})

/** What an engine shows at `at`, seconds. */
function engineLoad(at: number, running: number, waiting: number, own = 0): EngineLoad {
  return { running, waiting, own, at }
}

test('an engine is compared with our requests as of the moment at which it counted', () => {
  const load = node()
  for (let request = 0; request < 3; request++) load.started(0)
  load.polled(0, 4, engineLoad(0, 4, 0, 1))
  assert.equal(load.load(0), 6)
})

test('what polls no longer show is forgotten, our own requests are not', () => {
  const load = node()
  load.started(0)
  for (let poll = 0; poll < 50; poll++) load.polled(poll, 9, engineLoad(poll, 9, 0))
  load.unpolled(50)
  assert.deepEqual([load.load(50), load.load(99), load.pending], [1, 1, undefined])
})

test('the time before the loss of polls counts with the load as it was, and the poll before it with no later one', () => {
  const [lost, polled] = [node(), node()]
  for (const load of [lost, polled]) {
    load.started(0)
    load.polled(0, 9, engineLoad(0, 2, 7))
  }
  lost.unpolled(8)
  polled.polled(8, 9, engineLoad(8, 2, 0))
  for (const load of [lost, polled]) load.ended(8, { outcome: 'success' })
  assert.equal(lost.serviceSeconds(8), polled.serviceSeconds(8))
  lost.polled(9, 9, engineLoad(9, 2, 7))
  assert.equal(lost.concurrency, 3, 'one poll is no evidence')
})

test('an engine at which requests wait runs no more than it shows', () => {
  const load = node()
  load.polled(0, 9, engineLoad(0, 2, 7))
  assert.equal(load.concurrency, 3, 'once may be the moment before its next step')
  load.polled(1, 9, engineLoad(1, 2, 7))
  assert.deepEqual([load.concurrency, load.snapshot(1).concurrencyFrom], [2, 'learnt'])
  load.polled(2, 2, engineLoad(2, 2, 0))
  assert.equal(load.concurrency, 2)
  load.polled(3, 5, engineLoad(3, 5, 0))
  assert.equal(load.concurrency, 3, 'it does run more')
})

test('the same numbers of an engine that keeps them for a while are one poll', () => {
  const load = node()
  const kept = (at: number, waiting: number): EngineLoad => ({ ...engineLoad(at, 2, waiting), keptSeconds: 30 })
  for (let poll = 0; poll < 5; poll++) load.polled(poll, 9, kept(poll, 7))
  assert.equal(load.concurrency, 3)
  load.polled(5, 8, kept(5, 6))
  assert.equal(load.concurrency, 2)
})

test('waiting requests do not lower the concurrency of an engine that runs more than we believe', () => {
  const load = node()
  for (let poll = 0; poll < 5; poll++) load.polled(poll, 80, engineLoad(poll, 64, 16))
  assert.equal(load.concurrency, 3)
})

test("waiting requests never change the operator's concurrency", () => {
  const load = node({ concurrency: 8 })
  for (let poll = 0; poll < 5; poll++) load.polled(poll, 9, engineLoad(poll, 2, 7))
  assert.equal(load.concurrency, 8)
  load.configure({})
  assert.equal(load.concurrency, 2)
})

test('a service that comes back has shown nothing yet', () => {
  const load = node()
  for (let poll = 0; poll < 2; poll++) load.polled(poll, 9, engineLoad(poll, 1, 8))
  assert.equal(load.concurrency, 1)
  load.recovered(2)
  assert.equal(load.concurrency, 3)
})
