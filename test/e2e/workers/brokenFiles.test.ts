/** A worker that is replaced while a file that it needs is broken. */
import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { request } from '../../kit/http.ts'
import { eventually, tempDir } from '../../kit/wait.ts'
import { startNodes } from '../jobs/support.ts'
import { connections, startCrew, workerPids } from './crew.ts'

suite('a worker that dies while files are broken', { concurrency: true }, () => {
  test('is replaced by one that has the keys and backends which the others still use', async (t) => {
    const folder = await tempDir(t)
    const [keys, services, ips] = ['keys.json', 'services.json', 'ips.txt'].map((name) => join(folder, name))
    const nodes = await startNodes(t, 2)
    await writeFile(keys!, '[{"name": "team", "key": "good-key"}]')
    await writeFile(services!, '[]')
    await writeFile(ips!, nodes.map(({ address }) => address).join('\n'))
    const env = { KEYS_FILE: keys!, SERVICES_FILE: services!, IPS_FILE: ips! }
    const gateway = await startCrew(t, nodes, env)

    await writeFile(keys!, 'not JSON')
    await writeFile(services!, 'not JSON')
    // A folder cannot be read as a file, whatever rights the reader has.
    await rm(ips!)
    await mkdir(ips!)
    await gateway.waitForLog(({ message }) => String(message).startsWith('keys file cannot be used'))
    const [first] = workerPids(gateway).values()
    process.kill(first!, 'SIGKILL')
    await eventually(async () => {
      // A connection that was handed to the worker at the moment of its death is never answered: then another one is.
      const stats = await request(`${gateway.url}/stats`, { timeoutMs: 2000 })
      return workerPids(gateway).size === 3 && stats.json<{ workers: number }>().workers === 2
    })

    const clients = connections(t, 4)
    const headers = { Authorization: 'Bearer good-key' }
    await eventually(async () => {
      const answers = await Promise.all(
        clients.map((agent) => request(`${gateway.url}/v1/models`, { agent, headers }).catch(() => undefined)),
      )
      return answers.every((answer) => answer?.status === 200)
    })
    const healths = await Promise.all(clients.map((agent) => request(`${gateway.url}/health`, { agent })))
    for (const health of healths) assert.equal(health.json<{ healthy_services: string }>().healthy_services, '2/2')
    const refused = await request(`${gateway.url}/v1/models`, { headers: { Authorization: 'Bearer other' } })
    assert.equal(refused.status, 401)
    assert.equal(gateway.logs.filter(({ message }) => message === 'a worker cannot start').length, 0)
  })
})
