/** What a gateway shows of those with which it shares its ledger. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { chromium } from 'playwright-core'
import { loadSettings } from '../../../src/config/settings.ts'
import { WorkerHub } from '../../../src/ledger/ipc/hub.ts'
import { MemoryLedger } from '../../../src/ledger/memory/ledger.ts'
import { start } from '../../../src/main.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import type { ReplicaStats } from '../../../src/observability/replicas.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { post, request } from '../../kit/http.ts'
import { spawnGateway } from '../../kit/gateway.ts'
import { problems } from '../../openapi/conformance.ts'
import { answerOf, description, operations } from '../../openapi/document.ts'
import { eventually, tempDir, type Cleanup } from '../../kit/wait.ts'

const CHROMIUM = '/usr/bin/chromium'
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed (Debian: apt-get install chromium)`

const file = { after }
const node = await startFakeNode({ rateLimit: 0 }, file)
const hub = await WorkerHub.open(new MemoryLedger({ maxBytes: 1e9, ttlMs: 1e9 }))
const [one, two] = [await startMember(file), await startMember(file)]

/** A gateway of this process that shares its ledger with the others; returns its URL and how it ends. */
async function startMember(t: Cleanup): Promise<{ url: string; stop: () => Promise<void> }> {
  const folder = await tempDir(t)
  await writeFile(join(folder, 'ips.txt'), node.address)
  const environment = {
    HOST: '127.0.0.1',
    PORT: '0',
    STATE_URL: 'memory:',
    IPS_FILE: join(folder, 'ips.txt'),
    DRAIN_TIMEOUT: '0',
  }
  const settings = loadSettings({ environment, workingDirectory: folder, packageRoot: folder, isTerminal: false })
  const gateway = await start(settings, createLogger({ level: 'error', format: 'json' }), { ledger: hub.join() })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= gateway.stop())
  t.after(stop)
  const url = `http://127.0.0.1:${gateway.port}`
  await eventually(async () => (await request(`${url}/readyz`)).status === 200)
  return { url, stop }
}

async function replicasAt({ url }: { url: string }): Promise<ReplicaStats> {
  const { replicas } = (await request(`${url}/stats`)).json<{ replicas?: ReplicaStats }>()
  assert.ok(replicas)
  return replicas
}

async function metric({ url }: { url: string }, series: string): Promise<number> {
  const { text } = await request(`${url}/metrics`)
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  assert.ok(line, series)
  return Number(line.slice(series.length))
}

describe('gateways that share a ledger', () => {
  test('each name themselves first, and all of them with the unfinished jobs of each', async () => {
    for (let n = 0; n < 3; n++) assert.equal((await post(`${one.url}/api/jobs`, jobOf({ seconds: 60 }))).status, 200)
    const [first, second] = [(await replicasAt(one)).self, (await replicasAt(two)).self]
    assert.notEqual(first, second)
    const mine = { replica: first, jobs: 3, state: 'alive' }
    const theirs = { replica: second, jobs: 0, state: 'alive' }
    await eventually(async () => (await replicasAt(two)).list.some(({ jobs }) => jobs === 3))
    assert.deepEqual(await replicasAt(one), { self: first, sure: true, list: [mine, theirs] })
    assert.deepEqual(await replicasAt(two), { self: second, sure: true, list: [theirs, mine] })
    const { operation } = operations.find((each) => each.operation.operationId === 'readStats')!
    const { schema } = answerOf(operation, 200).content!['application/json']!
    assert.deepEqual(problems(description, schema, (await request(`${one.url}/stats`)).json()), [])
  })

  test('count gateways and jobs for Prometheus without a label that names any of them', async () => {
    assert.equal(await metric(one, 'infernet_gateway_replicas{state="alive"}'), 2)
    assert.equal(await metric(one, 'infernet_gateway_replicas{state="gone"}'), 0)
    assert.equal(await metric(one, 'infernet_gateway_replica_jobs{owner="self"}'), 3)
    assert.equal(await metric(two, 'infernet_gateway_replica_jobs{owner="others"}'), 3)
    assert.equal(await metric(two, 'infernet_gateway_replica_sure'), 1)
    const { self } = await replicasAt(one)
    assert.ok(!(await request(`${two.url}/metrics`)).text.includes(self))
  })

  test('are a table of the dashboard', { skip }, async (t) => {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
    t.after(() => browser.close())
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    await page.goto(`${two.url}/dashboard`)
    const { self, list } = await replicasAt(two)
    for (const { replica } of list) await page.getByText(replica).waitFor()
    const rows = await page.locator('#replicas tr').allInnerTexts()
    assert.equal(rows.length, 2)
    assert.match(rows[0]!, new RegExp(`^${self}\\s+this one\\s+alive\\s+0$`))
    assert.match(rows[1]!, /alive\s+3$/)
    assert.deepEqual(complaints, [])
  })

  test('no longer have one that has ended and whose jobs are taken over', async () => {
    await one.stop()
    const { self } = await replicasAt(two)
    const alone = [{ replica: self, jobs: 3, state: 'alive' }]
    await eventually(async () => JSON.stringify((await replicasAt(two)).list) === JSON.stringify(alone), {
      withinMs: 30_000,
    })
  })
})

test('a gateway with a ledger of its own shows nothing of others', async (t) => {
  const { url } = await spawnGateway(t)
  assert.equal((await request(`${url}/stats`)).json<{ replicas?: unknown }>().replicas, undefined)
  assert.doesNotMatch((await request(`${url}/metrics`)).text, /infernet_gateway_replica/)
  assert.match((await request(`${url}/dashboard`)).text, /id="replicas-section" hidden/)
})
