import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { parseStateUrl, type RedisUrl } from '../../../src/base/stateUrl.ts'
import { RedisConnection } from '../../../src/ledger/redis/connection.ts'
import { defineScript } from '../../../src/ledger/redis/script.ts'
import { startFaultyProxy } from '../../kit/faultyProxy.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import { connectRedis } from './replicaKit.ts'

suite('a connection to Redis', { skip: redisMissing, concurrency: 4 }, () => {
  test('runs a script by its text where Redis does not know it, and names the reason of a refusal', async (t) => {
    const server = await startRedis(t)
    const redis = await connectRedis(t, server.url())
    const script = defineScript('return {P, ARGV[1]}')
    for (let round = 0; round < 2; round++) {
      await server.call('SCRIPT', 'FLUSH')
      assert.deepEqual(await redis.run(script, ['x']), [Buffer.from('{igw}:'), Buffer.from('x')])
    }
    const refusing = defineScript("return redis.error_reply('FENCED a')")
    await assert.rejects(redis.run(refusing, []), { code: 'FENCED' })
    await assert.rejects(redis.call(['GET']), { code: 'ERR' })
  })

  test('does what is asked in the order in which it is asked, also with scripts that Redis does not know', async (t) => {
    const server = await startRedis(t)
    const redis = await connectRedis(t, server.url())
    const add = defineScript("return redis.call('RPUSH', P .. 'list', ARGV[1])")
    for (const round of ['a', 'b']) {
      await server.call('DEL', `${redis.prefix}list`)
      await Promise.all([
        redis.run(add, [`${round}1`]),
        redis.call(['RPUSH', `${redis.prefix}list`, `${round}2`]),
        redis.run(add, [`${round}3`]),
      ])
      assert.deepEqual(
        await server.call('LRANGE', `${redis.prefix}list`, '0', '-1'),
        [1, 2, 3].map((n) => `${round}${n}`),
      )
      // It knows none of them after a restart.
      await server.restart()
      await once(redis, 'ready')
    }
    // Nor after somebody made it forget them; then a call takes another turn, but only one.
    await server.call('SCRIPT', 'FLUSH')
    await redis.run(add, ['x'])
    const script = defineScript('return 7')
    assert.equal(await redis.run(script, []), 7)
  })

  test('rejects at once while there is no Redis, and comes back by itself', async (t) => {
    const server = await startRedis(t)
    const redis = await connectRedis(t, server.url())
    await server.kill()
    await eventually(() => !redis.isReady)
    await assert.rejects(redis.call(['PING']), { code: 'AWAY' })
    await server.restart()
    await once(redis, 'ready')
    assert.equal(await redis.call(['PING']), 'PONG')
  })

  test('waits longer from one attempt to the next where a balancer accepts connections and closes them again', async (t) => {
    const attempts = 5
    const server = createServer((socket) => socket.on('error', () => {}).destroy())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const startedAt = performance.now()
    const redis = new RedisConnection(parseStateUrl(`redis://127.0.0.1:${portOf(server)}`) as RedisUrl)
    t.after(() => redis.close())
    for (let count = 0; count <= attempts; count++) await once(server, 'connection')
    // Pauses of at least 25, 50, 100, 200 and 400 ms.
    assert.ok(performance.now() - startedAt >= 750)
  })

  test('gives up a call after its deadline, and the connection when it is told so', async (t) => {
    const server = await startRedis(t)
    const proxy = await startFaultyProxy(t, server.port)
    const redis = await connectRedis(t, server.urlAt(proxy.port))
    proxy.silence()
    await assert.rejects(redis.call(['PING'], { deadlineMs: 100 }), { code: 'SILENT' })
    const waiting = assert.rejects(redis.call(['PING'], { deadlineMs: 30_000 }), { code: 'AWAY' })
    proxy.mend()
    proxy.silence('answers')
    redis.renew()
    await waiting
    proxy.mend()
    await eventually(() => redis.call(['PING']).catch(() => false))
  })

  test('leaves no socket behind when it is dropped while it is being made', async (t) => {
    const port = await freePort()
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}).once('close', () => sockets.delete(socket)))
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const redis = new RedisConnection(parseStateUrl(`redis://127.0.0.1:${port}`) as RedisUrl)
    redis.renew()
    redis.renew()
    redis.close()
    // A later one shows that the earlier ones have come.
    await connectRedisTo(port)
    await eventually(() => sockets.size === 0)
  })
})

/** Connects, and leaves again. */
async function connectRedisTo(port: number): Promise<void> {
  const later = new RedisConnection(parseStateUrl(`redis://127.0.0.1:${port}`) as RedisUrl)
  await once(later, 'ready')
  later.close()
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
