import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routingText } from '../../src/dispatch/routingReason.ts'

test('the header has a reason, and the scores that there are, to the millisecond', () => {
  const scores = [{ score: 0.21349 }, { score: 0.48 }, { score: 7 }]
  assert.equal(routingText('warm', scores), 'warm; best=0.213; second=0.480')
  assert.equal(routingText('onlyOne', scores.slice(0, 1)), 'only one; best=0.213')
  assert.equal(routingText('retried', []), 'retried')
  assert.equal(routingText('leastLoaded', [{ score: 12_345.6789 }]), 'least loaded; best=12345.679')
})
