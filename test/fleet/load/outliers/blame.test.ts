import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FadingCounts, logOdds, siblingRate } from '../../../../src/fleet/load/outliers/blame.ts'

const none = { answers: 0, refusals: 0 }

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9 * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`)
}

test('the rate of innocent refusals is that of the siblings with a prior of 0.04 in 2, and at least one in a hundred', () => {
  close(siblingRate(none, none), 0.02)
  close(siblingRate({ answers: 18, refusals: 1 }, { answers: 1000, refusals: 0 }), 1.04 / 20)
  close(siblingRate({ answers: 1000, refusals: 0 }, { answers: 1000, refusals: 0 }), 0.01)
})

test('what the siblings refused lately counts where it is more than since the window opened', () => {
  close(siblingRate({ answers: 1000, refusals: 0 }, { answers: 8, refusals: 4 }), 4.04 / 10)
})

test('each refusal multiplies the odds by (1 + p) / 2p, each other answer halves them', () => {
  close(Math.exp(logOdds({ answers: 1, refusals: 1 }, 0.01)), 50.5)
  close(Math.exp(logOdds({ answers: 5, refusals: 2 }, 0.5)), 1.5 ** 2 / 8)
})

test('two or three refusals in a row decide where siblings serve, nineteen where they refuse half', () => {
  const refusalsNeeded = (rate: number): number => {
    for (let n = 1; ; n++) if (logOdds({ answers: n, refusals: n }, rate) > Math.log(2000)) return n
  }
  assert.equal(refusalsNeeded(0.01), 2)
  assert.equal(refusalsNeeded(0.02), 3)
  assert.equal(refusalsNeeded(0.5), 19)
})

test('the odds of thousands of answers are still a number', () => {
  assert.ok(Number.isFinite(logOdds({ answers: 100_000, refusals: 50_000 }, 0.01)))
})

test('lately fades with its half-life', () => {
  const counts = new FadingCounts(30)
  counts.add(100, 1)
  counts.add(100, 0)
  counts.fadeTo(130)
  close(counts.answers, 1)
  close(counts.refusals, 0.5)
  counts.add(160, 1)
  close(counts.refusals, 1.25)
})
