import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Pruner } from '../../../src/ledger/redis/pruner.ts'
import { anAnswer } from '../../kit/builders/jobs.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { DAY_MS, finishedJobs, ledgerAt } from '../ledgerKit.ts'
import { connectRedis, P } from './replicaKit.ts'

suite('what is removed from Redis', { skip: redisMissing }, () => {
  test('is old by its clock: a gateway whose own is two days ahead removes nothing early', async (t) => {
    const server = await startRedis(t)
    const ledger = await ledgerAt(t, server.url())
    const [old] = await finishedJobs(ledger, 1, { finishedAt: Date.now() - 120_000 })
    const [young] = await finishedJobs(ledger, 1, { finishedAt: Date.now() - 10_000 })
    await ledger.insert([], anAnswer({ key: 'young', createdAt: Date.now() - DAY_MS / 2 }))
    const limits = { ttlMs: 60_000, maxBytes: 1e9 }
    const pruner = new Pruner(
      await connectRedis(t, server.url()),
      limits,
      () => {},
      () => Date.now() + 2 * DAY_MS,
    )
    pruner.start()
    t.after(() => pruner.stop())
    await eventually(async () => (await server.call('EXISTS', `${P}j:${old}`)) === 0)
    assert.equal(await server.call('EXISTS', `${P}j:${young}`), 1)
    assert.equal(await server.call('ZCARD', `${P}az`), 1)
  })
})
