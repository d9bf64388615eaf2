import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetLoad } from '../../../src/fleet/load/fleetLoad.ts'
import { NodeLoad } from '../../../src/fleet/load/nodeLoad.ts'

/** Sends four clients there and polls right afterwards, so many times; returns when. */
function sendAndPoll(load: NodeLoad, times: number, pending: number, from = 0): number {
  let now = from
  for (let round = 0; round < times; round++) {
    for (let lookup = 0; lookup < 4; lookup++) load.lookedUp(now)
    load.polled((now += 0.5), pending)
  }
  return now
}

function node(): NodeLoad {
  const load = new NodeLoad(new FleetLoad())
  load.polled(0, 0)
  return load
}

test('a node that is sent jobs and never shows one is taken for a black hole', () => {
  const load = node()
  const idle = load.score(0)
  const now = sendAndPoll(load, 4, 0)
  assert.equal(load.isBlackHole(now), false)
  const later = sendAndPoll(load, 1, 0, now)
  assert.equal(load.isBlackHole(later), true)
  assert.ok(load.score(later) >= 20 * idle)
})

test('one pending job clears all suspicion', () => {
  const load = node()
  sendAndPoll(load, 5, 0, sendAndPoll(load, 1, 1, sendAndPoll(load, 4, 0)) - 0.5)
  const accused = node()
  const now = sendAndPoll(accused, 5, 0)
  assert.equal(accused.isBlackHole(now), true)
  accused.polled(now, 1)
  assert.equal(accused.isBlackHole(now), false)
})

test('a job of ours that was served there clears all suspicion', () => {
  const load = node()
  const now = sendAndPoll(load, 5, 0)
  load.started(now)
  load.ended(now + 1, { outcome: 'success' })
  assert.equal(load.isBlackHole(now + 1), false)
})

test('a node that nobody was sent to, or that had time to finish, is not suspected', () => {
  const load = node()
  for (let poll = 1; poll <= 20; poll++) load.polled(30 * poll, 0)
  for (let poll = 21; poll <= 40; poll++) {
    load.lookedUp(30 * poll - 29)
    load.polled(30 * poll, 0)
  }
  assert.equal(load.snapshot(1200).suspicion, 0)
})

test('a suspect is let off after a minute, and for twice as long each time it is caught again', () => {
  const load = node()
  let now = sendAndPoll(load, 5, 0)
  for (const seconds of [60, 120, 240, 480, 960, 960]) {
    assert.equal(load.isBlackHole(now + seconds - 1), true)
    now += seconds
    assert.equal(load.isBlackHole(now), false)
    now = sendAndPoll(load, 1, 0, now)
    assert.equal(load.isBlackHole(now), true)
  }
})
