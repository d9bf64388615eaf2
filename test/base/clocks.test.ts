/** Dates for what expires, while the wall clock is set. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteadyClock } from '../../src/base/clocks.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const START = 1_700_000_000_000

/** A steady clock over two clocks in the test's hands. */
function setUp(): {
  clock: SteadyClock
  /** Lets time pass, read now and then as a ledger does. */
  pass: (ms: number) => void
  /** Sets the wall clock that far ahead of the true time. */
  set: (aheadMs: number) => void
  /** The dates as far as they are ahead of the true time. */
  ahead: () => { stamp: number; expiry: number }
} {
  let passed = 0
  let set = 0
  const clock = new SteadyClock({ wall: () => START + passed + set, monotonic: () => passed })
  const ahead = (): { stamp: number; expiry: number } => ({
    stamp: clock.stampMs() - START - passed,
    expiry: clock.expiryMs() - START - passed,
  })
  return {
    clock,
    pass: (ms) => {
      const end = passed + ms
      for (; passed < end; passed = Math.min(end, passed + 1000)) clock.expiryMs()
    },
    set: (aheadMs) => void (set = aheadMs),
    ahead,
  }
}

test('a clock that is never set is told as it is, also where it drifts', () => {
  const { pass, set, ahead } = setUp()
  for (let drift = 0; drift < 60_000; drift += 500) {
    set(drift)
    assert.deepEqual(ahead(), { stamp: drift, expiry: drift })
    pass(1000)
  }
})

test('what is written while the clock is days ahead lives longer, and nothing expires sooner', () => {
  const { pass, set, ahead } = setUp()
  pass(MINUTE)
  set(2 * DAY)
  assert.deepEqual(ahead(), { stamp: 2 * DAY, expiry: 0 })
  pass(9 * MINUTE)
  assert.deepEqual(ahead(), { stamp: 2 * DAY, expiry: 0 })
  set(0)
  assert.deepEqual(ahead(), { stamp: 0, expiry: 0 })
})

test('what is written while the clock is days back is not older afterwards', () => {
  const { pass, set, ahead } = setUp()
  set(-2 * DAY)
  assert.deepEqual(ahead(), { stamp: 0, expiry: -2 * DAY })
  pass(2000)
  set(0)
  assert.deepEqual(ahead(), { stamp: 0, expiry: 0 })
})

for (const [way, aheadMs] of [
  ['forward', 3 * DAY],
  ['back', -3 * DAY],
] as const) {
  test(`a clock that was set ${way} is believed after ten minutes`, () => {
    const { pass, set, ahead } = setUp()
    set(aheadMs)
    pass(9 * MINUTE)
    assert.notEqual(ahead().stamp, ahead().expiry)
    pass(2 * MINUTE)
    assert.deepEqual(ahead(), { stamp: aheadMs, expiry: aheadMs })
  })
}

test('a clock that never stays where it was set is not believed', () => {
  const { pass, set, ahead } = setUp()
  for (let minute = 0; minute < 60; minute++) {
    set(DAY + minute * MINUTE)
    pass(MINUTE)
  }
  assert.equal(ahead().expiry, 0)
})
