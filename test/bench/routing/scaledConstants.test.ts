import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_CONSTANTS } from '../../../src/fleet/load/constants.ts'
import { scaledBy } from './scaledConstants.ts'

test('scaling touches all times and nothing but times', () => {
  const scaled = scaledBy(0.1)
  assert.equal(scaled.firstServiceSeconds, 0.1)
  assert.equal(scaled.serviceMemorySeconds, 30)
  assert.equal(scaled.firstEjectionSeconds, 0.5)
  assert.equal(scaled.longestEjectionSeconds, 16)
  assert.equal(scaled.earlyPollDelaySeconds, 0.05)
  assert.equal(scaled.shortestPollGapSeconds, 0.1)
  assert.deepEqual({ ...scaled, ...times(DEFAULT_CONSTANTS) }, DEFAULT_CONSTANTS)
  for (const [name, seconds] of Object.entries(times(scaled))) {
    assert.equal(seconds, 0.1 * (times(DEFAULT_CONSTANTS)[name] ?? NaN))
  }
})

function times(constants: object): Record<string, number> {
  const entries = Object.entries(constants) as [string, number][]
  return Object.fromEntries(entries.filter(([name]) => name.endsWith('Seconds')))
}
