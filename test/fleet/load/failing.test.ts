import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'

function node(): NodeLoad {
  return new NodeLoad(new FleetLoad())
}

function failTimes(load: NodeLoad, times: number, now: number): void {
  for (let failure = 0; failure < times; failure++) load.failed(now)
}

test('three failures in a row eject for five seconds, two do not', () => {
  const load = node()
  failTimes(load, 2, 10)
  assert.equal(load.isEjected(10), false)
  load.failed(10)
  assert.equal(load.isEjected(10), true)
  assert.equal(load.admits(14.9), false)
  assert.equal(load.snapshot(10).ejectedUntil, 15)
  assert.equal(load.isEjected(15), false)
  assert.equal(load.admits(15), true)
})

test('a success in between starts the count of failures anew', () => {
  const load = node()
  failTimes(load, 2, 10)
  load.succeeded(10)
  failTimes(load, 2, 10)
  assert.equal(load.isEjected(10), false)
})

test('pushbacks and clients that leave are neither success nor failure', () => {
  const load = node()
  failTimes(load, 2, 10)
  for (const outcome of ['pushback', 'cancelled'] as const) {
    load.started(10)
    load.ended(10, { outcome })
  }
  assert.ok(load.snapshot(10).failureLevel > 0.5)
  load.failed(10)
  assert.equal(load.isEjected(10), true)
})

test('after an ejection one request at a time is let through until one succeeds', () => {
  const load = node()
  failTimes(load, 3, 0)
  load.started(5)
  assert.equal(load.admits(5), false)
  load.ended(6, { outcome: 'pushback' })
  assert.equal(load.admits(6), true)
  load.started(6)
  assert.equal(load.admits(6), false)
  load.succeeded(7)
  assert.equal(load.admits(7), true)
  load.started(7)
  assert.equal(load.admits(7), true)
})

test('work from before a node was set aside does not end its trial', () => {
  const load = node()
  const early = load.started(0)
  failTimes(load, 3, 0)
  const trial = load.started(5)
  load.ended(6, { outcome: 'cancelled', mark: early })
  assert.equal(load.admits(6), false)
  load.ended(7, { outcome: 'cancelled', mark: trial })
  assert.equal(load.admits(7), true)
})

test('each failed trial doubles the ejection, up to 160 seconds', () => {
  const load = node()
  failTimes(load, 3, 0)
  let now = 0
  for (const seconds of [5, 10, 20, 40, 80, 160, 160]) {
    assert.equal(load.admits(now + seconds - 0.1), false)
    now += seconds
    assert.equal(load.admits(now), true)
    load.started(now)
    load.failed(now)
    load.ended(now, { outcome: 'failure' })
  }
})

test('after a success the next ejection is short again', () => {
  const load = node()
  failTimes(load, 3, 0)
  failTimes(load, 1, 5)
  load.succeeded(15)
  failTimes(load, 3, 20)
  assert.equal(load.snapshot(20).ejectedUntil, 25)
})

test('requests that were under way when a node was ejected do not prolong it', () => {
  const load = node()
  failTimes(load, 50, 0)
  assert.equal(load.snapshot(0).ejectedUntil, 5)
})

test('the failure level rises by three tenths of the rest and fades with thirty seconds', () => {
  const load = node()
  load.failed(0)
  assert.equal(load.snapshot(0).failureLevel, 0.3)
  load.failed(0)
  assert.equal(load.snapshot(0).failureLevel, 0.51)
  assert.equal(load.snapshot(30).failureLevel, 0.51 * Math.exp(-1))
  load.succeeded(0)
  assert.equal(load.snapshot(0).failureLevel, 0.51 * 0.7)
})

test('a node that failed of late comes after busy ones that did not', () => {
  const fleet = new FleetLoad()
  const [failing, busy] = [new NodeLoad(fleet), new NodeLoad(fleet)]
  failing.failed(0)
  for (let job = 0; job < 12; job++) busy.started(0)
  assert.ok(failing.score(0) > busy.score(0))
  assert.ok(failing.score(300) < busy.score(300))
})

test('a node that came back is judged as a new one, its unfinished requests apart', () => {
  const load = node()
  load.started(0)
  load.lookedUp(0)
  failTimes(load, 3, 0)
  load.recovered(1)
  const { inFlight, unseenJobs, failureLevel, ejectedUntil, serviceSeconds } = load.snapshot(1)
  assert.deepEqual([inFlight, unseenJobs, failureLevel, ejectedUntil], [1, 0, 0, undefined])
  assert.equal(load.admits(1), true)
  assert.ok(Math.abs(serviceSeconds - 1) < 1e-9)
})
