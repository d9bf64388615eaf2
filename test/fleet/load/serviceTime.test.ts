import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'

/** Runs jobs one after the other; returns when the last one ended. */
function serve(load: NodeLoad, jobs: number, seconds: number, from = 0): number {
  let now = from
  for (let job = 0; job < jobs; job++) {
    const mark = load.started(now)
    load.ended((now += seconds), { outcome: 'success', mark })
  }
  return now
}

const between = (low: number, actual: number, high: number): void =>
  assert.ok(low <= actual && actual <= high, `${actual} is not between ${low} and ${high}`)

test('a node is learnt to be as fast as it serves', () => {
  const fleet = new FleetLoad()
  const fast = new NodeLoad(fleet)
  const slow = new NodeLoad(fleet)
  const fastDone = serve(fast, 100, 2)
  between(1.9, fast.serviceSeconds(fastDone), 2.1)
  const slowDone = serve(slow, 100, 8, fastDone)
  between(7, slow.serviceSeconds(slowDone), 8)
})

test('an unknown node is taken for an average one', () => {
  const fleet = new FleetLoad()
  const now = serve(new NodeLoad(fleet), 50, 4)
  assert.equal(new NodeLoad(fleet).serviceSeconds(now), fleet.serviceSeconds)
  between(3.9, fleet.serviceSeconds, 4.1)
})

test('the first jobs of a node move its service time only part of the way', () => {
  const fleet = new FleetLoad()
  serve(new NodeLoad(fleet), 1000, 1)
  const load = new NodeLoad(fleet)
  const now = serve(load, 1, 20, 1000)
  between(1.2, load.serviceSeconds(now), 10)
})

test('time spent queued is no service', () => {
  const load = new NodeLoad(new FleetLoad(), { concurrency: 1 })
  const waiting = 10
  for (let job = 0; job < waiting; job++) load.started(0)
  let now = 0
  for (let round = 0; round < 200; round++) {
    load.ended((now += 2), { outcome: 'success' })
    load.started(now)
  }
  between(1.9, load.serviceSeconds(now), 2.1)
})

test('the lag of hearing of the end of an async job is no service', () => {
  const fleet = new FleetLoad()
  const load = new NodeLoad(fleet)
  let now = 0
  for (let job = 0; job < 200; job++) {
    const mark = load.started(now)
    load.ended((now += 2.5), { outcome: 'success', lagSeconds: 0.5, mark })
  }
  between(1.95, load.serviceSeconds(now), 2.05)
})

test('failures and pushbacks never touch the service time', () => {
  const load = new NodeLoad(new FleetLoad())
  let now = serve(load, 100, 2)
  const before = load.serviceSeconds(now)
  for (const outcome of ['failure', 'pushback'] as const) {
    for (let job = 0; job < 5; job++) {
      const mark = load.started(now)
      load.ended((now += 60), { outcome, mark })
    }
  }
  // Only age has changed it: ten minutes without a completion.
  between(before * 0.98, load.serviceSeconds(now), before * 1.02)
})

test('a job that hung for long and failed takes back no more than its own time still counts', () => {
  const load = new NodeLoad(new FleetLoad(), { concurrency: 8 })
  let now = serve(load, 400, 2)
  const hanging = load.started(now)
  now = serve(load, 400, 2, now)
  load.ended(now, { outcome: 'failure', mark: hanging })
  between(1.9, load.serviceSeconds(now), 2.1)
})

test('time served for clients that left counts: slow nodes are where they leave', () => {
  const fleet = new FleetLoad()
  const now = serve(new NodeLoad(fleet), 1000, 1)
  const load = new NodeLoad(fleet)
  const marks = Array.from({ length: 20 }, () => load.started(now))
  for (const mark of marks.slice(1)) load.ended(now + 30, { outcome: 'cancelled', mark })
  load.ended(now + 30, { outcome: 'success', mark: marks[0]! })
  assert.ok(load.serviceSeconds(now + 30) > 3)
})

test('what was learnt of a node that ends no jobs fades towards the fleet', () => {
  const fleet = new FleetLoad()
  const slow = new NodeLoad(fleet)
  const now = serve(slow, 100, 8)
  serve(new NodeLoad(fleet), 5000, 1, now)
  const later = now + 5000
  assert.ok(slow.serviceSeconds(now) > 7)
  between(1, slow.serviceSeconds(later), 1.2)
})

test('a node that becomes slower is noticed within a few hundred jobs', () => {
  const load = new NodeLoad(new FleetLoad())
  const now = serve(load, 400, 6, serve(load, 5000, 1))
  between(4.5, load.serviceSeconds(now), 6)
})

test('with look-ups alone, polls tell fast nodes from slow ones', () => {
  const fleet = new FleetLoad()
  const fast = new NodeLoad(fleet)
  const slow = new NodeLoad(fleet)
  for (let poll = 0; poll < 40; poll++) {
    const now = 30 * poll
    fast.polled(now, 3)
    slow.polled(now, 3)
    for (let lookup = 0; lookup < 30; lookup++) fast.lookedUp(now + lookup)
    for (let lookup = 0; lookup < 6; lookup++) slow.lookedUp(now + lookup)
  }
  // Three slots, always busy: 30 jobs in 30 s are 3 s each, 6 jobs 15 s.
  between(2.5, fast.serviceSeconds(1200), 4)
  between(12, slow.serviceSeconds(1200), 15.5)
})

test('a node that swallows what it is sent does not seem fast', () => {
  const load = new NodeLoad(new FleetLoad())
  for (let poll = 0; poll < 40; poll++) {
    load.polled(30 * poll, 0)
    for (let lookup = 0; lookup < 9; lookup++) load.lookedUp(30 * poll + lookup)
  }
  assert.equal(load.serviceSeconds(1200), 1)
})

test('polls teach no service time where our own jobs do', () => {
  const load = new NodeLoad(new FleetLoad())
  const now = serve(load, 100, 2)
  const before = load.serviceSeconds(now + 1)
  load.polled(now, 3)
  load.lookedUp(now)
  load.polled(now + 1, 3)
  assert.equal(load.serviceSeconds(now + 1), before)
})
