import assert from 'node:assert/strict'
import { test } from 'node:test'
import { warmScore } from '../../../src/dispatch/warmCaches/warmScore.ts'

const SERVICE = { prefillSeconds: 1e-4, decodeSeconds: 0.1, prefilling: 0 }

test('the score is the prefill that is ahead, twice its own for each request that it holds up, and decoding', () => {
  assert.equal(warmScore({ ...SERVICE, prefilling: 3000 }, 1000, 4), 1e-4 * (3000 + 2 * 1000 * 5) + 0.1 * 36)
})

test('a warm service is chosen although others have fewer requests, until it has so many more that waiting costs more', () => {
  const prompt = 20_000
  const idle = warmScore(SERVICE, prompt, 0)
  assert.ok(warmScore(SERVICE, 500, 10) < idle)
  assert.ok(warmScore(SERVICE, 500, 60) > idle)
})

test('for a short prompt the number of requests decides', () => {
  assert.ok(warmScore(SERVICE, 4, 6) > warmScore(SERVICE, 200, 3))
})
