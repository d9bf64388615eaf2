/** Backends that refuse connections while they restart: their clients wait, for two seconds at most, and see nothing of it. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { entryOf, gatewayFor, startGateway } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { infoText } from '../../kit/builders/infos.ts'
import { startFakeNode } from '../../kit/fakeNode/index.ts'
import { startFakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { openRaw, post, request, type Answer } from '../../kit/http.ts'
import { eventually, freePort, type Cleanup } from '../../kit/wait.ts'
import { chat } from '../openai/support.ts'
import { assertError, statsOf } from '../support.ts'

const file = { after }

/** A node and a service in one process, which listens when it is told to, so that its start takes no time. */
const BACKEND = `
  const [port, info] = process.argv.slice(1)
  const ids = (body) => Array.isArray(body) ? body.map(ids) : { id: crypto.randomUUID() }
  const answer = (url, text) => {
    if (url === '/info') return info
    if (url === '/v1/models') return '{"data":[{"id":"small-model"}]}'
    if (url === '/metrics') return ''
    if (url.startsWith('/api/jobs?')) return '[]'
    if (url === '/api/jobs/stream') return crypto.randomUUID() + '\\n'
    return JSON.stringify(ids(JSON.parse(text)))
  }
  const server = require('node:http').createServer(async (incoming, response) => {
    let text = ''
    for await (const chunk of incoming) text += chunk
    response.end(answer(incoming.url, text))
  })
  process.stdin.once('data', () => server.listen(Number(port), '127.0.0.1', () => console.log('listening')))
  process.stdin.on('end', () => process.exit())
`

class Backend {
  readonly port: number
  #child: ChildProcess

  constructor(t: Cleanup, port: number) {
    this.port = port
    this.#child = this.#spawn()
    t.after(() => this.#child.kill('SIGKILL'))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** Ends its process, if it listens; another is there that can listen at once. */
  async kill(): Promise<void> {
    const [old] = [this.#child]
    this.#child = this.#spawn()
    old.kill('SIGKILL')
    await once(old, 'exit')
  }

  async listen(): Promise<void> {
    this.#child.stdin?.write('listen\n')
    await once(this.#child.stdout!, 'data')
  }

  #spawn(): ChildProcess {
    const args = ['-e', BACKEND, String(this.port), infoText()]
    return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  }
}

const CALLS: [string, object][] = [
  ['/api/jobs', jobOf()],
  ['/api/jobs/batch', [jobOf(), jobOf()]],
  ['/api/jobs/stream', jobOf()],
  ['/v1/chat/completions', chat()],
]

describe('a process that is killed and started again', async () => {
  const backend = new Backend(file, await freePort())
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

  test('that stays away is a 502 after two seconds, with Retry-After; in a batch it is the word on the items', async () => {
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
})
