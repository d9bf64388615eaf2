import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_CONSTANTS } from '../../../../src/fleet/load/constants.ts'
import { SetAside } from '../../../../src/fleet/load/outliers/setAside.ts'

/** Set aside at 0, and again at each end of its time. */
function lengths(aside: SetAside, times: number): number[] {
  const found: number[] = []
  let now = 0
  for (let time = 0; time < times; time++) {
    aside.begin(now)
    found.push(aside.seconds)
    now = aside.until
  }
  return found
}

test('the first time is 20 seconds, each further one 2.5 times as long, 300 seconds at most', () => {
  assert.deepEqual(lengths(new SetAside(DEFAULT_CONSTANTS), 6), [20, 50, 125, 300, 300, 300])
})

test('a backend starts again at 20 seconds once it was free for as long as the last time', () => {
  for (const [freeSeconds, next] of [
    [49, 125],
    [50, 20],
  ] as const) {
    const aside = new SetAside(DEFAULT_CONSTANTS)
    lengths(aside, 2)
    aside.end(70)
    aside.begin(70 + freeSeconds)
    assert.equal(aside.seconds, next)
  }
})

test('a backend that is freed because its siblings refuse as well goes one step down', () => {
  const aside = new SetAside(DEFAULT_CONSTANTS)
  lengths(aside, 3)
  aside.end(100, { isUndone: true })
  aside.begin(101)
  assert.equal(aside.seconds, 125)
  const longest = new SetAside(DEFAULT_CONSTANTS)
  lengths(longest, 9)
  longest.end(1000, { isUndone: true })
  longest.begin(1001)
  assert.equal(longest.seconds, 300)
})

test('when the time of a backend is over, one request at a time may try it', () => {
  const aside = new SetAside(DEFAULT_CONSTANTS)
  aside.begin(0)
  assert.equal(aside.mayTry(19.9), false)
  assert.equal(aside.mayTry(20), true)
  const first = aside.trialStarted()
  assert.equal(aside.mayTry(21), false)
  aside.trialEnded(first)
  assert.equal(aside.mayTry(21), true)
  // One that ends late, such as a long stream, says nothing of the one under way.
  const second = aside.trialStarted()
  aside.trialEnded(first)
  assert.equal(aside.mayTry(22), false)
  aside.trialEnded(second)
  assert.equal(aside.mayTry(22), true)
})
