import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import { simulate, type Result, type Scenario } from '../../kit/routingSimulation/simulation.ts'

/** The fleets and arrivals are the same for all policies, so ratios are steady. */
const SEEDS = [1, 2, 3]

function run(scenario: Partial<Scenario>): Result[] {
  const common = { policy: 'score', nodes: 20, utilisation: 0.85, lookUpShare: 0, measuredSeconds: 1000 } as const
  return SEEDS.map((seed) => simulate({ ...common, seed, ...scenario }))
}

const mean = (results: Result[]): number =>
  results.reduce((sum, result) => sum + result.meanSeconds, 0) / results.length
const p99 = (results: Result[]): number => results.reduce((sum, result) => sum + result.p99Seconds, 0) / results.length

function atMost(ratio: number, ours: number, theirs: number): void {
  assert.ok(ours <= ratio * theirs, `${ours.toFixed(2)} s is more than ${ratio} × ${theirs.toFixed(2)} s`)
}

suite('mean response times of a simulated fleet', () => {
  let oneStep: Result[]
  let lookUps: Result[]

  before(() => {
    oneStep = run({})
    lookUps = run({ lookUpShare: 1 })
  })

  test('of unlike nodes are far below those of least in flight, in the tail too', () => {
    const theirs = run({ policy: 'least-in-flight' })
    atMost(0.8, mean(oneStep), mean(theirs))
    atMost(0.8, p99(oneStep), p99(theirs))
  })

  test('of unlike nodes are a fraction of those of going by the polled count', () => {
    atMost(0.1, mean(oneStep), mean(run({ policy: 'least-pending' })))
    atMost(0.15, mean(lookUps), mean(run({ policy: 'least-pending', lookUpShare: 1 })))
  })

  test('are little longer for clients that only look up than for those whose jobs are forwarded', () => {
    atMost(1.4, mean(lookUps), mean(oneStep))
    atMost(1.25, mean(run({ lookUpShare: 0.5 })), mean(oneStep))
  })

  test('are not far from what could be had by knowing counts, speeds and concurrencies', () => {
    atMost(1.25, mean(oneStep), mean(run({ policy: 'all-knowing' })))
    atMost(1.5, mean(lookUps), mean(run({ policy: 'all-knowing', lookUpShare: 1 })))
  })

  test('of like nodes are as good as those of least in flight, which is nearly ideal there', () => {
    const alike = { alike: true, measuredSeconds: 400 }
    atMost(1.1, mean(run(alike)), mean(run({ ...alike, policy: 'least-in-flight' })))
  })

  test('of look-ups are good with like nodes, since no innocent one is shunned', () => {
    const alike = { alike: true, lookUpShare: 1, warmUpSeconds: 1000, measuredSeconds: 500 }
    atMost(1.55, mean(run(alike)), mean(run({ ...alike, policy: 'all-knowing' })))
  })

  test('stay low under load from elsewhere, which is taken into account', () => {
    const theirs = run({ policy: 'least-in-flight', lookUpShare: 0.5, outsideShare: 0.3 })
    atMost(0.8, mean(run({ lookUpShare: 0.5, outsideShare: 0.3 })), mean(theirs))
  })

  test('of four gateways that share nothing are little worse than those of one', () => {
    atMost(1.25, mean(run({ gateways: 4 })), mean(oneStep))
  })

  test('are little worse with more than a hundred nodes, of which a few are drawn', () => {
    const scenario = { nodes: 120, warmUpSeconds: 100, measuredSeconds: 100 }
    atMost(1.25, mean(run(scenario)), mean(run({ ...scenario, policy: 'all-knowing' })))
  })
})

for (const lookUpShare of [0, 0.5, 1]) {
  test(`at most one attempt in a hundred reaches a black hole, with ${lookUpShare} of the clients looking up`, () => {
    for (const result of run({ utilisation: 0.7, blackHole: true, lookUpShare })) {
      assert.ok(result.blackHoleShare > 0, 'the black hole was never tried')
      assert.ok(result.blackHoleShare <= 0.005, `${result.blackHoleShare}`)
      if (lookUpShare === 0) assert.equal(result.lostJobs, 0)
    }
  })
}

test('a black hole that was one from the beginning is found by look-ups alone', () => {
  for (const result of run({ utilisation: 0.7, blackHole: true, lookUpShare: 1, warmUpSeconds: 0 })) {
    assert.ok(result.blackHoleShare <= 0.005, `${result.blackHoleShare}`)
  }
})

test('nodes that join are not run over', () => {
  for (const { worstPileUp } of run({ joiningNodes: 5, measuredSeconds: 300 })) {
    assert.ok(worstPileUp <= 10, `${worstPileUp} pending jobs a slot`)
  }
})
