import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { simulateRefusals, type RefusalScenario } from '../../../kit/routingSimulation/refusals.ts'

const SEEDS = [1, 2, 3, 4]
const FOR_EVER = { backends: 1, from: 0, until: Infinity }

for (const [backends, ratePerSecond] of [
  [2, 4],
  [3, 4],
  [3, 20],
  [10, 20],
] as const) {
  for (const callers of [2, 20]) {
    test(`one of ${backends} nodes that refuses all fails at most 5 of 300 jobs at ${ratePerSecond} a second, for ${callers - 1} callers`, () => {
      for (const seed of SEEDS) {
        const seconds = 300 / ratePerSecond
        const { failed } = simulateRefusals({ seed, backends, ratePerSecond, seconds, callers, bad: FOR_EVER })
        assert.ok(failed.length >= 1 && failed.length <= 5, `${failed.length} failed`)
        assert.ok(failed.filter((number) => number >= 50).length <= 2, `failed: ${failed.join()}`)
      }
    })
  }
}

test('where refused requests are tried elsewhere, none fails', () => {
  for (const seed of SEEDS) {
    const scenario = { seed, backends: 2, ratePerSecond: 4, seconds: 250, bad: FOR_EVER, retries: true }
    assert.deepEqual(simulateRefusals(scenario).failed, [])
  }
})

for (const faultSeconds of [5, 30, 60]) {
  test(`a backend that refused for ${faultSeconds} seconds has its share again within 60 seconds in the mean`, () => {
    const healedAt = 100 + faultSeconds
    const waits = [2, 3, 10].flatMap((backends) =>
      SEEDS.map((seed) => {
        const bad = { backends: 1, from: 100, until: healedAt }
        const { freed } = simulateRefusals({ seed, backends, ratePerSecond: 2 * backends, seconds: 600, bad })
        return Math.max(0, ...freed.map(({ at }) => at - healedAt))
      }),
    )
    const mean = waits.reduce((sum, seconds) => sum + seconds, 0) / waits.length
    assert.ok(mean <= 60, `${mean.toFixed(0)} s`)
  })
}

describe("one client's bad input, which every backend refuses, moves no load", () => {
  for (const backends of [2, 3, 10]) {
    for (const badInputShare of [0.1, 0.5]) {
      for (const badInputBurst of [1, 20]) {
        test(`${badInputShare * 100} % of all requests to ${backends} backends, ${badInputBurst} at a time`, () => {
          // The good requests alone keep the backends 70 % busy.
          const ratePerSecond = (0.7 * 4 * backends) / (1 - badInputShare)
          const scenario = { backends, ratePerSecond, seconds: 500, badInputShare, badInputBurst }
          const watched = meanOf(scenario)
          const without = meanOf({ ...scenario, isWatched: false })
          assert.ok(watched <= 1.05 * without, `${watched.toFixed(3)} s against ${without.toFixed(3)} s`)
        })
      }
    }
  }
})

function meanOf(scenario: Omit<RefusalScenario, 'seed'>): number {
  const means = SEEDS.map((seed) => simulateRefusals({ ...scenario, seed }).meanSeconds)
  return means.reduce((sum, mean) => sum + mean, 0) / means.length
}
