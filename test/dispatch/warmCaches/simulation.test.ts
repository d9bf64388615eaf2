import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  simulateCaches,
  type CachePolicy,
  type CacheResult,
  type CacheScenario,
} from '../../kit/cacheSimulation/simulation.ts'
import type { WorkloadName } from '../../kit/cacheSimulation/workloads.ts'

/** What arrives is the same for all policies, and so is the fleet: ratios are steady. */
const SEEDS = [1, 2, 3]

type Case = Omit<CacheScenario, 'policy' | 'seed'>

const results = new Map<string, CacheResult[]>()

/** One result for each seed. */
function run(policy: CachePolicy, scenario: Case, seeds = SEEDS): CacheResult[] {
  const key = JSON.stringify([policy, scenario, seeds])
  let found = results.get(key)
  if (!found) results.set(key, (found = seeds.map((seed) => simulateCaches({ ...scenario, policy, seed }))))
  return found
}

function mean(of: CacheResult[], value: (result: CacheResult) => number): number {
  return of.reduce((sum, result) => sum + value(result), 0) / of.length
}

const seconds = (result: CacheResult): number => result.meanSeconds
const firstTokenSeconds = (result: CacheResult): number => result.meanFirstTokenSeconds

/** Checks that our answers take at most so many times as long as those of another policy. */
function atMost(ratio: number, theirs: CachePolicy, scenario: Case, value = seconds): void {
  const [our, their] = [mean(run('ours', scenario), value), mean(run(theirs, scenario), value)]
  const message = `${our.toFixed(3)} s is more than ${ratio} × ${their.toFixed(3)} s of ${theirs}`
  assert.ok(our <= ratio * their, `${scenario.workload}: ${message}`)
}

suite('answers of simulated engines are complete', () => {
  const RULES: readonly (readonly [WorkloadName, string, number, number])[] = [
    ['chats', 'of chats in three quarters of the time', 0.78, 0.78],
    ['shared prompts', 'under shared prompts in a fifth of the time of least in flight', 0.2, 0.75],
    ['agents', 'of agents in half the time', 0.53, 0.62],
    ['documents', 'of documents, which no cache can help, a little sooner', 0.97, 0.85],
    ['mixture', 'of a mixture of all in six tenths of the time of least in flight', 0.6, 0.75],
    ['hot prefix', 'of requests with one beginning sooner', 0.9, 0.94],
  ]
  for (const [workload, rule, ofLeastInFlight, ofPrefixHash] of RULES) {
    test(`${rule}, compared with least in flight and with a hash of the beginning`, () => {
      atMost(ofLeastInFlight, 'least in flight', { workload })
      atMost(ofPrefixHash, 'prefix hash', { workload })
    })
  }

  test('sooner than by a tree of all texts with thresholds', () => {
    for (const workload of ['chats', 'shared prompts', 'agents', 'documents', 'mixture', 'hot prefix'] as const) {
      atMost(0.97, 'cache_aware', { workload })
    }
  })

  test('hardly later than by a policy that knows all caches, queues, speeds and sizes of answers', () => {
    for (const workload of ['chats', 'agents', 'documents', 'mixture'] as const) {
      atMost(1.12, 'all-knowing', { workload })
    }
  })

  test('in half the time, where prompts begin alike, that they take with the same score and no index', () => {
    atMost(0.85, 'ours without the index', { workload: 'chats' })
    atMost(0.6, 'ours without the index', { workload: 'agents' })
    atMost(0.7, 'ours without the index', { workload: 'mixture' })
  })

  test('sooner by the speed of each engine at prefills, where they differ in nothing else', () => {
    atMost(0.86, 'least in flight', { workload: 'documents', prefillSlowness: [1, 6] })
    atMost(0.825, 'least in flight', { workload: 'documents', prefillSlowness: [4, 24] })
  })
})

test('first tokens come three times as soon as by least in flight, and twice as soon as by a hash of the beginning', () => {
  for (const workload of ['chats', 'shared prompts', 'agents'] as const) {
    atMost(0.45, 'least in flight', { workload }, firstTokenSeconds)
    atMost(0.5, 'prefix hash', { workload }, firstTokenSeconds)
  }
})

suite('where no answer is a stream, so that no first token is ever seen, they are complete', () => {
  const case_ = (workload: WorkloadName): Case => ({ workload, streamedShare: 0 })

  test('far sooner than by least in flight, where prompts begin alike', () => {
    atMost(0.85, 'least in flight', case_('chats'))
    atMost(0.2, 'least in flight', case_('shared prompts'))
    atMost(0.55, 'least in flight', case_('agents'))
    atMost(0.65, 'least in flight', case_('mixture'))
    atMost(0.9, 'least in flight', case_('hot prefix'))
  })

  test('by what answers teach of prefills together with decoding, where prefills are slow', () => {
    atMost(0.385, 'least in flight', { ...case_('hot prefix'), prefillSlowness: [4, 24] })
  })

  test('no later, where prompts have nothing in common', () => {
    atMost(1, 'least in flight', case_('documents'))
  })
})

suite(
  'where half of the clients or more are at other gateways, of which this one knows nothing, answers are complete',
  () => {
    test('far sooner than by least in flight, with two gateways in all', () => {
      atMost(0.85, 'least in flight', { workload: 'chats', gateways: 2 })
      atMost(0.68, 'least in flight', { workload: 'agents', gateways: 2 })
    })

    test('far sooner than by least in flight, with four gateways in all', () => {
      atMost(0.68, 'least in flight', { workload: 'agents', gateways: 4 })
      atMost(0.8, 'least in flight', { workload: 'mixture', gateways: 4 })
    })
  },
)

suite('after an engine has restarted', () => {
  const restart = (workload: WorkloadName, isNoted = true): Case => ({ workload, restart: { seconds: 5, isNoted } })
  const atReturn = (value: (at: NonNullable<CacheResult['atReturn']>) => number) => (result: CacheResult) =>
    value(result.atReturn!)

  test('all its requests end elsewhere, and answers are complete far sooner than by least in flight', () => {
    for (const workload of ['chats', 'shared prompts', 'agents'] as const) {
      atMost(0.75, 'least in flight', restart(workload))
      assert.deepEqual(
        run('ours', restart(workload)).map(({ unfinished }) => unfinished),
        SEEDS.map(() => 0),
      )
    }
  })

  test('nothing counts as warm there any more: first tokens come sooner than if that were not noted', () => {
    const firstToken = atReturn(({ meanFirstTokenSeconds }) => meanFirstTokenSeconds)
    const seeds = [1, 2, 3, 4, 5, 6]
    const [noted, missed] = [true, false].map((isNoted) =>
      mean(run('ours', restart('shared prompts', isNoted), seeds), firstToken),
    ) as [number, number]
    assert.ok(noted <= 0.75 * missed, `${noted.toFixed(3)} s is more than 0.75 × ${missed.toFixed(3)} s`)
  })

  test('requests do not pile up there because it is idle', () => {
    for (const workload of ['chats', 'shared prompts', 'agents', 'documents'] as const) {
      const pileUp = mean(
        run('ours', restart(workload)),
        atReturn((at) => at.pileUp),
      )
      assert.ok(pileUp <= 1.6, `${workload}: ${pileUp.toFixed(2)} times as many as elsewhere`)
    }
  })
})

test('clients that leave midway, before the first token or after it, leave nothing behind that spoils the choice', () => {
  const leaveShare = 0.3
  atMost(0.87, 'least in flight', { workload: 'chats', leaveShare })
  atMost(0.25, 'least in flight', { workload: 'shared prompts', leaveShare })
  atMost(0.86, 'least in flight', { workload: 'agents', leaveShare })
  atMost(0.97, 'least in flight', { workload: 'documents', leaveShare })
  atMost(0.8, 'least in flight', { workload: 'mixture', leaveShare })
})

test('the same seed gives the same result', () => {
  const scenario = {
    workload: 'mixture',
    policy: 'ours',
    seed: 4,
    requests: 300,
    gateways: 2,
    leaveShare: 0.1,
  } as const
  assert.deepEqual(simulateCaches(scenario), simulateCaches(scenario))
})
