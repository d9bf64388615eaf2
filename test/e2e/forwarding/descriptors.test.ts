/** A gateway that has no descriptors left for connections. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { openRaw } from '../../kit/http.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { statsOf } from '../support.ts'

const skip = spawnSync('prlimit', ['--version']).status === 0 ? false : 'prlimit is not installed'

/** Longer than the polls and the time after which a silent node counts as dead. */
const SHORTAGE_MS = 3000

test('a shortage of descriptors is a 503 of the gateway and no failure of the node', { skip }, async (t) => {
  // Each connection serves once, so that each poll and each job needs a new one.
  const node = await startFakeNode({ rateLimit: 0, requestsPerConnection: 1 }, t)
  const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.2' })
  const client = await openRaw(gateway.url, { t })
  const body = JSON.stringify(jobOf())
  const ask = (path: string, id: string, text: string): void => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\nContent-Length: ${text.length}`
    client.send(`${head}\r\n\r\n${text}`)
  }
  const asked = (id: string): Promise<unknown> => gateway.waitForLog(({ requestId }) => requestId === id)
  ask('/api/jobs', 'before', body)
  await asked('before')

  // What is open stays open; only the soft limit changes, so that it can be lifted again.
  const limit = execFileSync('prlimit', ['--pid', `${gateway.pid}`, '--nofile', '--output=SOFT', '--noheadings'])
  execFileSync('prlimit', ['--pid', `${gateway.pid}`, '--nofile=3:'])
  await gateway.waitForLog(({ message = '' }) => message.includes('cannot open connections'))
  ask('/api/jobs', 'during', body)
  ask('/api/jobs/batch', 'batch', `[${body}]`)
  const line = (await asked('during')) as Record<string, unknown>
  assert.deepEqual([line['fault'], line['status']], ['ERR_NO_SOCKET', 503])
  assert.deepEqual(((await asked('batch')) as Record<string, unknown>)['fault'], 'ERR_NO_SOCKET')
  await sleep(SHORTAGE_MS)
  execFileSync('prlimit', ['--pid', `${gateway.pid}`, `--nofile=${limit.toString().trim()}:`])

  ask('/api/jobs', 'after', body)
  await asked('after')
  const statuses = (await client.until((text) => text.split('HTTP/1.1 ').length > 4)).match(/HTTP\/1\.1 \d+/g)
  assert.deepEqual(statuses, ['HTTP/1.1 200', 'HTTP/1.1 503', 'HTTP/1.1 503', 'HTTP/1.1 200'])
  const { healthy, error_count } = await statsOf(gateway, node)
  assert.deepEqual({ healthy, error_count }, { healthy: true, error_count: 0 })
  const told = gateway.logs.map(({ message = '' }) => message)
  assert.equal(told.filter((message) => message.includes('cannot open connections')).length, 1)
  assert.equal(told.filter((message) => /node (down|ejected)/.test(message)).length, 0)
})
