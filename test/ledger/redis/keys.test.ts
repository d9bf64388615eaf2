import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { keyName, RedisKeys } from '../../../src/ledger/redis/coordination/keys.ts'
import { startFaultyProxy } from '../../kit/faultyProxy.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { bury, joinRedis, P } from './replicaKit.ts'

const USE = { caller: 'a caller', path: '/api/jobs', key: 'a key' }
const BODY = { bodyHash: Buffer.from([0, 255, 13, 10]) }
const OTHER_BODY = { bodyHash: Buffer.from('other') }

async function twoReplicas(t: TestContext) {
  const server = await startRedis(t)
  const line = await startFaultyProxy(t, server.port)
  const keysOf = async (replica: string, url?: string) => {
    const { redis, life, owed } = await joinRedis(t, server, replica, url)
    return { life, keys: new RedisKeys(redis, life, owed) }
  }
  const { life, keys } = await keysOf('a', server.urlAt(line.port))
  return { server, a: keys, line, beat: () => life.beat(), b: (await keysOf('b')).keys }
}

describe('an Idempotency-Key', { skip: redisMissing }, () => {
  test('is for one replica of several that ask at once; the others learn its body', async (t) => {
    const { a, b } = await twoReplicas(t)
    const [one, other] = await Promise.all([a.reserve({ ...USE, ...BODY }), b.reserve({ ...USE, ...BODY })])
    assert.deepEqual([one.kind, other.kind].sort(), ['busy', 'ours'])
    assert.deepEqual(one.kind === 'busy' ? one : other, { kind: 'busy', ...BODY })
  })

  test('of another caller, path or spelling is another one', async (t) => {
    const { a, b } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    for (const other of [{ caller: 'b' }, { path: '/api/jobs/batch' }, { key: 'A key' }])
      assert.equal((await b.reserve({ ...USE, ...other, ...BODY })).kind, 'ours')
  })

  test('is free again after a refused request, but only its holder releases it', async (t) => {
    const { a, b } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    await b.release(USE)
    assert.equal((await b.reserve({ ...USE, ...OTHER_BODY })).kind, 'busy')
    await a.release(USE)
    assert.equal((await b.reserve({ ...USE, ...OTHER_BODY })).kind, 'ours')
  })

  test('that a replica holds is no obstacle to itself, should it have missed the answer', async (t) => {
    const { a } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    assert.equal((await a.reserve({ ...USE, ...OTHER_BODY })).kind, 'ours')
  })

  test('is not kept from the others by a replica that did not learn that it had reserved it', async (t) => {
    const { a, b, line, beat } = await twoReplicas(t)
    // Redis knows the script.
    await a.reserve({ ...USE, ...BODY })
    await a.release(USE)
    line.silence('answers')
    await assert.rejects(a.reserve({ ...USE, ...BODY }), { code: 'ERR_LEDGER' })
    line.mend()
    await eventually(async () => {
      beat()
      return (await b.reserve({ ...USE, ...BODY })).kind === 'ours'
    })
  })

  test('that was reserved again after an answer was missed stays reserved', async (t) => {
    const { a, b, line, beat } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    await a.release(USE)
    line.silence('answers')
    await assert.rejects(a.reserve({ ...USE, ...BODY }), { code: 'ERR_LEDGER' })
    line.mend()
    const again = a.reserve({ ...USE, ...BODY })
    beat()
    assert.equal((await again).kind, 'ours')
    beat()
    assert.equal((await a.reserve({ ...USE, key: 'another', ...BODY })).kind, 'ours')
    assert.equal((await b.reserve({ ...USE, ...BODY })).kind, 'busy')
  })

  test('of a dead replica is free', async (t) => {
    const { server, a, b } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    await bury(server, 'a')
    assert.equal((await b.reserve({ ...USE, ...BODY })).kind, 'ours')
    await assert.rejects(a.reserve({ ...USE, ...BODY }), { code: 'ERR_LEDGER' })
  })

  test('has its answer for a day', async (t) => {
    const { server, a } = await twoReplicas(t)
    const answerOf = (age: number) => server.call('HSET', `${P}a:${keyName(USE)}`, 't', String(Date.now() - age))
    await answerOf(86_000_000)
    assert.equal((await a.reserve({ ...USE, ...BODY })).kind, 'kept')
    await answerOf(86_500_000)
    assert.equal((await a.reserve({ ...USE, ...BODY })).kind, 'ours')
  })

  test('is never reserved without an end', async (t) => {
    const { server, a } = await twoReplicas(t)
    await a.reserve({ ...USE, ...BODY })
    assert.ok(Number(await server.call('PTTL', `${P}k:${keyName(USE)}`)) > 0)
  })
})
