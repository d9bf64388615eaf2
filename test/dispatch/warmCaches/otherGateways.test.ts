import assert from 'node:assert/strict'
import { test } from 'node:test'
import { homeCost, homeSeed, OtherGateways } from '../../../src/dispatch/warmCaches/otherGateways.ts'

const [A, B] = [{ name: 'a' }, { name: 'b' }]

test('a gateway that has the services for itself thinks of no others', () => {
  const others = new OtherGateways()
  assert.equal(others.share, 0)
  others.observed(A, 5, 5)
  others.observed(B, 0, 0)
  // Ours may be on their way when the service counts.
  others.observed(A, 3, 6)
  assert.equal(others.share, 0)
})

test('the share of other gateways is the root of what the services run besides our own', () => {
  const others = new OtherGateways()
  others.observed(A, 16, 8)
  others.observed(B, 16, 16)
  assert.equal(others.share, Math.sqrt(1 - 24 / 32))
  others.observed(A, 8, 8)
  assert.ok(Math.abs(others.share - Math.sqrt(1 - (0.8 * 8 + 8 + 16) / (0.8 * 16 + 8 + 16))) < 1e-12)
})

test('other gateways that stop are forgotten, also those at a service that has left', () => {
  const others = new OtherGateways()
  others.observed(A, 8, 0)
  for (let n = 0; n < 60; n++) others.observed(A, 8, 8)
  assert.ok(others.share < 0.01)
  others.observed(B, 100, 0)
  assert.ok(others.share > 0.5)
  others.forget(B)
  others.forget(B)
  assert.ok(others.share < 0.01)
})

test('the share stays between 0 and 1 while all services are idle, and is as before afterwards', () => {
  const others = new OtherGateways()
  for (let n = 0; n < 7; n++) {
    others.observed(A, 3.3 * n, 0.1 * n)
    others.observed(B, 0.7 * n, 0.3)
  }
  for (let n = 0; n < 400; n++) {
    for (const service of [A, B]) {
      others.observed(service, 0, 0)
      assert.ok(others.share >= 0 && others.share <= 1, `${others.share} after ${n} idle polls`)
    }
  }
  assert.equal(others.share, 0)
  for (let n = 0; n < 40; n++) others.observed(A, 8, 4)
  assert.ok(Math.abs(others.share - Math.sqrt(0.5)) < 0.01)
})

test('a gateway that is alone thinks of no others because engines count a moment before or after it', () => {
  const services = Array.from({ length: 8 }, (_, n) => ({ name: n }))
  const others = new OtherGateways<object>()
  let state = 7
  const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647
  const shares: number[] = []
  for (let n = 0; n < 2000; n++) {
    const requests = Math.floor(20 * random())
    others.observed(services[n % 8]!, requests, Math.max(0, requests + Math.floor(3 * random()) - 1))
    shares.push(others.share)
  }
  const mean = shares.reduce((sum, share) => sum + share) / shares.length
  assert.ok(mean < 0.01, `${mean}`)
  // A tenth of the load is seen nevertheless.
  for (let n = 0; n < 200; n++) others.observed(services[n % 8]!, 10, 9)
  assert.ok(Math.abs(others.share - Math.sqrt(0.1)) < 0.01, `${others.share}`)
})

test('each conversation has one home, and faster services are home to more', () => {
  const seeds = ['http://a', 'http://b', 'http://c'].map(homeSeed)
  const homes = [0, 0, 0]
  for (let n = 0; n < 6000; n++) {
    const conversation = Math.floor(((n * 0.6180339887) % 1) * 2 ** 52)
    const costs = seeds.map((seed, i) => homeCost(conversation, seed, i === 0 ? 0.5e-4 : 1e-4))
    assert.ok(costs.every((cost) => cost > 0 && Number.isFinite(cost)))
    homes[costs.indexOf(Math.min(...costs))]! += 1
  }
  const [first = 0, second = 0, third = 0] = homes
  assert.ok(first > 2800 && first < 3200, `${homes}`)
  assert.ok(second > 1350 && second < 1650, `${homes}`)
  assert.equal(first + second + third, 6000)
})

test('a service that joins takes conversations over, and none moves between the others', () => {
  const seeds = ['http://a', 'http://b', 'http://c'].map(homeSeed)
  const homeAmong = (conversation: number, count: number): number => {
    const costs = seeds.slice(0, count).map((seed) => homeCost(conversation, seed, 1e-4))
    return costs.indexOf(Math.min(...costs))
  }
  for (let n = 0; n < 1000; n++) {
    const conversation = Math.floor(((n * 0.6180339887) % 1) * 2 ** 52)
    const now = homeAmong(conversation, 3)
    assert.ok(now === 2 || now === homeAmong(conversation, 2))
  }
})
