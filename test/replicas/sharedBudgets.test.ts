import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Verdict } from '../../src/http/budgets.ts'
import { budgetsOver } from '../../src/replicas/sharedBudgets.ts'
import { ScriptedStore } from './scriptedStore.ts'

const LIMIT = 'a limit'
/** After which places are given back, a store is late, and it is asked again, ms. */
const REST_MS = 250
const LATE_MS = 100
const ASK_AGAIN_MS = 1000
const BUDGET = 600
/** One request is refilled in this time, ms. */
const REQUEST_MS = 60_000 / BUDGET

type Replica = ReturnType<ReturnType<typeof budgetsOver>>

/** Replicas over one store, on a clock that the test sets forward. */
function replicasOf(t: TestContext, { count = 3, perMinute = BUDGET, maxCallers = 1000 } = {}) {
  const clock = { ms: 1000 }
  const now = () => clock.ms
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const store = new ScriptedStore(clock)
  const makeBudgets = budgetsOver(store, { maxCallers, now })
  const replicas = Array.from({ length: count }, () => makeBudgets(LIMIT, perMinute))
  /** Sets the clock forward by steps of a millisecond, in each of which timers and promises settle. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      clock.ms++
      t.mock.timers.tick(1)
      await turn()
    }
  }
  /** Settles what needs no time. */
  const settle = () => turn()
  return { clock, store, replicas: replicas as [Replica, ...Replica[]], pass, settle }
}

/** Counts what is admitted of `each[i]` requests at replica i in every millisecond. */
async function load(
  { replicas, pass }: Pick<ReturnType<typeof replicasOf>, 'replicas' | 'pass'>,
  each: readonly number[],
  ms: number,
) {
  const admitted = replicas.map(() => 0)
  let atOnce = 0
  let hits = 0
  const count = (replica: number, { isAdmitted }: Verdict): void => {
    if (isAdmitted) admitted[replica]!++
  }
  for (let at = 0; at < ms; at++) {
    for (const [replica, budgets] of replicas.entries()) {
      for (let i = 0; i < (each[replica] ?? 0); i++) {
        hits++
        const verdict = budgets.take('a')
        if (verdict instanceof Promise) void verdict.then((known) => count(replica, known))
        else {
          atOnce++
          count(replica, verdict)
        }
      }
    }
    await pass(1)
  }
  return { admitted, total: admitted.reduce((sum, one) => sum + one, 0), atOnce, hits }
}

describe('three replicas admit together what one gateway would', () => {
  const SHAPES: [string, number[]][] = [
    ['evenly', [1, 1, 1]],
    ['18 : 1 : 1', [18, 1, 1]],
    ['all at one', [3, 0, 0]],
  ]
  for (const [name, each] of SHAPES) {
    for (const latencyMs of [0, 3]) {
      test(`under a load that is spread ${name}, with answers after ${latencyMs} ms`, async (t) => {
        const set = replicasOf(t)
        set.store.latencyMs = latencyMs
        const elapsedMs = 5000
        const { total, atOnce, hits } = await load(set, each, elapsedMs)
        const allowed = BUDGET + elapsedMs / REQUEST_MS
        assert.ok(Math.abs(total - allowed) <= 2, `${total} of ${allowed}`)
        assert.ok(total <= allowed + 1, `${total} of ${allowed}`)
        assert.ok(atOnce / hits > 0.9, `${atOnce} of ${hits} at once`)
      })
    }
  }

  test('where all of it comes at once', async (t) => {
    for (const each of [[1000, 1000, 1000], [2700, 150, 150], [3000]]) {
      const set = replicasOf(t)
      const { total } = await load(set, each, 1)
      // A replica whose requests have all passed may hold a place in advance.
      assert.ok(total <= BUDGET && total >= BUDGET - 2, `${total} of ${each.join()}`)
      t.mock.timers.reset()
    }
  })
})

test('outside bursts hardly a request waits, and a question is asked for many of them', async (t) => {
  const set = replicasOf(t, { perMinute: 60_000 })
  const { total, atOnce, hits } = await load(set, [1, 1, 0], 3000)
  assert.equal(total, hits)
  assert.ok(atOnce / hits > 0.97, `${atOnce} of ${hits}`)
  assert.ok(set.store.questions < hits / 50, `${set.store.questions} questions for ${hits}`)
})

test('places that were taken in advance are given back when a caller rests', async (t) => {
  const set = replicasOf(t, { count: 1 })
  const { total } = await load(set, [1], 40)
  assert.equal(total, 40)
  assert.ok(set.store.granted.get(`${LIMIT} a`)! > total)
  await set.pass(2 * REST_MS)
  assert.equal(set.store.granted.get(`${LIMIT} a`), total)
  assert.equal(set.replicas[0].size, 0)
})

test('places that were taken in advance for a burst are given back when a trickle follows', async (t) => {
  const set = replicasOf(t, { count: 1, perMinute: 6000 })
  let { total } = await load(set, [5], 200)
  for (let i = 0; i < 10; i++) {
    await set.pass(REST_MS - 50)
    if ((await set.replicas[0].take('a')).isAdmitted) total++
  }
  assert.ok(set.store.granted.get(`${LIMIT} a`)! - total <= 4, `${set.store.granted.get(`${LIMIT} a`)} for ${total}`)
})

describe('a refusal', () => {
  test('names when the next request passes, and is not asked for again before', async (t) => {
    const { replicas, store, pass } = replicasOf(t, { count: 1, perMinute: 60 })
    assert.equal((await replicas[0].take('a', 60)).isAdmitted, true)
    assert.deepEqual(await replicas[0].take('a'), { isAdmitted: false, remaining: 0, retryMs: 1000, fullMs: 60_000 })
    const asked = store.questions
    await pass(200)
    assert.deepEqual(replicas[0].take('a'), { isAdmitted: false, remaining: 0, retryMs: 800, fullMs: 59_800 })
    assert.equal(store.questions, asked)
    await pass(800)
    assert.equal((await replicas[0].take('a')).isAdmitted, true)
  })

  test('of many requests leaves the few that fit', async (t) => {
    const { replicas } = replicasOf(t, { count: 2 })
    assert.equal((await replicas[0].take('a', 590)).isAdmitted, true)
    assert.equal((await replicas[1]!.take('a', 50)).retryMs, 40 * REQUEST_MS)
    const verdicts = await Promise.all([8, 50, 2, 1].map(async (count) => replicas[1]!.take('a', count)))
    const admitted = verdicts.map(({ isAdmitted }) => isAdmitted)
    assert.deepEqual(admitted, [true, false, true, false])
  })
})

describe('a store that is away', () => {
  test('makes each replica count alone with the full limit, and nobody wait', async (t) => {
    const set = replicasOf(t)
    set.store.isAway = true
    await Promise.all(set.replicas.map(async (budgets) => budgets.take('a')))
    for (const budgets of set.replicas) {
      for (let i = 1; i < BUDGET; i++) assert.equal((budgets.take('a') as Verdict).isAdmitted, true)
      assert.equal((budgets.take('a') as Verdict).isAdmitted, false)
    }
    assert.equal(set.store.questions, 3)
  })

  test('is asked again once a second, and counts again when it answers', async (t) => {
    const set = replicasOf(t, { count: 1 })
    const [budgets] = set.replicas
    set.store.isAway = true
    await budgets.take('a')
    await load(set, [1], 3 * ASK_AGAIN_MS)
    assert.ok(set.store.questions >= 3 && set.store.questions <= 4, String(set.store.questions))
    set.store.isAway = false
    await load(set, [1], ASK_AGAIN_MS + 1)
    await budgets.take('b', 7)
    assert.equal(set.store.granted.get(`${LIMIT} b`), 7)
  })

  test('gives nobody a fresh budget each time that it goes away', async (t) => {
    const { replicas, store, pass } = replicasOf(t, { count: 1, perMinute: 60 })
    const [budgets] = replicas
    let admitted = 0
    for (let outage = 0; outage < 5; outage++) {
      store.isAway = true
      await budgets.take('other')
      for (let i = 0; i < 60; i++) if ((await budgets.take('a')).isAdmitted) admitted++
      store.isAway = false
      await pass(ASK_AGAIN_MS)
      await budgets.take('other')
      await pass(1)
    }
    assert.ok(admitted <= 60 + 6, String(admitted))
  })
})

describe('a store that is late', () => {
  test('holds a request up once, for a tenth of a second at most', async (t) => {
    const { clock, replicas, store, pass } = replicasOf(t, { count: 1 })
    const [budgets] = replicas
    store.latencyMs = 10_000
    const askedAt = clock.ms
    let answeredAt = 0
    const verdict = Promise.resolve(budgets.take('a')).then(({ isAdmitted }) => {
      answeredAt = clock.ms
      return isAdmitted
    })
    await pass(LATE_MS + 1)
    assert.equal(await verdict, true)
    assert.ok(answeredAt - askedAt <= LATE_MS, String(answeredAt - askedAt))
    for (let i = 0; i < 3; i++) assert.equal((budgets.take(`caller ${i}`) as Verdict).isAdmitted, true)
  })

  test('loses nothing that it granted too late', async (t) => {
    const { replicas, store, pass } = replicasOf(t, { count: 1 })
    store.latencyMs = 200
    void replicas[0].take('a', 5)
    await pass(150)
    assert.equal(store.granted.get(`${LIMIT} a`), 5)
    await pass(100 + 2 * REST_MS)
    assert.equal(store.granted.get(`${LIMIT} a`), 0)
  })
})

test('more callers at once than are remembered are counted by this replica alone', async (t) => {
  const { replicas, store, pass } = replicasOf(t, { count: 1, maxCallers: 100 })
  const [budgets] = replicas
  store.latencyMs = 10
  for (let i = 0; i < 1000; i++) {
    void budgets.take(`caller ${i}`)
    assert.ok(budgets.size <= 100)
  }
  assert.equal(store.questions, 100)
  await pass(2 * REST_MS)
  assert.equal(budgets.size, 0)
})

describe('a charge', () => {
  test('at one replica is a debt at all of them', async (t) => {
    const { replicas, pass, settle } = replicasOf(t)
    const [first, second] = replicas
    assert.equal((await first.take('a', 100)).isAdmitted, true)
    first.charge('a', 2 * BUDGET)
    await settle()
    const owed = 100 + BUDGET
    for (const budgets of replicas) assert.equal((await budgets.take('a')).retryMs, (owed + 1) * REQUEST_MS)
    await pass(REST_MS)
    second!.giveBack('a', owed)
    await settle()
    assert.equal((await second!.take('a', 1)).isAdmitted, true)
  })

  test('is paid first from the places that were taken in advance', async (t) => {
    const set = replicasOf(t, { count: 1 })
    const { total } = await load(set, [1], 40)
    const granted = () => set.store.granted.get(`${LIMIT} a`)!
    const before = granted()
    assert.ok(before > total)
    set.replicas[0].charge('a', before - total)
    await set.settle()
    assert.equal(granted(), before)
    set.replicas[0].charge('a', 7)
    await set.settle()
    assert.equal(granted(), before + 7)
  })

  test('is made by the replica alone while the store is away', async (t) => {
    const { replicas, store } = replicasOf(t)
    store.isAway = true
    await replicas[0].take('a')
    replicas[0].charge('a', BUDGET)
    assert.equal((replicas[0].take('a') as Verdict).isAdmitted, false)
    replicas[0].giveBack('a', BUDGET)
    assert.equal((replicas[0].take('a') as Verdict).isAdmitted, true)
  })
})

test('what is given back is the store’s at once: while the budget is in debt nothing passes by it', async (t) => {
  const { replicas, settle } = replicasOf(t, { count: 1 })
  const [budgets] = replicas
  await budgets.take('a', 50)
  await budgets.take('a', 50)
  budgets.charge('a', 2 * BUDGET)
  await settle()
  budgets.giveBack('a', 40)
  await settle()
  assert.equal((await budgets.take('a', 30)).isAdmitted, false)
})
