import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { RedisBudgets } from '../../../src/ledger/redis/coordination/budgets.ts'
import { budgetsOver } from '../../../src/replicas/sharedBudgets.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { connectRedis, P } from './replicaKit.ts'

const ASK = { limit: '/api/v1/ips', key: 'a caller', perMinute: 60, wanted: 1, more: 0 }
const NAME = `${P}rl:/api/v1/ips:a caller`
/** A busy machine may hold Redis up, which is no outage here, ms. */
const PATIENCE_MS = 20_000

async function started(t: TestContext, replicas = 1) {
  const server = await startRedis(t)
  const all = await Promise.all(
    Array.from({ length: replicas }, async () => new RedisBudgets(await connectRedis(t, server.url()))),
  )
  /** The budget's date, as a shift of Redis's clock by `ms` would leave it. */
  const shift = async (ms: number): Promise<void> => {
    await server.call('SET', NAME, String(Number(await server.call('GET', NAME)) - ms), 'KEEPTTL')
  }
  return { server, all: all as [RedisBudgets, ...RedisBudgets[]], shift }
}

describe('a budget in Redis', { skip: redisMissing }, () => {
  test('grants what is wanted, and a part of what is left in advance', async (t) => {
    const { all } = await started(t)
    const [budgets] = all
    const grant = async (wanted: number, more: number) => (await budgets.take({ ...ASK, wanted, more })).granted
    assert.equal(await grant(10, 3), 13)
    // 47 are left: 7 and a quarter of 40.
    assert.equal(await grant(7, 1000), 17)
    assert.equal(await grant(31, 0), 0)
    assert.equal(await grant(30, 50), 30)
    assert.equal(await grant(1, 0), 0)
    assert.equal(await grant(0, 5), 0)
  })

  test('is that of one caller under one limit', async (t) => {
    const { all } = await started(t)
    await all[0].take({ ...ASK, wanted: 60 })
    assert.equal((await all[0].take(ASK)).granted, 0)
    assert.equal((await all[0].take({ ...ASK, key: 'b' })).granted, 1)
    assert.equal((await all[0].take({ ...ASK, limit: '/route' })).granted, 1)
  })

  test('refills evenly, and says how far it is used', async (t) => {
    const { all, shift } = await started(t)
    const { usedMs } = await all[0].take({ ...ASK, wanted: 60 })
    assert.equal(usedMs, 60_000)
    await shift(2500)
    const after = await all[0].take({ ...ASK, wanted: 2 })
    assert.equal(after.granted, 2)
    assert.ok(after.usedMs > 58_000 && after.usedMs <= 59_500, String(after.usedMs))
  })

  test('takes back what was not used, and is forgotten when it is full', async (t) => {
    const { server, all } = await started(t)
    await all[0].take({ ...ASK, wanted: 60 })
    await all[0].giveBack(ASK, 20)
    assert.equal((await all[0].take({ ...ASK, wanted: 20 })).granted, 20)
    const ttl = Number(await server.call('PTTL', NAME))
    assert.ok(ttl > 0 && ttl <= 60_000, String(ttl))
    await all[0].giveBack(ASK, 60)
    assert.equal(await server.call('EXISTS', NAME), 0)
    await all[0].giveBack(ASK, 60)
    assert.equal((await all[0].take({ ...ASK, wanted: 61 })).granted, 0)
  })

  test('that may owe is charged what does not fit, and grants nothing until that is paid off', async (t) => {
    const { server, all, shift } = await started(t)
    const owing = { ...ASK, mayOwe: true }
    await all[0].charge(owing, 180)
    const refused = await all[0].take({ ...owing, more: 10 })
    assert.equal(refused.granted, 0)
    assert.ok(refused.usedMs > 179_000 && refused.usedMs <= 180_000, String(refused.usedMs))
    assert.ok(Number(await server.call('PTTL', NAME)) > 170_000)
    await shift(119_000)
    assert.equal((await all[0].take({ ...owing, wanted: 2 })).granted, 0)
    await all[0].giveBack(owing, 30)
    assert.equal((await all[0].take({ ...owing, wanted: 20 })).granted, 20)
    await all[0].charge(owing, 1_000_000_000)
    assert.ok((await all[0].take(owing)).usedMs <= 3_660_000)
  })

  test('is empty for a minute at most where the clock of Redis was set back', async (t) => {
    const { all, shift } = await started(t)
    await all[0].take(ASK)
    await shift(-3_600_000)
    const { granted, usedMs } = await all[0].take(ASK)
    assert.equal(granted, 0)
    assert.ok(usedMs <= 60_010, String(usedMs))
    await all[0].giveBack(ASK, 30)
    assert.equal((await all[0].take({ ...ASK, wanted: 20 })).granted, 20)
  })

  test('is never short of a request for the rounding of fractions', async (t) => {
    const { all } = await started(t)
    for (const perMinute of [3, 7, 97, 6007]) {
      const ask = { ...ASK, perMinute, key: String(perMinute) }
      const most = Math.min(perMinute, 97)
      await all[0].take({ ...ask, wanted: perMinute - most })
      for (let i = 0; i < most; i++) assert.equal((await all[0].take(ask)).granted, 1, `${perMinute}: ${i}`)
    }
  })

  test('cannot be asked while Redis is away, and nothing fails that is given back', async (t) => {
    const { server, all } = await started(t)
    await server.kill()
    await assert.rejects(all[0].take(ASK), { code: 'AWAY' })
    await all[0].giveBack(ASK, 1)
    await all[0].charge(ASK, 1)
  })

  for (const [name, each] of [
    ['evenly', [1000, 1000, 1000]],
    ['18 : 1 : 1', [2700, 150, 150]],
    ['all at one', [3000, 0, 0]],
  ] as const) {
    test(`is shared exactly by three replicas with 3,000 requests at once, spread ${name}`, async (t) => {
      const { all } = await started(t, 3)
      const perMinute = 600
      const startedAt = performance.now()
      const replicas = all.map((store) => budgetsOver(store, { lateMs: PATIENCE_MS })('a limit', perMinute))
      const verdicts = await Promise.all(
        replicas.flatMap((budgets, i) => Array.from({ length: each[i]! }, async () => budgets.take('a caller'))),
      )
      const admitted = verdicts.filter(({ isAdmitted }) => isAdmitted).length
      const refilled = ((performance.now() - startedAt) / 60_000) * perMinute
      assert.ok(admitted <= perMinute + refilled + 1, `${admitted}, of which ${refilled} refilled`)
      assert.ok(admitted >= perMinute - 2, String(admitted))
    })
  }
})
