import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryAfterSeconds } from '../../src/base/retryAfter.ts'

/** By the clock of whoever wrote the answer. */
const date = 'Sun, 01 Mar 2026 12:00:00 GMT'

for (const [header, seconds] of [
  ['7', 7],
  ['2.1', 3],
  ['Sun, 01 Mar 2026 12:00:30 GMT', 30],
  ['0', 1],
  ['Sun, 01 Mar 2026 11:00:00 GMT', 1],
  ['-5', 1],
  ['soon', 1],
  ['', 1],
  [undefined, 1],
  // No timer holds more than 24 days: it would ring at once, over and over.
  ['99999999999', 3600],
  ['Fri, 01 Mar 2126 12:00:00 GMT', 3600],
] as const) {
  test(`Retry-After: ${header} is ${seconds} s`, () =>
    assert.equal(retryAfterSeconds({ 'retry-after': header, date }), seconds))
}

test('without a readable date of its answer, a date counts from our own clock', () => {
  const inAMinute = new Date(Date.now() + 60_000).toUTCString()
  for (const written of [undefined, 'now']) {
    const seconds = retryAfterSeconds({ 'retry-after': inAMinute, date: written })
    assert.ok(seconds > 30 && seconds <= 60, String(seconds))
  }
})
