/** Backends that refuse connections while they restart: their clients wait, for OUTAGE_WAIT at most (here 2), and see nothing of it. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, post, request, type Answer } from '../../kit/http.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import { chat } from '../openai/support.ts'
import { assertError, statsOf } from '../support.ts'
import { BackendProcess } from './backendProcess.ts'

const file = { after }

const CALLS: [string, object][] = [
  ['/api/jobs', jobOf()],
  ['/api/jobs/batch', [jobOf(), jobOf()]],
  ['/api/jobs/stream', jobOf()],
  ['/v1/chat/completions', chat()],
]

describe('a process that is killed and started again', async () => {
  const backend = new BackendProcess(file, await freePort())
  await backend.listen()
  const gateway = await startGateway(file, {
    nodes: [backend],
    services: [entryOf({ address: 'service', url: `http://${backend.address}` })],
    env: { REFRESH_INTERVAL: '60' },
  })
  const callAll = (): Promise<Answer>[] => CALLS.map(([path, body]) => post(gateway.url + path, body))
  const errors = async (): Promise<number> =>
    (await statsOf(gateway, backend)).error_count + (await statsOf(gateway, { address: 'service' })).error_count

  test('costs no client an error, whether it asks before or after the gateway knows', async () => {
    await backend.kill()
    const first = callAll()
    await eventually(async () => (await errors()) >= CALLS.length, { everyMs: 5 })
    const later = callAll()
    await backend.listen()
    const answers = await Promise.all([...first, ...later])
    assert.deepEqual(
      answers.map(({ status, text }) => (status === 200 ? 200 : text)),
      answers.map(() => 200),
    )
    for (const [index, { text }] of answers.entries())
      if (CALLS[index % CALLS.length]![0] === '/api/jobs/batch') assert.equal(text.match(/"id"/g)?.length, 2, text)
    // Looks at a backend that is awaited are no failures of it: each request tried it once before it was back.
    assert.ok((await errors()) <= 2 * CALLS.length + 2, String(await errors()))
  })

  test('that stays away is a 502 after OUTAGE_WAIT, with Retry-After; in a batch it is the word on the items', async () => {
    await eventually(async () => (await request(`${gateway.url}/health`)).text.includes('"2/2"'), { withinMs: 20_000 })
    await backend.kill()
    const startedAt = performance.now()
    const answers = await Promise.all(callAll())
    const seconds = (performance.now() - startedAt) / 1000
    assert.ok(seconds >= 1.9, `${seconds} s`)
    for (const answer of answers) {
      assertError(answer, 502)
      if (!answer.path.endsWith('batch')) assert.ok(Number(answer.headers['retry-after']) >= 1, answer.path)
    }
  })
})

describe('a request that waits for a backend', () => {
  const running = async (gateway: Gateway): Promise<number> =>
    (await request(`${gateway.url}/stats`)).json<{ running_requests: number }>().running_requests
  const stopped = async (gateway: Gateway, id: string): Promise<void> => {
    const line = await gateway.waitForLog((one) => one['requestId'] === id)
    assert.equal(line['fault'], 'ERR_CLIENT_GONE')
  }

  test('ends with its client, and is not sent when the backend is back', async (t) => {
    const [node, service] = await Promise.all([startFakeNode({ rateLimit: 0 }, t), startFakeOpenAi({}, t)])
    const gateway = await startGateway(t, {
      nodes: [node],
      services: [entryOf(service)],
      env: { REFRESH_INTERVAL: '60' },
    })
    await Promise.all([node.refuse(), service.refuse()])
    for (const [n, [path, body]] of CALLS.entries()) {
      const client = await openRaw(gateway.url, { t })
      const text = JSON.stringify(body)
      const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: left-${n}\r\nContent-Length: ${text.length}`
      client.send(`${head}\r\n\r\n${text}`)
      // This one, and that of `/stats` itself.
      await eventually(async () => (await running(gateway)) === 2, { everyMs: 5 })
      client.socket.destroy()
      await stopped(gateway, `left-${n}`)
    }
    await Promise.all([node.comeBack(), service.comeBack()])
    await gateway.ready(2, 20_000)
    assert.deepEqual([...node.seen('submit'), ...node.seen('batch'), ...node.seen('stream')], [])
    assert.deepEqual(service.seen('chat'), [])
    assert.equal((await statsOf(gateway, node)).in_flight, 0)
  })

  test('is served also where polls have found the backend down already', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.1' })
    await node.refuse()
    await gateway.waitForLog((line) => line.message === 'node down')
    const waiting = post(`${gateway.url}/api/jobs`, jobOf())
    await node.comeBack()
    assert.equal((await waiting).status, 200)
  })

  test('does not hold up the items of its batch that others can take', async (t) => {
    const [away, here] = await Promise.all([
      startFakeNode({ rateLimit: 0, containers: ['away'] }, t),
      startFakeNode({ rateLimit: 0, containers: ['here'] }, t),
    ])
    const gateway = await gatewayFor(t, [away, here], { REFRESH_INTERVAL: '60' })
    await away.refuse()
    const items = ['away', 'here', 'away'].map((container) => jobOf({}, [container]))
    const answer = post(`${gateway.url}/api/jobs/batch`, items)
    await here.waitFor('batch')
    await away.comeBack()
    assert.equal((await answer).text.match(/"id"/g)?.length, 3, (await answer).text)
  })

  test('is served too where the backend answers its polls with errors while it starts', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '0.1', OUTAGE_WAIT: '10' })
    await node.misbehave({ act: 'answer', status: 500, body: '{}' }, 'info')
    await gateway.waitForLog((line) => line.message === 'node down')
    const waiting = post(`${gateway.url}/api/jobs`, jobOf())
    await eventually(async () => (await running(gateway)) === 2, { everyMs: 5 })
    await node.behave()
    assert.equal((await waiting).status, 200)
  })

  test('has its answer at once with OUTAGE_WAIT=0', async (t) => {
    const node = await startFakeNode({ rateLimit: 0 }, t)
    const gateway = await gatewayFor(t, [node], { REFRESH_INTERVAL: '60', OUTAGE_WAIT: '0' })
    await node.refuse()
    const answer = await post(`${gateway.url}/api/jobs`, jobOf())
    assertError(answer, 502)
    assert.equal(answer.headers['x-queue-ms'], '0')
  })
})
