import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetRates, ServiceRates } from '../../../src/dispatch/warmCaches/rates.ts'
import { ServiceWholeAnswers, WholeAnswers } from '../../../src/dispatch/warmCaches/wholeAnswers.ts'

/** Within so much of it. */
function near(actual: number, expected: number, ratio = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= ratio * Math.abs(expected), `${actual} is not ${expected}`)
}

/** A sequence that looks random and is the same each time. */
function randoms(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}

test('before anything was seen a character takes 60 µs to prefill, and decoding 0.1 s for each request', () => {
  const service = new ServiceRates(new FleetRates())
  near(service.prefillSeconds, 60e-6)
  near(service.decodeSeconds, 0.1)
})

test('a first token teaches its service and the fleet, and one of which little is known is taken to be like the fleet', () => {
  const fleet = new FleetRates()
  const [seen, other] = [new ServiceRates(fleet), new ServiceRates(fleet)]
  seen.firstToken(2, 10_000)
  near(fleet.prefillSeconds, 2e-4)
  near(other.prefillSeconds, 0.98 * 2e-4)
  near(seen.prefillSeconds, (2 + 80_000 * 0.98 * 2e-4) / 90_000)
  other.firstToken(1, 10_000)
  const mean = (2 * 0.995 + 1) / (10_000 * 0.995 + 10_000)
  near(fleet.prefillSeconds, mean)
  near(other.prefillSeconds, (1 + 80_000 * 0.98 * mean) / 90_000)
})

test('a service that was never tried is thought to be a little faster than those that were', () => {
  const fleet = new FleetRates()
  const [seen, untried] = [new ServiceRates(fleet), new ServiceRates(fleet)]
  for (let n = 0; n < 1000; n++) {
    seen.firstToken(0.5, 1000)
    seen.streamed(5, 33)
    assert.ok(untried.prefillSeconds < seen.prefillSeconds)
    assert.ok(untried.decodeSeconds < seen.decodeSeconds)
  }
  near(untried.prefillSeconds, 0.98 * fleet.prefillSeconds)
  near(seen.prefillSeconds, fleet.prefillSeconds, 0.07)
})

test('a service that becomes slower is soon believed to be', () => {
  const fleet = new FleetRates()
  const service = new ServiceRates(fleet)
  for (let n = 0; n < 200; n++) service.firstToken(0.6, 10_000)
  near(service.prefillSeconds, 60e-6, 0.02)
  for (let n = 0; n < 60; n++) service.firstToken(6, 10_000)
  assert.ok(service.prefillSeconds > 4e-4)
})

test('the ends of streams teach how fast a service decodes', () => {
  const fleet = new FleetRates()
  const [fast, slow] = [new ServiceRates(fleet), new ServiceRates(fleet)]
  fast.streamed(3.6, 36)
  near(fleet.decodeSeconds, 0.1)
  near(fast.decodeSeconds, (3.6 + 160 * 0.98 * 0.1) / 196)
  for (let n = 0; n < 500; n++) {
    fast.streamed(3.6, 36)
    slow.streamed(7.2, 36)
  }
  near(fast.decodeSeconds, 0.1, 0.05)
  near(slow.decodeSeconds, 0.2, 0.05)
})

test('where no answer is a stream, both rates are found from how long whole answers take', () => {
  const fleet = new FleetRates()
  const [fast, slow] = [new ServiceRates(fleet), new ServiceRates(fleet)]
  const random = randoms(1)
  for (let n = 0; n < 3000; n++) {
    const [characters, requests] = [400 + 20_000 * random(), 32 + 16 * random()]
    const seconds = 1e-4 * characters + 0.05 * requests
    fast.answeredWhole(seconds * 0.75, characters, requests)
    slow.answeredWhole(seconds * 1.25, characters, requests)
  }
  near(fleet.prefillSeconds, 1e-4, 0.05)
  near(fleet.decodeSeconds, 0.05, 0.05)
  near(slow.decodeSeconds / fast.decodeSeconds, 5 / 3, 0.1)
  near(slow.prefillSeconds / fast.prefillSeconds, 5 / 3, 0.1)
})

test('a fleet whose answers in one piece become faster does not make the service that gives them look faster than one that was never tried', () => {
  const fleet = new FleetRates()
  const [tried, untried] = [new ServiceRates(fleet), new ServiceRates(fleet)]
  for (let n = 0; n < 60; n++) tried.answeredWhole(n < 4 ? 0.2 : 0.02, 400 + 10 * (n % 4), 32 + (n % 4))
  assert.ok(untried.decodeSeconds < tried.decodeSeconds)
  assert.ok(untried.prefillSeconds < tried.prefillSeconds)
})

test('once a stream was seen, whole answers teach nothing', () => {
  const fleet = new FleetRates()
  const service = new ServiceRates(fleet)
  service.firstToken(1, 10_000)
  service.streamed(4, 40)
  for (let n = 0; n < 100; n++) service.answeredWhole(100, 1000, 40)
  near(service.prefillSeconds, (1 + 80_000 * 0.98 * 1e-4) / 90_000)
  near(service.decodeSeconds, (4 + 160 * 0.98 * 0.1) / 200)
})

test('what whole answers taught of the fleet fades with the streams after them, not at the first', () => {
  const fleet = new FleetRates()
  const service = new ServiceRates(fleet)
  const random = randoms(5)
  for (let n = 0; n < 3000; n++) {
    const [characters, requests] = [400 + 20_000 * random(), 32 + 16 * random()]
    service.answeredWhole(1e-4 * characters + 0.05 * requests, characters, requests)
  }
  service.firstToken(10, 1000)
  service.streamed(40, 40)
  near(fleet.prefillSeconds, (10 + 80_000 * 1e-4) / 81_000, 0.05)
  near(fleet.decodeSeconds, (40 + 160 * 0.05) / 200, 0.05)
  for (let n = 0; n < 2000; n++) {
    service.firstToken(0.5, 10_000)
    service.streamed(4, 40)
  }
  near(fleet.prefillSeconds, 5e-5, 0.1)
  near(fleet.decodeSeconds, 0.1, 0.1)
})

test('answers that are all alike give a fit that explains them, with both rates above zero', () => {
  const whole = new WholeAnswers()
  for (let n = 0; n < 100; n++) whole.observed(5, 10_000, 34)
  near(whole.secondsPerCharacter * 10_000 + whole.secondsPerRequest * 34, 5, 0.02)
  assert.ok(whole.secondsPerCharacter > 0 && whole.secondsPerRequest > 0)
})

test('neither rate of a fit falls to zero or below, whatever answers take', () => {
  const random = randoms(3)
  for (const [prefill, decode] of [
    [0, 0.1],
    [1e-4, 0],
    [-1e-4, 0.2],
    [1e-4, -0.01],
    [0, 0],
  ] as const) {
    const [whole, service] = [new WholeAnswers(), new ServiceWholeAnswers()]
    for (let n = 0; n < 300; n++) {
      const [characters, requests] = [400 + 20_000 * random(), 32 + 8 * random()]
      const seconds = Math.max(0, prefill * characters + decode * requests)
      whole.observed(seconds, characters, requests)
      service.observed(seconds, characters, requests)
      assert.ok(service.pace(whole, 1) >= 0)
      assert.ok(whole.secondsPerCharacter > 0 && whole.secondsPerRequest > 0)
    }
  }
})
