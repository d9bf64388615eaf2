import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryAfterSeconds, writtenAtMs } from '../../src/proxy/exchange.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')

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
  test(`Retry-After: ${header} is ${seconds} s`, () => assert.equal(retryAfterSeconds(header, NOW), seconds))
}

test('a date counts from the date of its answer, so that it does not matter how our clock is set', () => {
  const headers = { date: 'Sun, 01 Mar 2026 12:00:00 GMT' }
  assert.equal(retryAfterSeconds('Sun, 01 Mar 2026 12:00:30 GMT', writtenAtMs(headers)), 30)
  assert.ok(Math.abs(writtenAtMs({}) - Date.now()) < 60_000)
  assert.ok(Math.abs(writtenAtMs({ date: 'now' }) - Date.now()) < 60_000)
})
