import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import { startFaultyProxy, type FaultyProxy } from '../kit/faultyProxy.ts'
import { redisMissing, startRedis } from '../kit/redisServer.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'

describe('a Redis server', { skip: redisMissing }, () => {
  test('has its data after a kill if it writes them, unless they are taken from it', async (t) => {
    const redis = await startRedis(t, { appendOnly: true, password: 'open sesame' })
    await redis.call('SET', 'a', '1')
    await redis.kill()
    await redis.restart()
    assert.equal(await redis.call('GET', 'a'), '1')
    await redis.restart({ keepsData: false })
    assert.equal(await redis.call('GET', 'a'), null)
  })

  test('serves TLS alone where it is told to', async (t) => {
    const redis = await startRedis(t, { tls: true })
    assert.match(redis.url(3), /^rediss:\/\/127\.0\.0\.1:\d+\/3$/)
    assert.equal(await redis.call('PING'), 'PONG')
  })

  test('answers nothing while it is stopped, and goes on afterwards', async (t) => {
    const redis = await startRedis(t)
    redis.pause()
    let answered = false
    const answer = redis.call('PING').finally(() => (answered = true))
    assert.equal(answered, false)
    redis.resume()
    assert.equal(await answer, 'PONG')
  })

  test('copies another one', async (t) => {
    const master = await startRedis(t)
    await master.call('SET', 'a', '1')
    const copy = await startRedis(t, { replicaOf: master })
    await eventually(async () => (await copy.call('GET', 'a')) === '1')
    await assert.rejects(copy.call('SET', 'a', '2'), /^\w*Error: READONLY/)
    await copy.call('REPLICAOF', 'NO', 'ONE')
    await copy.call('SET', 'a', '2')
  })

  test('can be met while it reads its data', async (t) => {
    const redis = await startRedis(t)
    await redis.call('SET', 'a', '1')
    const finish = await redis.restartLoading()
    await assert.rejects(redis.call('GET', 'a'), /LOADING/)
    await finish()
    assert.equal(await redis.call('GET', 'a'), '1')
  })
})

describe('a faulty network', () => {
  test('is no obstacle while all is well, nor after it was mended', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    assert.equal(await client.echo('hello'), 'hello')
    proxy.silence()
    const late = client.echo('again')
    proxy.mend()
    assert.equal(await late, 'again')
  })

  test('that is cut resets all connections, those that are made later too', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    await client.echo('hello')
    const closed = closing(client.socket)
    proxy.cut()
    await closed
    const second = connect(proxy.port, '127.0.0.1')
    second.on('error', () => undefined)
    await closing(second)
    proxy.mend()
    assert.equal(await (await connected(t, proxy)).echo('back'), 'back')
  })

  test('that is cut for one client stays as it is for the others', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const [one, other] = [await connected(t, proxy, '127.0.0.61'), await connected(t, proxy, '127.0.0.62')]
    await one.echo('hello')
    const closed = closing(one.socket)
    proxy.cut('127.0.0.61')
    await closed
    assert.equal(await other.echo('still here'), 'still here')
  })

  test('that is silent one way still brings the server what it is sent', async (t) => {
    const { proxy, received } = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    await client.echo('hello')
    proxy.silence('answers')
    const late = client.echo('again')
    await eventually(() => received.join('') === 'helloagain')
    assert.equal(client.received, 'hello')
    proxy.mend()
    await late
  })

  test('that is slow delays both ways', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    await client.echo('hello')
    proxy.delay(60)
    const startedAt = performance.now()
    await client.echo('slow')
    // Timers may come a millisecond early.
    assert.ok(performance.now() - startedAt >= 118)
  })

  test('leads elsewhere once it is told to', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const other = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    const closed = closing(client.socket)
    proxy.retarget(other.port)
    await closed
    await (await connected(t, proxy)).echo('hello')
    assert.deepEqual(other.received, ['hello'])
  })

  test('loses nothing of what is long', async (t) => {
    const { proxy } = await echoBehindProxy(t)
    const client = await connected(t, proxy)
    proxy.delay(5)
    const long = 'x'.repeat(5_000_000)
    assert.equal((await client.echo(long)).length, long.length)
  })
})

/** A server that sends back what it gets, and a proxy in front of it. */
async function echoBehindProxy(t: Cleanup): Promise<{ proxy: FaultyProxy; port: number; received: string[] }> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (piece) => received.push(piece.toString()))
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { proxy: await startFaultyProxy(t, port), port, received }
}

/** Like `once`, which an error would end. */
function closing(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve))
}

interface EchoClient {
  readonly socket: Socket
  /** What came since the last question. */
  readonly received: string
  echo(text: string): Promise<string>
}

async function connected(t: Cleanup, { port }: FaultyProxy, localAddress = '127.0.0.1'): Promise<EchoClient> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  let received = ''
  socket.on('data', (piece) => (received += piece.toString()))
  return {
    socket,
    get received() {
      return received
    },
    echo: async (text) => {
      const before = received.length
      socket.write(text)
      await eventually(() => received.length >= before + text.length)
      return received.slice(before)
    },
  }
}
