/** Pages for operators tell of all workers together. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { ended, startNodes } from '../jobs/support.ts'
import { statsOf } from '../support.ts'
import { connections, startCrew, workerPids } from './crew.ts'

const SUBMISSIONS = 'infernet_gateway_requests_total{route="/api/jobs",method="POST",status="200"}'

/** The value of one series in the text of `/metrics`. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

suite('sums over workers', { concurrency: true }, () => {
  test('/metrics and /stats count the requests of all workers, and each backend once', async (t) => {
    const nodes = await startNodes(t, 2)
    const gateway = await startCrew(t, nodes, {}, { ipsLines: ['ftp://node.example'] })
    const clients = connections(t, 4)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => post(`${gateway.url}/api/jobs`, jobOf({ n }), { agent: clients[n % 4]! })),
    )
    await ended(
      gateway,
      answers.map((answer) => answer.json<{ id: string }>().id),
    )
    for (const agent of clients) {
      const text = (await request(`${gateway.url}/metrics`, { agent })).text
      assert.equal(valueOf(text, SUBMISSIONS), 20)
      assert.equal(
        valueOf(text, 'infernet_gateway_request_seconds_count{route="/api/jobs",method="POST"}')! >= 20,
        true,
      )
      assert.equal(valueOf(text, 'infernet_gateway_jobs_ended_total{state="success"}'), 20)
      assert.equal(valueOf(text, 'infernet_gateway_replicas{state="alive"}'), 2)
      // What all workers have in common counts once.
      assert.equal(valueOf(text, 'infernet_gateway_ledger_jobs'), 20)
      assert.equal(valueOf(text, 'infernet_gateway_ledger_max_bytes'), 1024 ** 3)
      assert.equal(valueOf(text, 'infernet_gateway_ledger_writable'), 1)
      assert.equal(valueOf(text, 'infernet_gateway_file_last_reload_successful{setting="IPS_FILE"}'), 1)
      assert.match(text, /^infernet_gateway_build_info\{[^}]*\} 1$/m)
      assert.equal(valueOf(text, 'infernet_gateway_tries_total{route="/api/jobs"}'), 20)
      assert.equal(valueOf(text, 'infernet_gateway_retries_total{route="/api/jobs"}'), 0)
      assert.equal(valueOf(text, 'infernet_gateway_job_seconds_count{containers="echo",state="success"}'), 20)
      assert.ok(valueOf(text, 'process_cpu_seconds_total')! > 0)
      for (const { address } of nodes)
        assert.equal(valueOf(text, `infernet_gateway_node_healthy{node="${address}"}`), 1)
      const stats = (await request(`${gateway.url}/stats`, { agent })).json<Record<string, unknown>>()
      assert.equal(valueOf(text, 'infernet_gateway_bad_lines{setting="IPS_FILE"}'), 1)
      assert.deepEqual([(stats['bad_lines'] as unknown[]).length, stats['bad_lines_total']], [1, 1])
      assert.deepEqual([stats['total_services'], stats['healthy_services'], stats['workers']], [2, 2, 2])
      const { jobs_succeeded } = stats['activity'] as { jobs_succeeded: number[] }
      assert.equal(
        jobs_succeeded.reduce((sum, count) => sum + count, 0),
        20,
      )
      const [row] = stats['containers'] as { name: string; requests: number; first_byte_p50: number | null }[]
      assert.deepEqual([row!.name, row!.requests, typeof row!.first_byte_p50], ['echo', 20, 'number'])
    }
    const { services } = (await request(`${gateway.url}/services`)).json<{ services: { request_count: number }[] }>()
    assert.ok(services.reduce((sum, { request_count }) => sum + request_count, 0) >= 20)
    const [first, second] = await Promise.all(nodes.map((node) => statsOf(gateway, node)))
    assert.equal(first!.request_count + second!.request_count >= 20, true)
    const { memory } = (await request(`${gateway.url}/stats`)).json<{ memory: { budget_bytes: number } }>()
    assert.equal(memory.budget_bytes, 512 * 1024 * 1024)
  })

  test('counts do not fall when workers are replaced', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await startCrew(t, nodes)
    for (let n = 0; n < 10; n++) assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({ n }))).status, 200)
    gateway.signal('SIGUSR2')
    await gateway.waitForLog(({ message }) => message === 'all workers have been replaced', 60_000)
    await eventually(() => gateway.logs.filter(({ message }) => message === 'a worker has ended').length === 2)
    const text = (await request(`${gateway.url}/metrics`)).text
    assert.equal(valueOf(text, SUBMISSIONS), 10)
    const { activity } = (await request(`${gateway.url}/stats`)).json<{ activity: { succeeded: number[] } }>()
    assert.equal(
      activity.succeeded.reduce((sum, count) => sum + count, 0),
      10,
    )
  })

  test('a worker that hangs neither holds the pages up nor takes back what it has counted', async (t) => {
    const nodes = await startNodes(t, 1)
    const gateway = await startCrew(t, nodes)
    const clients = connections(t, 4)
    const each = await Promise.all(clients.map((agent) => post(`${gateway.url}/api/jobs`, jobOf(), { agent })))
    assert.ok(each.every(({ status }) => status === 200))
    for (const path of ['/metrics', '/stats']) await request(`${gateway.url}${path}`)
    const [hanging] = workerPids(gateway).values()
    process.kill(hanging!, 'SIGSTOP')
    // Those that are at the worker which hangs are not answered before it goes on.
    const answerOf = (path: string) => Promise.any(clients.map((agent) => request(`${gateway.url}${path}`, { agent })))
    const metrics = await answerOf('/metrics').finally(() => process.kill(hanging!, 'SIGCONT'))
    assert.equal(valueOf(metrics.text, SUBMISSIONS), 4)
    process.kill(hanging!, 'SIGSTOP')
    const page = await answerOf('/stats').finally(() => process.kill(hanging!, 'SIGCONT'))
    const stats = page.json<{ workers: number; services: { request_count: number }[] }>()
    assert.equal(stats.workers, 1)
    assert.ok(stats.services[0]!.request_count >= 4)
  })
})
