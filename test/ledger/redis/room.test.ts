import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { RedisRoom } from '../../../src/ledger/redis/coordination/room.ts'
import { ROOM_COUNTS } from '../../../src/ledger/redis/coordination/roomCounts.ts'
import { defineScript } from '../../../src/ledger/redis/script.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { bury, joinRedis, P } from './replicaKit.ts'

const NO_LIMIT = { jobsOfCaller: 0, bytesOfCaller: 1e9, bytesInAll: 1e9 }

async function twoReplicas(t: TestContext) {
  const server = await startRedis(t)
  const roomOf = async (replica: string) => {
    const { redis, life, owed } = await joinRedis(t, server, replica)
    return { redis, life, room: new RedisRoom(redis, life, owed) }
  }
  const a = await roomOf('a')
  const b = await roomOf('b')
  /** What Redis counts for a's submissions, once it has seen all that a said. */
  const held = async () => {
    await a.redis.call(['PING'])
    const [jobs, bytes] = [await server.call('HGETALL', `${P}x:a`), await server.call('HGETALL', `${P}y:a`)]
    return { jobs: numbersOf(jobs), bytes: numbersOf(bytes) }
  }
  return { server, a, b, held }
}

describe('room for unfinished jobs', { skip: redisMissing }, () => {
  test('is taken over all replicas, all of it or nothing', async (t) => {
    const { a, b } = await twoReplicas(t)
    const limits = { ...NO_LIMIT, jobsOfCaller: 10 }
    assert.equal(await a.room.take('k', { jobs: 6, bytes: 600 }, limits), undefined)
    assert.deepEqual(await b.room.take('k', { jobs: 5, bytes: 500 }, limits), {
      reason: 'jobs',
      taken: { jobs: 6, bytes: 600 },
    })
    assert.equal(await b.room.take('k', { jobs: 4, bytes: 400 }, limits), undefined)
    assert.equal(await b.room.take('other', { jobs: 10, bytes: 400 }, limits), undefined)
    assert.deepEqual(await a.room.take('k', { jobs: 1, bytes: 1 }, limits), {
      reason: 'jobs',
      taken: { jobs: 10, bytes: 1000 },
    })
  })

  test('is exact where all replicas ask at the same time', async (t) => {
    const { a, b } = await twoReplicas(t)
    const limits = { ...NO_LIMIT, jobsOfCaller: 10 }
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? a : b).room.take('k', { jobs: 1, bytes: 1 }, limits)),
    )
    assert.equal(answers.filter((answer) => answer === undefined).length, 10)
  })

  test('ends at the bytes of a caller and at those of all', async (t) => {
    const { a, b } = await twoReplicas(t)
    const limits = { jobsOfCaller: 0, bytesOfCaller: 100, bytesInAll: 150 }
    assert.equal(await a.room.take('k', { jobs: 1, bytes: 90 }, limits), undefined)
    assert.equal((await b.room.take('k', { jobs: 1, bytes: 20 }, limits))?.reason, 'bytesOfCaller')
    assert.deepEqual(await b.room.take('other', { jobs: 1, bytes: 70 }, limits), {
      reason: 'bytesInAll',
      taken: { jobs: 0, bytes: 0 },
    })
    // What needs no bytes is not refused for them.
    assert.equal(await b.room.take('other', { jobs: 1, bytes: 60 }, limits), undefined)
    assert.equal(await b.room.take('k', { jobs: 1, bytes: 0 }, { ...limits, bytesOfCaller: 0 }), undefined)
  })

  test('counts recorded jobs with submissions under way', async (t) => {
    const { a, b } = await twoReplicas(t)
    const limits = { ...NO_LIMIT, jobsOfCaller: 2, bytesInAll: 100 }
    await a.room.take('k', { jobs: 1, bytes: 40 }, limits)
    const record = defineScript(`${ROOM_COUNTS} addHeld('a', 'k', -1, -40) addOpen('k', 1, 40) return 1`)
    await a.redis.run(record, [])
    assert.equal(await b.room.take('k', { jobs: 1, bytes: 40 }, limits), undefined)
    assert.equal((await b.room.take('k', { jobs: 1, bytes: 1 }, limits))?.reason, 'jobs')
    assert.equal((await b.room.take('other', { jobs: 1, bytes: 40 }, limits))?.reason, 'bytesInAll')
    await a.redis.run(defineScript(`${ROOM_COUNTS} addOpen('k', -1, -40) return 1`), [])
    assert.equal(await b.room.take('other', { jobs: 1, bytes: 40 }, limits), undefined)
  })

  test('that came to nothing is given back, and leaves no trace', async (t) => {
    const { a, held } = await twoReplicas(t)
    await a.room.take('k', { jobs: 3, bytes: 30 }, NO_LIMIT)
    await a.room.take('other', { jobs: 1, bytes: 5 }, NO_LIMIT)
    a.room.giveBack('k', { jobs: 2, bytes: 20 })
    assert.deepEqual(await held(), { jobs: { k: 1, other: 1 }, bytes: { k: 10, other: 5, '': 15 } })
    a.room.giveBack('k', { jobs: 5, bytes: 10 })
    a.room.giveBack('other', { jobs: 1, bytes: 5 })
    assert.deepEqual(await held(), { jobs: {}, bytes: {} })
  })

  test('of a dead replica is free, and a dead replica takes none', async (t) => {
    const { server, a, b } = await twoReplicas(t)
    const limits = { ...NO_LIMIT, jobsOfCaller: 1 }
    await a.room.take('k', { jobs: 1, bytes: 1 }, limits)
    await bury(server, 'a')
    assert.equal(await b.room.take('k', { jobs: 1, bytes: 1 }, limits), undefined)
    await assert.rejects(a.room.take('j', { jobs: 1, bytes: 1 }, limits), { code: 'ERR_LEDGER' })
    a.room.giveBack('k', { jobs: 1, bytes: 1 })
    assert.equal((await b.room.take('k', { jobs: 1, bytes: 1 }, limits))?.reason, 'jobs')
  })

  test('of a former life is not given back by the present one, whose submissions keep theirs', async (t) => {
    const { server, a, b } = await twoReplicas(t)
    const limits = { ...NO_LIMIT, jobsOfCaller: 2 }
    const former = a.life.self
    await a.room.take('k', { jobs: 1, bytes: 1 }, limits)
    await bury(server, former)
    await server.call('HSET', `${P}beats`, 'a2', '1')
    a.life.self = 'a2'
    assert.equal(await a.room.take('k', { jobs: 1, bytes: 1 }, limits), undefined)
    a.room.giveBack('k', { jobs: 1, bytes: 1, life: former })
    assert.equal(await b.room.take('k', { jobs: 1, bytes: 1 }, limits), undefined)
    assert.equal((await b.room.take('k', { jobs: 1, bytes: 1 }, limits))?.reason, 'jobs')
    a.room.giveBack('k', { jobs: 1, bytes: 1, life: 'a2' })
    await a.redis.call(['PING'])
    assert.equal(await b.room.take('k', { jobs: 1, bytes: 1 }, limits), undefined)
  })

  test('that could not be given back in an outage is given back afterwards', async (t) => {
    const { server, a, held } = await twoReplicas(t)
    await a.room.take('k', { jobs: 1, bytes: 1 }, NO_LIMIT)
    await server.call('SAVE')
    await server.stop()
    await assert.rejects(a.room.take('k', { jobs: 1, bytes: 1 }, NO_LIMIT), { code: 'ERR_LEDGER' })
    a.room.giveBack('k', { jobs: 1, bytes: 1 })
    const isBack = once(a.redis, 'ready')
    await server.restart()
    await isBack
    assert.deepEqual(await held(), { jobs: { k: 1 }, bytes: { k: 1, '': 1 } })
    a.life.beat()
    assert.deepEqual(await held(), { jobs: {}, bytes: {} })
  })
})

function numbersOf(reply: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(reply as object).map(([name, number]) => [name, Number(number)]))
}
