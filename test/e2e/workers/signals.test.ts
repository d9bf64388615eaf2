/** Signals to a gateway of several workers. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { jobOf } from '../../kit/builders/jobs.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { openStream, post, request } from '../../kit/http.ts'
import { eventually, freePort, tempDir } from '../../kit/wait.ts'
import { ended, startNodes } from '../jobs/support.ts'
import { connections, isAlive, startCrew, workerPids } from './crew.ts'

/** Signals that come within a second of each other are one. */
const ONE_SIGNAL_MS = 1100

suite('signals to several workers', { concurrency: true }, () => {
  test('SIGHUP rereads the files at every worker', async (t) => {
    const nodes = await startNodes(t, 2)
    const gateway = await startCrew(t, [nodes[0]!], { REFRESH_INTERVAL: '3600' })
    await gateway.setNodes(nodes.map(({ address }) => address))
    gateway.signal('SIGHUP')
    await gateway.waitForLog(({ message, signal }) => message === 'rereading all files' && signal === 'SIGHUP')
    const clients = connections(t, 4)
    await eventually(async () => {
      const answers = await Promise.all(clients.map((agent) => request(`${gateway.url}/health`, { agent })))
      return answers.every((answer) => answer.json<{ healthy_services: string }>().healthy_services === '2/2')
    })
  })

  test('SIGUSR2 replaces all workers, and drops no request', async (t) => {
    const nodes = await startNodes(t, 1, { concurrency: 1000 })
    const gateway = await startCrew(t, nodes, { MAX_JOBS_PER_CALLER: '0' })
    const old = [...workerPids(gateway).values()]
    const stream = await openStream(`${gateway.url}/api/jobs/stream`, { body: jobOf({ seconds: 8, pieces: 8 }) })
    const ids: string[] = []
    let isOver = false
    // Half of the clients keep their connections, half take a new one for each request.
    const kept = connections(t, 4)
    const load = Array.from({ length: 8 }, async (_, client) => {
      const agent = kept[client]
      while (!isOver) {
        const answer = await post(`${gateway.url}/api/jobs`, jobOf(), agent ? { agent } : {})
        assert.equal(answer.status, 200, answer.text)
        ids.push(answer.json<{ id: string }>().id)
      }
    })
    gateway.signal('SIGUSR2')
    await gateway.waitForLog(({ message }) => message === 'all workers have been replaced', 60_000)
    await eventually(() => old.filter(isAlive).length <= 1)
    assert.equal((await stream.ended).complete, true)
    await eventually(() => !old.some(isAlive))
    isOver = true
    await Promise.all(load)
    const entries = await ended(gateway, ids.slice(-100))
    assert.ok(entries.every(({ status }) => status === 'success'))
    assert.equal(workerPids(gateway).size, 4)
    assert.equal((await gateway.stop()).code, 0)
  })

  test('SIGTERM ends a worker that hangs, after the others and in time', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await startCrew(t, nodes, { DRAIN_TIMEOUT: '1' })
    const [hanging] = workerPids(gateway).values()
    process.kill(hanging!, 'SIGSTOP')
    assert.equal((await gateway.stop()).code, 0)
    assert.ok(gateway.logs.some(({ message }) => message === 'a worker does not end and is killed'))
    assert.equal(isAlive(hanging!), false)
  })

  test('a second SIGTERM leaves no worker behind, not even one that hangs', async (t) => {
    const gateway = await startCrew(t, await startNodes(t, 1), { DRAIN_TIMEOUT: '60' })
    const pids = [...workerPids(gateway).values()]
    process.kill(pids[0]!, 'SIGSTOP')
    t.after(() => isAlive(pids[0]!) && process.kill(pids[0]!, 'SIGKILL'))
    gateway.signal('SIGTERM')
    await gateway.waitForLog(({ message }) => message === 'draining')
    await sleep(ONE_SIGNAL_MS)
    gateway.signal('SIGTERM')
    assert.equal((await gateway.exited).code, 1)
    await eventually(() => !pids.some(isAlive))
  })

  test('with one worker SIGUSR2 is ignored with a word', async (t) => {
    const gateway = await spawnGateway(t)
    gateway.signal('SIGUSR2')
    await gateway.waitForLog(({ message, signal }) => /ignored/.test(message ?? '') && signal === 'SIGUSR2')
    assert.equal((await request(`${gateway.url}/livez`)).status, 200)
  })

  test('a Ctrl-C that all processes of the group receive lets running requests finish', async (t) => {
    const nodes = await startNodes(t, 1)
    const cwd = await tempDir(t)
    const port = await freePort()
    await writeFile(`${cwd}/ips.txt`, nodes[0]!.address)
    const cli = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url))
    const env = {
      ...{ PATH: process.env['PATH'], WORKERS: '2', PORT: String(port), HOST: '127.0.0.1', STATE_URL: 'memory:' },
      ...{ LOG_FORMAT: 'json', REFRESH_INTERVAL: '1' },
    }
    // The first of a group of its own, as a shell starts it.
    const gateway = spawn(process.execPath, [cli], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
    let log = ''
    gateway.stdout.on('data', (bytes: Buffer) => (log += bytes.toString()))
    t.after(() => gateway.kill('SIGKILL'))
    await eventually(() => log.includes('"message":"listening"'), { withinMs: 60_000 })
    const url = `http://127.0.0.1:${port}`
    await eventually(async () => (await request(`${url}/readyz`)).status === 200)
    const streams = await Promise.all(
      connections(t, 2).map(() => openStream(`${url}/api/jobs/stream`, { body: jobOf({ seconds: 2, pieces: 4 }) })),
    )
    for (const stream of streams) await stream.next()
    process.kill(-gateway.pid!, 'SIGINT')
    for (const stream of streams) assert.equal((await stream.ended).complete, true)
    const [code] = (await once(gateway, 'exit')) as [number | null]
    assert.equal(code, 0, log)
  })

  test('workers end when their primary is killed', async (t) => {
    const gateway = await spawnGateway(t, { env: { WORKERS: '2' } })
    const workers = [...workerPids(gateway).values()]
    assert.equal(workers.length, 2)
    await gateway.kill()
    await eventually(() => !workers.some(isAlive))
  })
})
