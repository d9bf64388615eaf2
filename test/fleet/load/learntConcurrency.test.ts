import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'
import type { WorkOutcome } from '../../../src/fleet/load/work.ts'
import { Backend } from '../../kit/routingSimulation/backend.ts'
import { Events } from '../../kit/routingSimulation/events.ts'
import { exponential, seededRandom } from '../../kit/routingSimulation/random.ts'

/** A node that runs `truly` jobs at once, each of a second on the mean, and is 80 % busy with jobs of ours. */
function serve(load: NodeLoad, truly: number, jobs: number, seed = 1): number {
  const random = seededRandom(seed)
  const events = new Events()
  const backend = new Backend(events, truly, 1)
  let arrivesAt = 0
  for (let job = 0; job < jobs; job++) {
    events.at((arrivesAt += exponential(random, 1 / (0.8 * truly))), () => {
      const mark = load.started(events.now)
      backend.submit({ size: exponential(random, 1) }, () => load.ended(events.now, { outcome: 'success', mark }))
    })
  }
  events.runUntil(arrivesAt + 1000)
  return events.now
}

const learnt = (truly: number, jobs: number, seed?: number): NodeLoad => {
  const load = new NodeLoad(new FleetLoad())
  serve(load, truly, jobs, seed)
  return load
}

for (const [truly, least, most] of [
  [1, 1, 1],
  [3, 2, 4],
  [8, 6, 12],
] as const) {
  test(`of a node that runs ${truly} at once it is learnt from the ends of our own jobs`, () => {
    for (const seed of [1, 2, 3]) {
      const { concurrency } = learnt(truly, 1500, seed)
      assert.ok(concurrency >= least && concurrency <= most, `${concurrency}`)
    }
  })
}

test('the service time is that of the learnt concurrency', () => {
  for (const truly of [1, 8]) {
    const load = learnt(truly, 1500)
    const seconds = load.snapshot(0).serviceSeconds
    assert.ok(seconds > 0.7 && seconds < 1.4, `${seconds} s with ${load.concurrency} at once`)
  }
})

test('a few jobs say nothing yet', () => {
  assert.equal(learnt(1, 7).concurrency, 3)
})

test("the operator's word stands against all that is seen, and what was learnt stands when it is taken back", () => {
  const load = new NodeLoad(new FleetLoad(), { concurrency: 5 })
  serve(load, 1, 1500)
  assert.equal(load.concurrency, 5)
  load.configure({})
  assert.equal(load.concurrency, 1)
})

test('a node that came back may be another: nothing learnt holds', () => {
  const load = learnt(1, 1500)
  load.recovered(2000)
  assert.equal(load.concurrency, 3)
})

test('time in which jobs hung before they failed teaches nothing', () => {
  const concurrencyAfter = (hanging: number): number => {
    const load = new NodeLoad(new FleetLoad())
    const now = serve(load, 8, 1500)
    const marks = Array.from({ length: hanging }, () => load.started(now))
    for (const mark of marks) load.ended(now + 3600, { outcome: 'failure', mark })
    const mark = load.started(now + 3600)
    load.ended(now + 3601, { outcome: 'success', mark })
    return load.concurrency
  }
  assert.equal(concurrencyAfter(5), concurrencyAfter(0))
})

test('a clock that stands still, and work that takes no time, do no harm', () => {
  const load = new NodeLoad(new FleetLoad())
  for (let job = 0; job < 100; job++) load.ended(0, { outcome: 'success' satisfies WorkOutcome, mark: load.started(0) })
  assert.equal(load.concurrency, 3)
  assert.ok(Number.isFinite(load.score(1)))
})

test('a later run of the gateway goes on with the concurrency that was learnt, and its service time', () => {
  const before = new NodeLoad(new FleetLoad())
  // When the last jobs ended, not when there was nothing left to happen.
  const now = serve(before, 8, 1500) - 995
  const after = new NodeLoad(new FleetLoad())
  after.recall(before.kept(now)!, 0)
  assert.equal(after.concurrency, 3)
  after.recovered(5)
  assert.equal(after.concurrency, before.concurrency)
  const [is, was] = [after.serviceSeconds(5), before.serviceSeconds(now)]
  assert.ok(Math.abs(is / was - 1) < 0.1, `${is} s, before ${was} s`)
  // What the operator says counts, and the service time follows it.
  const told = new NodeLoad(new FleetLoad(), { concurrency: 4 })
  told.recall(before.kept(now)!, 0)
  told.recovered(5)
  assert.equal(told.concurrency, 4)
  assert.ok(told.serviceSeconds(5) < 0.9 * is, `${told.serviceSeconds(5)} s with half of the concurrency`)
})
