import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'

test('before any job has ended a job is taken to last one second', () => {
  const fleet = new FleetLoad()
  assert.equal(fleet.serviceSeconds, 1)
  fleet.busyFor(7)
  assert.equal(fleet.serviceSeconds, 1)
})

test('the service time of the fleet is seconds served over jobs ended', () => {
  const fleet = new FleetLoad()
  fleet.busyFor(6)
  fleet.completed(1)
  fleet.completed(1)
  assert.ok(Math.abs(fleet.serviceSeconds - 3) < 0.01)
})

test('the fleet follows a change within a few thousand jobs, not within a hundred', () => {
  const fleet = new FleetLoad()
  const run = (jobs: number, seconds: number): void => {
    for (let job = 0; job < jobs; job++) {
      fleet.busyFor(seconds)
      fleet.completed(1)
    }
  }
  run(5000, 1)
  run(100, 3)
  assert.ok(fleet.serviceSeconds < 1.2)
  run(6000, 3)
  assert.ok(fleet.serviceSeconds > 2.8)
})

describe('a cost', () => {
  /** A fleet that has seen these costs, and the ratio that each of them had. */
  function seen(costs: readonly number[]): { fleet: FleetLoad; ratios: number[] } {
    const fleet = new FleetLoad()
    return { fleet, ratios: costs.map((cost) => fleet.costRatio(cost)) }
  }
  const times = (count: number, cost: number): number[] => Array<number>(count).fill(cost)

  test('is compared to the mean of the costs before it', () => {
    const { fleet } = seen(times(1000, 40))
    assert.ok(Math.abs(fleet.costRatio(80) - 2) < 0.05)
    assert.ok(Math.abs(fleet.costRatio(20) - 0.5) < 0.05)
  })

  test('may be in any unit: where all cost the same, each is a mean one from the first on', () => {
    for (const cost of [1e-6, 1, 256, 1e9]) assert.deepEqual(seen(times(50, cost)).ratios, times(50, 1))
  })

  test('is believed only as far as there are others to compare it to', () => {
    const { ratios } = seen([1, 10_000])
    assert.ok(ratios[1]! < 5, String(ratios[1]))
  })

  test('that is absurd and comes first is forgotten within some tens', () => {
    const { ratios } = seen([10_000, ...times(100, 1)])
    assert.ok(ratios[100]! > 0.3, String(ratios[100]))
  })

  test('counts as a tenth of the mean at least, and a hundred times it at most', () => {
    const { fleet } = seen(times(1000, 1))
    assert.equal(fleet.costRatio(1e12), 100)
    assert.equal(fleet.costRatio(1e-12), 0.1)
  })
})

test('the mean latency is the service time until a request was seen', () => {
  const fleet = new FleetLoad()
  assert.equal(fleet.meanLatencySeconds, 1)
  fleet.latencyObserved(4)
  assert.equal(fleet.meanLatencySeconds, 4)
})
