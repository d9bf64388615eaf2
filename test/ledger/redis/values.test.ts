import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { Reqnums } from '../../../src/ledger/redis/coordination/reqnums.ts'
import { RedisValues } from '../../../src/ledger/redis/coordination/values.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { connectRedis, P } from './replicaKit.ts'

async function twoConnections(t: TestContext) {
  const server = await startRedis(t)
  return { server, a: await connectRedis(t, server.url()), b: await connectRedis(t, server.url()) }
}

describe('a small value', { skip: redisMissing }, () => {
  test('is what any replica set last, until it is deleted or too old', async (t) => {
    const { server, a, b } = await twoConnections(t)
    const [one, other] = [new RedisValues(a), new RedisValues(b)]
    assert.equal(await one.get('resp', 'r'), undefined)
    await one.set('resp', 'r', Buffer.from([0, 200]), 60_000)
    await one.set('resp', 'r:2', 'text', 60_000)
    assert.deepEqual(await other.get('resp', 'r'), Buffer.from([0, 200]))
    assert.deepEqual(await other.get('resp', 'r:2'), Buffer.from('text'))
    const ttl = Number(await server.call('PTTL', `${P}v:resp:r`))
    assert.ok(ttl > 0 && ttl <= 60_000, String(ttl))
    await other.delete('resp', 'r')
    assert.equal(await one.get('resp', 'r'), undefined)
  })

  test('that is set once is the same to all, however many set one', async (t) => {
    const { server, a, b } = await twoConnections(t)
    const values = [new RedisValues(a), new RedisValues(b)]
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => values[i % 2]!.setOnce('key', '', `pem ${i}`)))
    assert.equal(new Set(all).size, 1)
    assert.equal(await values[0]!.setOnce('key', '', 'late'), all[0])
    assert.equal(await server.call('PTTL', `${P}v:key:`), -1)
  })

  test('cannot be had while Redis is away', async (t) => {
    const { server, a } = await twoConnections(t)
    await server.kill()
    const values = new RedisValues(a)
    await assert.rejects(values.get('resp', 'r'), { code: 'AWAY' })
    await assert.rejects(values.set('resp', 'r', 'v', 1000), { code: 'AWAY' })
    await assert.rejects(values.setOnce('key', '', 'v'), { code: 'AWAY' })
  })
})

describe('the number of a ticket', { skip: redisMissing }, () => {
  test('grows by one for each worker, over all replicas', async (t) => {
    const { a, b } = await twoConnections(t)
    const [one, other] = [new Reqnums(a), new Reqnums(b)]
    assert.deepEqual(
      [await one.next('w'), await other.next('w'), await one.next('v'), await one.next('w')],
      [1, 2, 1, 3],
    )
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 ? one : other).next('w')))
    assert.deepEqual(
      many.sort((x, y) => x - y),
      Array.from({ length: 50 }, (_, i) => i + 4),
    )
  })

  test('is not given again by the replica that gave it, after Redis has lost it', async (t) => {
    const { server, a } = await twoConnections(t)
    const reqnums = new Reqnums(a)
    for (let i = 0; i < 5; i++) await reqnums.next('w')
    await server.call('FLUSHALL')
    assert.equal(await reqnums.next('w'), 6)
  })

  test('is not given again by another, once the one that gave it has put it back', async (t) => {
    const { server, a, b } = await twoConnections(t)
    const [one, other] = [new Reqnums(a), new Reqnums(b)]
    for (let i = 0; i < 5; i++) await one.next('w')
    for (let i = 0; i < 1200; i++) await one.next(`w${i}`)
    await other.next('v')
    await server.call('HSET', `${P}reqnum`, 'w', '2', 'v', '9')
    await server.call('HDEL', `${P}reqnum`, 'w0', 'w1199')
    await Promise.all([one.putBack(), other.putBack()])
    assert.deepEqual(await Promise.all(['w', 'v', 'w0', 'w1199'].map((worker) => other.next(worker))), [6, 10, 2, 2])
  })

  test('is remembered for the workers that were asked for last', async (t) => {
    const { server, a } = await twoConnections(t)
    const reqnums = new Reqnums(a, 2)
    for (const worker of ['u', 'v', 'u', 'w']) await reqnums.next(worker)
    await server.call('FLUSHALL')
    await reqnums.putBack()
    assert.deepEqual(await server.call('HMGET', `${P}reqnum`, 'u', 'v', 'w'), ['2', null, '1'])
  })
})
