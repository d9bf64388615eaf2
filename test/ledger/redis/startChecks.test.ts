/** Which Redis a gateway starts with, and what it says of one that it does not start with. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openLedger } from '../../../src/ledger/open.ts'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import { aJob, anEnd } from '../../kit/builders/jobs.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually, freePort, type Cleanup } from '../../kit/wait.ts'
import { finishedJobs, ledgerAt, LogLines } from '../ledgerKit.ts'
import { P } from './replicaKit.ts'

suite('the start on a Redis', { skip: redisMissing, concurrency: 4 }, () => {
  test('refuses one whose password is another, without telling either', async (t) => {
    const server = await startRedis(t, { password: 'right-hush' })
    const url = server.url()
    for (const wrong of [url.replace('right', 'wrong'), url.replace(/:[^/]*@/, '')]) {
      await assert.rejects(open(wrong), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_LEDGER_OPEN')
        assert.match(error.message, /^STATE_URL: Redis refuses this gateway: (WRONGPASS|NOAUTH) /)
        return !error.message.includes('hush')
      })
    }
    const ledger = await ledgerAt(t, url)
    await ledger.insert([{ record: aJob() }])
  })

  test('refuses one that removes keys when it is full', async (t) => {
    const server = await startRedis(t, { args: ['--maxmemory-policy', 'allkeys-lru'] })
    const message =
      'STATE_URL: Redis removes jobs when it is full (its maxmemory-policy is allkeys-lru); set maxmemory-policy noeviction'
    await assert.rejects(open(server.url()), { code: 'ERR_LEDGER_OPEN', message })
  })

  test('refuses one in cluster mode', async (t) => {
    const server = await startRedis(t, { cluster: true })
    const message = 'STATE_URL: Redis runs in cluster mode, which is not supported; name a server of its own'
    await assert.rejects(open(server.url()), { code: 'ERR_LEDGER_OPEN', message })
  })

  test('refuses a database that Redis does not have', async (t) => {
    const server = await startRedis(t)
    const message = 'STATE_URL: Redis refuses this gateway: ERR DB index is out of range'
    await assert.rejects(open(server.url(99)), { code: 'ERR_LEDGER_OPEN', message })
  })

  test('refuses one that is older than 7', async (t) => {
    const url = await fakeRedis(t, 'redis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\n')
    const message = 'STATE_URL: Redis 6.2.14 is too old; version 7 or Valkey is needed'
    await assert.rejects(open(url), { code: 'ERR_LEDGER_OPEN', message })
  })

  test('refuses jobs that a newer gateway wrote, and what is not complete', async (t) => {
    const server = await startRedis(t)
    await server.call('SET', `${P}v`, '2')
    await assert.rejects(open(server.url()), {
      code: 'ERR_LEDGER_OPEN',
      message: /^STATE_URL: the jobs in Redis under \{igw\} were written by a newer gateway \(their version is 2, /,
    })
    await server.call('SET', `${P}v`, 'incomplete')
    await assert.rejects(open(server.url()), { code: 'ERR_LEDGER_OPEN', message: / is not complete, / })
    await ledgerAt(t, `${server.url()}?prefix=other`)
  })

  test('keeps jobs of another prefix or database apart', async (t) => {
    const server = await startRedis(t)
    const ledgers: Ledger[] = []
    for (const url of [server.url(), `${server.url()}?prefix=other`, server.url(3)])
      ledgers.push(await ledgerAt(t, url))
    for (const ledger of ledgers) await ledger.insert([{ record: aJob({ id: 'same' }) }])
    assert.deepEqual(await Promise.all(ledgers.map(async (ledger) => (await ledger.unfinished()).length)), [1, 1, 1])
  })

  test('warns of one that keeps nothing on disk, or has too little memory', async (t) => {
    const server = await startRedis(t, { maxMemory: '100mb' })
    const log = new LogLines()
    await ledgerAt(t, server.url(), { logger: log, maxBytes: 90e6 })
    const [first, second, ...others] = log.lines.filter((line) => line.startsWith('warn'))
    assert.match(first!, /^warn ledger: Redis writes no append-only file: when it restarts, jobs are lost/)
    assert.match(second!, /^warn ledger: Redis may be full before STATE_MAX_BYTES are kept/)
    assert.deepEqual(others, [])
    const safe = await startRedis(t, { appendOnly: true, maxMemory: '200mb' })
    const quiet = new LogLines()
    await ledgerAt(t, safe.url(), { logger: quiet, maxBytes: 90e6 })
    assert.deepEqual(quiet.lines, [])
  })

  test('goes on without one that cannot be reached, and takes jobs once it can', async (t) => {
    const server = await startRedis(t)
    await server.kill()
    const log = new LogLines()
    const ledger = await ledgerAt(t, server.url(), { logger: log })
    assert.equal(ledger.health().writable, false)
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    await assert.rejects(ledger.find('a'), { code: 'ERR_LEDGER' })
    await server.restart()
    await eventually(() => ledger.health().writable)
    await ledger.insert([{ record: aJob() }])
  })

  test('goes on without one that is unfit but cannot be reached, and never uses it then', async (t) => {
    const server = await startRedis(t, { args: ['--maxmemory-policy', 'allkeys-lru'] })
    await server.kill()
    const log = new LogLines()
    const ledger = await ledgerAt(t, server.url(), { logger: log })
    await server.restart()
    const line = await eventually(() => log.lines.find((each) => each.includes('maxmemory-policy')))
    assert.match(line, /^error STATE_URL: Redis removes jobs/)
    assert.deepEqual([ledger.health().writable, ledger.health().reason], [false, 'this Redis is not fit: see the log'])
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    assert.equal(await server.call('DBSIZE'), 0)
    await server.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await eventually(() => ledger.health().writable)
  })

  test('goes on without one that has no connection left, and takes jobs once it has', async (t) => {
    for (const password of [undefined, 'secret']) {
      const server = await startRedis(t, password === undefined ? {} : { password })
      await server.call('CONFIG', 'SET', 'maxclients', '1')
      const holder = await eventually(() => soleClientOf(server.port))
      t.after(() => holder.destroy())
      const ledger = await ledgerAt(t, server.url())
      assert.equal(ledger.health().writable, false)
      holder.destroy()
      await eventually(() => ledger.health().writable)
    }
  })

  test('reads from one that is full, and makes room there', async (t) => {
    const server = await startRedis(t)
    const before = await ledgerAt(t, server.url())
    const [finished] = await finishedJobs(before, 20)
    await before.close()
    await server.call('CONFIG', 'SET', 'maxmemory', '1mb')
    const ledger = await ledgerAt(t, server.url(), { ttlSeconds: 5 })
    assert.equal(ledger.health().reason, 'Redis is full')
    assert.equal((await ledger.read('10.0.0.1', [finished!])).length, 1)
    await eventually(async () => (await server.call('EXISTS', `${P}fin`)) === 0)
  })

  test('waits for one that is still loading', async (t) => {
    const server = await startRedis(t)
    const finishLoading = await server.restartLoading()
    const ledger = await ledgerAt(t, server.url())
    assert.equal(ledger.health().writable, false)
    await finishLoading()
    await eventually(() => ledger.health().writable)
  })

  test('trusts a certificate that NODE_EXTRA_CA_CERTS names, and no other', async (t) => {
    const server = await startRedis(t, { tls: true })
    const program = fileURLToPath(new URL('./openOnce.ts', import.meta.url))
    const run = promisify(execFile)
    const trusting = { ...process.env, NODE_EXTRA_CA_CERTS: join(server.folder, 'certificate.pem') }
    const trusted = await run(process.execPath, [program, server.url()], { env: trusting })
    assert.equal(trusted.stdout, 'true\n')
    const distrusting = await run(process.execPath, [program, server.url()])
    assert.equal(distrusting.stdout, 'false\n')
  })
})

function open(url: string): Promise<Ledger> {
  return openLedger({ url, maxBytes: 1e9, ttlSeconds: 60, logger: new LogLines() })
}

/** A server that answers each command with the same text. */
async function fakeRedis(t: Cleanup, text: string): Promise<string> {
  const port = await freePort()
  const reply = `$${Buffer.byteLength(text)}\r\n${text}\r\n`
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      for (const _command of chunk.toString('latin1').matchAll(/^\*\d+\r$/gm)) socket.write(reply)
    })
    t.after(() => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `redis://127.0.0.1:${port}`
}

/** What follows a failover or a restart is looked at like what was there at the start. */
suite('a Redis that takes the place of another', { skip: redisMissing, concurrency: 4 }, () => {
  test('is refused new jobs while it removes keys when it is full', async (t) => {
    const server = await startRedis(t)
    const log = new LogLines()
    const ledger = await ledgerAt(t, server.url(), { logger: log })
    const running = aJob()
    await ledger.insert([{ record: running }])
    await server.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await server.call('CLIENT', 'KILL', 'TYPE', 'normal')
    const line = await eventually(() => log.lines.find((each) => each.includes('maxmemory-policy')))
    assert.match(line, /^error STATE_URL: Redis removes jobs when it is full/)
    await eventually(() => ledger.health().reason === 'this Redis is not fit: see the log')
    await assert.rejects(ledger.insert([{ record: aJob() }]), { code: 'ERR_LEDGER' })
    // What runs already goes on, and a write that succeeds is no sign of fitness.
    assert.equal(await ledger.finish(running.id, anEnd()), true)
    await ledger.probe()
    assert.equal(ledger.health().writable, false)
    assert.equal((await ledger.read(running.caller, [running.id]))[0]?.state, 'success')
    await server.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await eventually(() => ledger.health().writable)
    assert.deepEqual(
      log.lines.filter((each) => each.startsWith('error STATE_URL')),
      [line],
    )
    await ledger.insert([{ record: aJob() }])
  })

  test('gets the version of the schema where it is empty, and is not used where it has another one', async (t) => {
    const server = await startRedis(t)
    const log = new LogLines()
    const ledger = await ledgerAt(t, server.url(), { logger: log })
    await ledger.insert([{ record: aJob() }])
    // Emptied under its connections.
    await server.call('FLUSHALL')
    await eventually(async () => (await server.call('GET', `${P}v`)) === '1')
    await server.restart({ keepsData: false })
    await eventually(async () => (await server.call('GET', `${P}v`)) === '1')
    await eventually(() => ledger.health().writable)
    await server.call('SET', `${P}v`, '2')
    await server.call('CLIENT', 'KILL', 'TYPE', 'normal')
    await eventually(() => log.lines.some((each) => /^error STATE_URL: .* newer gateway/.test(each)))
    await eventually(() => ledger.health().reason === 'this Redis is not fit: see the log')
    await assert.rejects(ledger.find('a'), { code: 'ERR_LEDGER' })
    await server.call('SET', `${P}v`, '1')
    await eventually(() => ledger.health().writable)
    await ledger.insert([{ record: aJob() }])
  })
})

/** A connection that is the only one that Redis allows; undefined where another is still closing. */
async function soleClientOf(port: number): Promise<Socket | undefined> {
  const socket = connect(port, '127.0.0.1')
  socket.write('PING\r\n')
  const [reply] = (await once(socket, 'data')) as [Buffer]
  if (!String(reply).includes('max number of clients')) return socket
  socket.destroy()
  return undefined
}
