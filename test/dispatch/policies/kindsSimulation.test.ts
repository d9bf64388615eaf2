import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate, type Kinds, type Scenario } from '../../kit/routingSimulation/simulation.ts'

/** Fleets, arrivals and sizes are the same with and without kinds, so ratios are steady. */
const SEEDS = [1, 2, 3]

const ONE_TO_TEN: Kinds['mix'] = [
  { size: 1, share: 0.5 },
  { size: 10, share: 0.5 },
]
const LARGE_ARE_RARE: Kinds['mix'] = [
  { size: 1, share: 10 / 11 },
  { size: 10, share: 1 / 11 },
]
const SINGLE: Kinds['mix'] = [{ size: 1, share: 1 }]

/** Checks that learning of kinds brings the mean response time to at most so many times what it is without. */
function atMost(ratio: number, kinds: Kinds, scenario: Partial<Scenario> = {}): void {
  const mean = (policy: Scenario['policy']): number => {
    const common = { nodes: 20, utilisation: 0.85, lookUpShare: 0, measuredSeconds: 600 }
    const results = SEEDS.map((seed) => simulate({ ...common, ...scenario, kinds, policy, seed }))
    return results.reduce((sum, result) => sum + result.meanSeconds, 0) / results.length
  }
  const [learnt, without] = [mean('score'), mean('without kinds')]
  assert.ok(learnt <= ratio * without, `${learnt.toFixed(3)} s is more than ${ratio} × ${without.toFixed(3)} s`)
}

const LIKE_NODES = { alike: true, measuredSeconds: 400 }

test('jobs wait far less where nodes are better at one kind of work than at another', () => {
  atMost(0.9, { mix: ONE_TO_TEN, nodesDiffer: true })
  atMost(0.9, { mix: ONE_TO_TEN, nodesDiffer: true }, LIKE_NODES)
})

test('jobs wait far less also where large ones are rare and half of the clients only look up', () => {
  atMost(0.9, { mix: LARGE_ARE_RARE, nodesDiffer: true }, { lookUpShare: 0.5 })
})

test('chance is not taken for a difference where nodes are equally good at all kinds', () => {
  atMost(1.02, { mix: ONE_TO_TEN, nodesDiffer: false })
  atMost(1.02, { mix: ONE_TO_TEN, nodesDiffer: false }, LIKE_NODES)
})

test('a single kind costs nothing', () => {
  atMost(1.02, { mix: SINGLE, nodesDiffer: false })
  atMost(1.02, { mix: SINGLE, nodesDiffer: false }, LIKE_NODES)
  atMost(1.02, { mix: SINGLE, nodesDiffer: false }, { gateways: 4 })
})
