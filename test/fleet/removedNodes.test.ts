import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { loadSettings } from '../../src/config/settings.ts'
import { start } from '../../src/main.ts'
import type { Gateway } from '../../src/main.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { jobOf } from '../kit/builders/jobs.ts'
import { post, request } from '../kit/http.ts'
import { startFakeNode } from '../kit/fakeNode/index.ts'
import { eventually, tempDir } from '../kit/wait.ts'

/** A gateway in this process, whose fleet can be looked into. */
async function gatewayHere(
  t: TestContext,
  address: string,
): Promise<Gateway & { url: string; list: (text: string) => Promise<void> }> {
  const workingDirectory = await tempDir(t)
  const path = join(workingDirectory, 'ips.txt')
  await writeFile(path, address)
  const settings = loadSettings({
    environment: {
      ...{ PORT: '0', HOST: '127.0.0.1', IPS_FILE: path, STATE_URL: 'memory:', REFRESH_INTERVAL: '0.2' },
      ...{ RATELIMIT_REQS_PER_MIN: '0', DRAIN_TIMEOUT: '0', LOG_LEVEL: 'error' },
    },
    workingDirectory,
    packageRoot: workingDirectory,
    isTerminal: false,
  })
  const gateway = await start(settings, createLogger({ level: 'error', format: 'json' }), { believeAfterMs: 100 })
  t.after(() => gateway.stop())
  await gateway.fleet.whenReady(20)
  return { ...gateway, url: `http://127.0.0.1:${gateway.port}`, list: (text) => writeFile(path, text) }
}

const SOON = { withinMs: 20_000 }

test('a node that is taken out of the list is forgotten', async (t) => {
  const sim = await startFakeNode({}, t)
  const { fleet, list } = await gatewayHere(t, sim.address)
  const key = `${sim.url}`
  assert.ok(fleet.find(key))
  await list('')
  await eventually(() => fleet.nodes.size === 0, SOON)
  assert.equal(fleet.find(key), undefined)
})

test('a node that is taken out with jobs is followed to their end first, though it gets no new ones', async (t) => {
  const sim = await startFakeNode({}, t)
  const { fleet, list, url } = await gatewayHere(t, sim.address)
  const job = jobOf({ seconds: 3 })
  const { id } = (await post(`${url}/api/jobs`, job)).json<{ id: string }>()
  await list('')
  await eventually(() => fleet.nodes.size === 0, SOON)
  assert.ok(fleet.find(sim.url)?.isRetired)
  assert.equal((await post(`${url}/api/jobs`, job)).status, 503)
  await eventually(async () => {
    const [told] = (await request(`${url}/api/jobs?id=${id}`)).json<{ status: string }[]>()
    return told?.status === 'success'
  }, SOON)
  await eventually(() => fleet.find(sim.url) === undefined, SOON)
})
