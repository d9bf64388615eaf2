/** Moving a ledger to Redis and back. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'
import { copyState } from '../../src/ledger/copyState/index.ts'
import type { Ledger, SharedLedger } from '../../src/ledger/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { redisMissing, startRedis, type RedisServer } from '../kit/redisServer.ts'
import { startFaultyProxy } from '../kit/faultyProxy.ts'
import { eventually, tempDir } from '../kit/wait.ts'
import { CALLERS, contentsOf, fill, FILLED } from './fullLedger.ts'
import { finishedJobs, ledgerAt, LogLines, sqliteAt } from './ledgerKit.ts'

const REPLICA_TIMEOUT_SECONDS = 1

const copy = (from: string, to: string, logger = new LogLines()) =>
  copyState({ from, to, replicaTimeoutSeconds: REPLICA_TIMEOUT_SECONDS, logger })

function sharedIn({ shared }: Ledger): SharedLedger {
  assert.ok(shared)
  return shared
}

suite('a copy in Redis', { skip: redisMissing }, () => {
  test('has the same jobs, requests, results, answers, numbers and key, and so has the way back', async (t) => {
    const folder = await tempDir(t)
    const at = (name: string): string => join(folder, name, 'gateway.db')
    const redis = await startRedis(t, { password: 'a:b@c' })
    const source = await sqliteAt(t, at('one'))
    await fill(source)
    const before = await contentsOf(source)
    const withoutRequests = await contentsOf(source, false)
    await source.close()
    await writeFile(join(folder, 'one', 'ticket-key.pem'), 'a private key')
    const expected = { ...FILLED, hasTicketKey: true }
    const url = withPassword(redis)
    assert.deepEqual(await copy(`sqlite:${at('one')}`, url), expected)
    assert.deepEqual(await copy(url, `${url}?prefix=two`), expected)
    assert.deepEqual(await copy(`${url}?prefix=two`, `sqlite:${at('three')}`), expected)

    const copied = await sqliteAt(t, at('three'))
    assert.deepEqual(await contentsOf(copied), before)
    assert.equal(await readFile(join(folder, 'three', 'ticket-key.pem'), 'utf8'), 'a private key')
    for (const prefix of ['igw', 'two']) {
      const ledger = await ledgerAt(t, `${url}?prefix=${prefix}`)
      assert.deepEqual(await contentsOf(ledger, false), withoutRequests)
      assert.equal((await sharedIn(ledger).coordination.values.get('ticket-key', ''))?.toString(), 'a private key')
      for (const index of CALLERS.keys()) {
        assert.equal(await ledger.nextReqnum(`http://10.1.0.${index}:4000`), index + 2)
      }
    }
  })

  test('leaves the unfinished jobs to the first gateway, in the name of one that is gone', async (t) => {
    const folder = await tempDir(t)
    const redis = await startRedis(t)
    const path = join(folder, 'gateway.db')
    const source = await sqliteAt(t, path)
    const record = aJob()
    await source.insert([{ record, request: Buffer.from('{"containers":["echo"]}') }])
    await finishedJobs(source, 5)
    await source.close()
    await copy(`sqlite:${path}`, redis.url())
    const ledger = sharedIn(await ledgerAt(t, redis.url()))
    const { membership } = ledger.coordination
    const gone = await eventually(() => membership.replicas.find(({ state, jobs }) => state === 'gone' && jobs === 1))
    assert.equal(await ledger.request(record.id), undefined)
    assert.deepEqual(await ledger.claim(gone.replica, [record.id]), new Set([record.id]))
    assert.equal(String(await ledger.request(record.id)), '{"containers":["echo"]}')
    assert.equal(await ledger.finish(record.id, anEnd()), true)
  })

  test('is refused where there is nothing or something, and where a gateway works', async (t) => {
    const folder = await tempDir(t)
    const redis = await startRedis(t)
    const path = join(folder, 'gateway.db')
    await (await sqliteAt(t, path)).close()
    const name = `redis://127.0.0.1:${redis.port}/0 (prefix igw)`
    const cli = `redis-cli -h 127.0.0.1 -p ${redis.port} -n 0`
    const removal = `${cli} --scan --pattern '{igw}:*' | xargs ${cli} unlink`
    const refused = (from: string, to: string, message: string): Promise<void> =>
      assert.rejects(copy(from, to), { name: 'CopyStateError', message })
    await refused(redis.url(), `sqlite:${join(folder, 'to.db')}`, `${name} is empty: there is nothing to copy`)

    const ledger = await ledgerAt(t, redis.url(), { replicaTimeoutSeconds: REPLICA_TIMEOUT_SECONDS })
    await refused(
      redis.url(),
      `sqlite:${join(folder, 'to.db')}`,
      `${name} is in use by another gateway: stop all of them first`,
    )
    await ledger.close()
    const advice = 'set another ?prefix=, or, if that is of no use any more, remove it'
    await refused(`sqlite:${path}`, redis.url(), `${name} is not empty; ${advice}: ${removal}`)
    await refused(redis.url(), redis.url(), `${name} is not empty; ${advice}: ${removal}`)
    await redis.kill()
    await refused(`sqlite:${path}`, redis.url(), `${name}: Redis cannot be reached`)
  })

  test('waits for a gateway that was killed to count as dead', async (t) => {
    const folder = await tempDir(t)
    const redis = await startRedis(t)
    const proxy = await startFaultyProxy(t, redis.port)
    const killed = await ledgerAt(t, redis.urlAt(proxy.port), { replicaTimeoutSeconds: REPLICA_TIMEOUT_SECONDS })
    const ids = await finishedJobs(killed, 3)
    proxy.cut()
    const logger = new LogLines()
    const to = join(folder, 'to.db')
    assert.equal((await copy(redis.url(), `sqlite:${to}`, logger)).jobs, 3)
    assert.ok(logger.lines.includes('warn waiting for gateways that have not said that they ended'))
    assert.deepEqual((await (await sqliteAt(t, to)).list('10.0.0.1', 'all')).sort(), ids.sort())
  })

  test('that breaks off is refused by gateways and by the next copy, which says how to remove it', async (t) => {
    const folder = await tempDir(t)
    const redis = await startRedis(t)
    const proxy = await startFaultyProxy(t, redis.port)
    const path = join(folder, 'gateway.db')
    const source = await sqliteAt(t, path)
    await finishedJobs(source, 2000, { result: Buffer.alloc(20_000, 'x') })
    await source.close()
    const copying = copy(`sqlite:${path}`, redis.urlAt(proxy.port))
    copying.catch(() => undefined)
    await eventually(async () => Number(await redis.call('HGET', '{igw}:tot', 'jobs')) > 0, { everyMs: 2 })
    proxy.cut()
    await assert.rejects(copying, /cannot be written|cannot record jobs/)
    await assert.rejects(ledgerAt(t, redis.url()), /is not complete, such as a copy that broke off; remove it/)
    const refusal = await copy(`sqlite:${path}`, redis.url()).then(
      () => 'none',
      (error: Error) => error.message,
    )
    const [, command = ''] = /holds a copy that did not end; remove it: (.*)$/.exec(refusal) ?? []
    await promisify(execFile)('sh', ['-c', command])
    assert.equal(await redis.call('DBSIZE'), 0)
    assert.equal((await copy(`sqlite:${path}`, redis.url())).jobs, 2000)
  })
})

/** With what a URL cannot hold as it is. */
function withPassword(redis: RedisServer): string {
  return redis.url().replace('a:b@c', encodeURIComponent('a:b@c'))
}
