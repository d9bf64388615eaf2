/** Several workers behind one port, as one gateway. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import { eventually, freePort, tempDir } from '../../kit/wait.ts'
import { assertEchoed, ended, listed, startNodes, submitMany } from '../jobs/support.ts'
import { connections, isAlive, startCrew, workerPids } from './crew.ts'
import { createServer } from 'node:net'
import { once } from 'node:events'

suite('several workers', { concurrency: true }, () => {
  test('any worker answers for the jobs of all', async (t) => {
    const nodes = await startNodes(t, 2, { speed: 0.3 })
    const gateway = await startCrew(t, nodes)
    const ids: string[] = []
    const clients = connections(t, 4)
    const submissions = clients.map((agent, index) => post(`${gateway.url}/api/jobs`, jobOf({ index }), { agent }))
    for (const answer of await Promise.all(submissions)) ids.push(answer.json<{ id: string }>().id)
    // Each of the connections is at another worker than the one before it.
    for (const agent of clients) {
      const query = ids.map((id) => `id=${id}`).join('&')
      const jobs = (await request(`${gateway.url}/api/jobs?${query}`, { agent })).json<{ id: string }[]>()
      assert.deepEqual(
        jobs.map(({ id }) => id),
        ids,
      )
    }
    const entries = await ended(gateway, ids)
    entries.forEach((entry, index) => assertEchoed(entry, { index }))
    assert.deepEqual((await listed(gateway, '?pending=true')).length, 0)
    const served = gateway.logs.filter(({ message, route }) => message === 'request' && route === '/api/jobs')
    assert.deepEqual([...new Set(served.map(({ worker }) => worker))].sort(), [1, 2])
  })

  test('a port that the system chose is the same for all, and named once', async (t) => {
    const gateway = await spawnGateway(t, { env: { WORKERS: '3', PORT: '0' } })
    assert.ok(gateway.port > 0)
    await gateway.stop()
    const steps = gateway.logs.filter(({ dashboard }) => dashboard === `${gateway.url}/dashboard`)
    assert.equal(steps.length, 1)
    const listening = gateway.logs.filter(({ message }) => message === 'listening')
    assert.deepEqual(
      listening.map(({ port, workers, worker }) => [port, workers, worker]),
      [[gateway.port, 3, undefined]],
    )
  })

  test('jobs that are unfinished when the gateway ends are taken up by the next one', async (t) => {
    const nodes = await startNodes(t, 1, { speed: 3 })
    const cwd = await tempDir(t)
    const gateway = await startCrew(t, nodes, { STATE_URL: `sqlite:${cwd}/gateway.db` })
    const ids = await submitMany(gateway, 6)
    assert.equal((await gateway.stop()).code, 0)
    await gateway.restart()
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, { n }))
    assert.equal((await nodes[0]!.jobs()).length, 6)
  })

  test('a gateway whose workers cannot start ends with one line and code 1', async (t) => {
    const port = await freePort()
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const gateway = await spawnGateway(t, { env: { WORKERS: '2', PORT: String(port) }, listening: false })
    assert.equal((await gateway.exited).code, 1)
    assert.equal(gateway.output.match(/cannot start: .*EADDRINUSE/g)?.length, 1, gateway.output)
  })

  test('an Idempotency-Key is one over all workers', async (t) => {
    const nodes = await startNodes(t, 1, { speed: 0.2 })
    const gateway = await startCrew(t, nodes)
    const headers = { 'Idempotency-Key': 'once' }
    const answers = await Promise.all(
      connections(t, 6).map((agent) => post(`${gateway.url}/api/jobs`, jobOf(), { agent, headers })),
    )
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    )
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
    assert.equal((await nodes[0]!.jobs()).length, 1)
  })

  test('MAX_JOBS_PER_CALLER counts over all workers', async (t) => {
    const nodes = await startNodes(t, 1, { speed: 60 })
    const gateway = await startCrew(t, nodes, { MAX_JOBS_PER_CALLER: '5' })
    const answers = await Promise.all(
      connections(t, 12).map((agent) => post(`${gateway.url}/api/jobs`, jobOf(), { agent })),
    )
    assert.equal(answers.filter(({ status }) => status === 200).length, 5)
    assert.equal(answers.filter(({ status }) => status === 429).length, 7)
  })

  test('a limit of requests a minute is exact over all workers', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await startCrew(t, nodes, { PROXY_RATELIMIT_REQS_PER_MIN: '60', MAX_JOBS_PER_CALLER: '0' })
    const startedAt = performance.now()
    const clients = connections(t, 8)
    const statuses = await Promise.all(
      Array.from({ length: 240 }, async (_, index) => {
        const agent = clients[index % clients.length]!
        return (await post(`${gateway.url}/api/jobs`, jobOf(), { agent, localAddress: '127.0.0.5' })).status
      }),
    )
    const refilled = (performance.now() - startedAt) / 1000
    const passed = statuses.filter((status) => status === 200).length
    assert.ok(passed >= 58 && passed <= 62 + refilled, `${passed} passed in ${refilled} s`)
  })

  test('the key of tickets is the same at all workers', async (t) => {
    const gateway = await spawnGateway(t, { env: { WORKERS: '2' } })
    const answers = await Promise.all(connections(t, 4).map((agent) => request(`${gateway.url}/pubkey/`, { agent })))
    assert.equal(answers[0]?.status, 200)
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
  })
})

suite('a worker that dies', { concurrency: true }, () => {
  test('because it hangs and is killed is replaced, and its jobs are told of by the others', async (t) => {
    const nodes = await startNodes(t, 1, { concurrency: 100 })
    // A worker hangs when it has not answered for three of these: long enough for one that waits for its turn on a busy machine.
    const gateway = await startCrew(t, nodes, { REPLICA_TIMEOUT: '4' })
    const ids = await Promise.all(
      connections(t, 4).map(async (agent, n) => {
        const answer = await post(`${gateway.url}/api/jobs`, jobOf({ n, seconds: 1 }), { agent })
        return answer.json<{ id: string }>().id
      }),
    )
    const [hanging] = workerPids(gateway).values()
    process.kill(hanging!, 'SIGSTOP')
    const isKill = ({ message, pid }: { message?: string; pid?: unknown }): boolean =>
      message === 'a worker hangs and is killed' && pid === hanging
    await gateway.waitForLog(isKill, 60_000)
    await gateway.waitForLog(({ message, signal }) => message === 'a worker died' && signal === 'SIGKILL')
    await eventually(() => !isAlive(hanging!))
    const entries = await ended(gateway, ids, { withinMs: 60_000 })
    entries.forEach((entry, n) => assertEchoed(entry, { n, seconds: 1 }))
    assert.equal((await Promise.all(nodes.map((node) => node.jobs()))).flat().length, 4)
    await eventually(() => workerPids(gateway).size === 3)
    assert.equal(gateway.logs.filter(isKill).length, 1)
  })

  test('its jobs are told of at once by the others, none is lost and none runs twice', async (t) => {
    const nodes = await startNodes(t, 2, { speed: { kind: 'uniform', from: 1, to: 6 }, concurrency: 1000 })
    const gateway = await startCrew(t, nodes, { MAX_JOBS_PER_CALLER: '0' })
    const clients = connections(t, 4)
    const ids = await Promise.all(
      Array.from({ length: 500 }, async (_, n) => {
        const answer = await post(`${gateway.url}/api/jobs`, jobOf({ n }), { agent: clients[n % clients.length]! })
        assert.equal(answer.status, 200, answer.text)
        return answer.json<{ id: string }>().id
      }),
    )
    const victim = Number(gateway.logs.find(({ message }) => message === 'a worker was started')?.['pid'])
    process.kill(victim, 'SIGKILL')
    await gateway.waitForLog(({ message, signal }) => message === 'a worker died' && signal === 'SIGKILL')
    const entries = await ended(gateway, ids, { withinMs: 60_000 })
    entries.forEach((entry, n) => assertEchoed(entry, { n }))
    const runs = (await Promise.all(nodes.map((node) => node.jobs()))).flat()
    assert.equal(runs.length, 500)
    await eventually(() => gateway.logs.filter(({ message }) => message === 'a worker was started').length === 3)
  })

  test('amid its requests leaves no job without an owner, one death after the other', async (t) => {
    const nodes = await startNodes(t, 1, { concurrency: 1000 })
    const gateway = await startCrew(t, nodes, { MAX_JOBS_PER_CALLER: '0' })
    const ids: string[] = []
    let isOver = false
    // Long requests: a worker is likely to die while it tells the primary of one.
    const body = jobOf({ seconds: 0.3, note: 'x'.repeat(200_000) })
    const load = Array.from({ length: 5 }, async () => {
      while (!isOver) {
        const answer = await post(`${gateway.url}/api/jobs`, body, { timeoutMs: 3000 }).catch(() => undefined)
        if (answer?.status === 200) ids.push(answer.json<{ id: string }>().id)
      }
    })
    const deaths = () => gateway.logs.filter(({ message }) => message === 'a worker died').length
    for (let death = 1; death <= 4; death++) {
      const before = ids.length
      await eventually(() => ids.length > before + 10, { withinMs: 30_000 })
      process.kill([...workerPids(gateway).values()].find(isAlive)!, 'SIGKILL')
      await eventually(() => deaths() === death)
    }
    isOver = true
    await Promise.all(load)
    const entries = await ended(gateway, ids, { withinMs: 60_000 })
    assert.ok(entries.every(({ status }) => status === 'success'))
  })
})
