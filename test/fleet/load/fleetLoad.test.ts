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

  test('may be in a large unit: where all cost the same, each is about a mean one after some tens', () => {
    for (const cost of [1, 256, 1e9]) {
      const { ratios } = seen(times(50, cost))
      assert.ok(ratios.every((ratio) => ratio < 10))
      assert.ok(Math.abs(ratios[49]! - 1) < 0.3, String(ratios[49]))
    }
  })

  test('that is the first counts for more than one of which nothing is said, but within reason', () => {
    const { ratios } = seen([10_000, 1])
    assert.ok(ratios[0]! > 4 && ratios[0]! < 6, String(ratios[0]))
    assert.equal(ratios[1], 0.1)
  })

  test('that is absurd and comes first is forgotten within some tens', () => {
    const { ratios } = seen([10_000, ...times(100, 1)])
    assert.ok(ratios[100]! > 0.3, String(ratios[100]))
  })

  test('counts as a tenth of the mean at least, and a hundred times it at most', () => {
    const { fleet } = seen(times(1000, 1))
    const largest = fleet.costRatio(1e12)
    assert.ok(largest > 80 && largest <= 100, String(largest))
    assert.equal(fleet.costRatio(1e-12), 0.1)
  })
})

test('the mean latency is the service time until a request was seen', () => {
  const fleet = new FleetLoad()
  assert.equal(fleet.meanLatencySeconds, 1)
  fleet.latencyObserved(4)
  assert.equal(fleet.meanLatencySeconds, 4)
})
