/** What /metrics tells of jobs, tries, the ledger, files and the build. */
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import { post, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { ended } from '../jobs/support.ts'

const file = { after }
const options = { rateLimit: 0, containers: ['echo', 'other'] }
const node = await startFakeNode(options, file)
const service = await startFakeOpenAi({ models: ['m1'] }, file)
const gateway = await startGateway(file, {
  nodes: [node],
  services: [{ name: 'chat', url: service.url }],
  env: { STATE_URL: 'sqlite:data/gateway.db', STATE_MAX_BYTES: '10mb' },
})

/** The value of one series by its name and its labels as they are written. */
async function valueOf(series: string): Promise<number | undefined> {
  const { text } = await request(`${gateway.url}/metrics`)
  const line = text.split('\n').find((line) => line.startsWith(`infernet_gateway_${series} `))
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
}

/** Submits a job for both containers, and waits for its end. */
async function run(data: object): Promise<void> {
  const answer = await post(`${gateway.url}/api/jobs`, jobOf(data, ['echo', 'other']))
  await ended(gateway, [answer.json<{ id: string }>().id])
}

describe('/metrics tells of jobs', () => {
  test('how long they took, by their containers and final state', async () => {
    await run({ seconds: 0.3, output: 'x'.repeat(100_000) })
    await run({ fail: 'no luck' })
    const labels = 'containers="echo,other",state='
    assert.equal(await valueOf(`job_seconds_count{${labels}"success"}`), 1)
    assert.equal(await valueOf(`job_seconds_count{${labels}"failed"}`), 1)
    const seconds = (await valueOf(`job_seconds_sum{${labels}"success"}`))!
    assert.ok(seconds >= 0.3 && seconds < 20, `${seconds} s`)
    assert.equal(await valueOf('jobs_ended_total{state="failed"}'), 1)
  })

  test('how many backends were asked, and how many of them because another had failed', async (t) => {
    const second = await startFakeNode(options, t)
    await gateway.setNodes([node.address, second.address])
    await gateway.ready(3)
    const [tries, retries] = ['tries_total{route="/api/jobs"}', 'retries_total{route="/api/jobs"}'] as const
    const before = [(await valueOf(tries))!, (await valueOf(retries))!]
    for (const one of [node, second]) await one.pushBack('submit', { times: 1 })
    assert.equal((await post(`${gateway.url}/api/jobs`, jobOf())).status, 429)
    assert.deepEqual([await valueOf(tries), await valueOf(retries)], [before[0]! + 2, before[1]! + 1])
    for (const one of [node, second]) assert.equal(await valueOf(`node_ejections_total{node="${one.address}"}`), 0)
  })
})

test('/metrics tells which requests failed, by models that a service lists', async () => {
  const ask = (model: string) => post(`${gateway.url}/v1/chat/completions`, { model, messages: [] })
  await service.misbehave({ act: 'answer', status: 500, body: '{}' }, 'chat', 1)
  assert.equal((await ask('m1')).status, 500)
  await ask('made-up')
  assert.equal(await valueOf('model_failures_total{model="m1"}'), 1)
  assert.equal(await valueOf('model_failures_total{model="made-up"}'), undefined)
})

test('/metrics and /stats tell how many prompt tokens were cached, and how long the first token of a stream took', async () => {
  const ask = (more: object) =>
    post(`${gateway.url}/v1/chat/completions`, { model: 'm1', messages: [{ role: 'user', content: 'Hello' }], ...more })
  const stream = { stream: true, stream_options: { include_usage: true } }
  await ask({ ...stream, sim: { cached: 6, seconds: 0.1 } })
  await ask({ sim: { cached: 1 } })
  await ask({})
  const labels = 'service="chat",model="m1"'
  const tokens = `service_prompt_tokens_total{${labels},cached=`
  assert.deepEqual([await valueOf(`${tokens}"true"}`), await valueOf(`${tokens}"false"}`)], [7, 7])
  assert.equal(await valueOf(`service_first_token_seconds_count{${labels}}`), 1)
  assert.ok((await valueOf(`service_first_token_seconds_sum{${labels}}`))! >= 0.1)

  const told = (await request(`${gateway.url}/stats`)).json<Record<string, Record<string, unknown>[]>>()
  const of = (list: string, member: string, name: string): Record<string, unknown> =>
    told[list]!.find((row) => row[member] === name)!
  const rows = [of('caches', 'service', 'chat'), of('services', 'name', 'chat'), of('models', 'name', 'm1')]
  for (const { cache_hit_rate, first_token_p50 } of rows) {
    assert.equal(cache_hit_rate, 0.5)
    // Its bucket is 30 % wide.
    assert.ok((first_token_p50 as number) > 0.07)
  }
  assert.equal(of('services', 'name', node.address)['cache_hit_rate'], undefined)
})

test('/metrics tells how full the ledger and its disk are, and whether it can be written', async () => {
  const bytes = (await valueOf('ledger_bytes'))!
  assert.ok(bytes > 100_000 && bytes < 1_000_000, `${bytes} bytes`)
  assert.equal(await valueOf('ledger_max_bytes'), 10 * 1024 * 1024)
  assert.equal(await valueOf('ledger_jobs'), 2)
  assert.deepEqual([await valueOf('ledger_writable'), await valueOf('ledger_held_jobs')], [1, 0])
  const [free, size] = [(await valueOf('ledger_disk_free_bytes'))!, (await valueOf('ledger_disk_bytes'))!]
  assert.ok(free > 0 && free <= size)
})

test('/metrics tells the versions of the gateway and of Node.js', async () => {
  const { version } = (await request(`${gateway.url}/health`)).json<{ version: string }>()
  assert.equal(await valueOf(`build_info{version="${version}",node_version="${process.version}"}`), 1)
})

describe('/metrics tells of files that are read again', () => {
  const success = (setting: string): Promise<number | undefined> =>
    valueOf(`file_last_reload_successful{setting="${setting}"}`)
  const time = (setting: string): Promise<number | undefined> =>
    valueOf(`file_last_reload_success_timestamp_seconds{setting="${setting}"}`)

  test('that they were read, and when', async () => {
    for (const setting of ['IPS_FILE', 'SERVICES_FILE']) {
      assert.equal(await success(setting), 1)
      assert.ok(Math.abs((await time(setting))! - Date.now() / 1000) < 120)
    }
  })

  test('that a services file is no list any more, and that it is one again', async () => {
    const before = await time('SERVICES_FILE')
    await writeFile(join(gateway.cwd, 'services.json'), '{"not": "a list"}')
    await eventually(async () => (await success('SERVICES_FILE')) === 0, { withinMs: 20_000 })
    assert.equal(await time('SERVICES_FILE'), before)
    await gateway.setServices([{ name: 'chat', url: service.url }])
    await eventually(async () => (await success('SERVICES_FILE')) === 1, { withinMs: 20_000 })
  })

  test('that an addresses file has gone', async () => {
    await rm(join(gateway.cwd, 'ips.txt'))
    await eventually(async () => (await success('IPS_FILE')) === 0, { withinMs: 20_000 })
  })
})
