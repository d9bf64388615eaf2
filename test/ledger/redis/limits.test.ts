import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Verdict } from '../../../src/http/budgets.ts'
import { RedisBudgets } from '../../../src/ledger/redis/coordination/budgets.ts'
import { budgetsOver } from '../../../src/replicas/sharedBudgets.ts'
import { startFaultyProxy } from '../../kit/faultyProxy.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { connectRedis, P } from './replicaKit.ts'

const LIMIT = 'a limit'
const PER_MINUTE = 600

/** A busy machine may hold Redis up, which is no outage here, ms. */
const PATIENCE_MS = 20_000

describe('three replicas over one Redis', { skip: redisMissing }, () => {
  for (const [name, each] of [
    ['evenly', [2, 2, 2]],
    ['18 : 1 : 1', [18, 1, 1]],
    ['all at one', [6, 0, 0]],
  ] as const) {
    test(`admit the budget and what is refilled, no more and no less, under a load spread ${name}`, async (t) => {
      const server = await startRedis(t)
      const stores = await Promise.all(each.map(async () => new RedisBudgets(await connectRedis(t, server.url()))))
      const replicas = stores.map((store) => budgetsOver(store, { lateMs: PATIENCE_MS })(LIMIT, PER_MINUTE))
      const startedAt = performance.now()
      const allowed = () => PER_MINUTE + ((performance.now() - startedAt) / 60_000) * PER_MINUTE
      let admitted = 0
      const count = ({ isAdmitted }: Verdict): void => {
        if (isAdmitted) admitted++
        assert.ok(admitted <= allowed() + 1, `${admitted} of ${allowed()}`)
      }
      const hitAll = async (): Promise<void> => {
        const verdicts = replicas.flatMap((budgets, i) =>
          Array.from({ length: each[i]! }, async () => budgets.take('a')),
        )
        for (const verdict of await Promise.all(verdicts)) count(verdict)
        await sleep(1)
      }
      while (performance.now() - startedAt < 1500) await hitAll()
      // However slow this machine is, all that was refilled is used in the end.
      const all = async () => {
        await hitAll()
        return admitted >= allowed() - 2
      }
      await eventually(all, { everyMs: 0, what: 'all of the budget is used' })
    })
  }
})

describe('a replica', { skip: redisMissing }, () => {
  for (const fault of ['silence', 'cut'] as const) {
    test(`counts alone while Redis is away (${fault}), and with the others when it is back`, async (t) => {
      const server = await startRedis(t)
      const proxy = await startFaultyProxy(t, server.port)
      const store = new RedisBudgets(await connectRedis(t, server.urlAt(proxy.port)))
      const budgets = budgetsOver(store)(LIMIT, PER_MINUTE)
      let callers = 0
      const isCountedNow = async () => {
        const caller = `caller ${callers++}`
        assert.equal((await budgets.take(caller)).isAdmitted, true)
        return (await server.call('EXISTS', `${P}rl:${LIMIT}:${caller}`)) === 1
      }
      await eventually(isCountedNow, { what: 'Redis counts' })
      proxy[fault]()
      assert.equal((await budgets.take('amid')).isAdmitted, true)
      for (let i = 1; i < PER_MINUTE; i++) assert.equal((budgets.take('amid') as Verdict).isAdmitted, true)
      proxy.mend()
      await eventually(isCountedNow, { what: 'Redis counts again' })
    })
  }
})
