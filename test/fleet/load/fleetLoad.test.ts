import assert from 'node:assert/strict'
import { test } from 'node:test'
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

test('a cost is compared to the mean of the costs before it', () => {
  const fleet = new FleetLoad()
  assert.equal(fleet.costRatio(40), 1)
  assert.equal(fleet.costRatio(80), 2)
  assert.equal(fleet.costRatio(30), 0.5)
})

test('the mean latency is the service time until a request was seen', () => {
  const fleet = new FleetLoad()
  assert.equal(fleet.meanLatencySeconds, 1)
  fleet.latencyObserved(4)
  assert.equal(fleet.meanLatencySeconds, 4)
})
