/** What operators see of requests that wait for a place at a backend. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Agent, ServerResponse } from 'node:http'
import { describe, suite, test } from 'node:test'
import type { Schema } from '../../../src/openapi/openApi.ts'
import { startGateway } from '../../kit/builders/gateways.ts'
import type { Gateway, LogLine } from '../../kit/gateway.ts'
import { post, request, type Answer } from '../../kit/http.ts'
import { serve } from '../../kit/serve.ts'
import { Collector, traceOf, treeOf } from '../../kit/traceCollector.ts'
import { eventually, type Cleanup } from '../../kit/wait.ts'
import { problems } from '../../openapi/conformance.ts'
import { description } from '../../openapi/document.ts'
import { connections, startCrew } from '../workers/crew.ts'

/** A service that holds its requests until it lets one go. */
class HoldingService {
  address = ''
  readonly #held: ServerResponse[] = []

  async start(t: Cleanup): Promise<this> {
    this.address = await serve(t, (req, res) => {
      res.setHeader('Content-Type', 'application/json')
      if (req.method === 'POST') this.#held.push(res)
      else res.end(JSON.stringify({ object: 'list', data: [{ id: 'm' }] }))
    })
    return this
  }

  /** An entry of the services file, with one place. */
  get entry(): object {
    return { name: 'narrow', url: `http://${this.address}`, concurrency: 1 }
  }

  /** As soon as this many requests are held. */
  async holds(count: number): Promise<void> {
    await eventually(() => this.#held.length >= count)
  }

  /** Answers the oldest request that it holds. */
  async letGo(): Promise<void> {
    await this.holds(1)
    const usage = { prompt_tokens: 3, completion_tokens: 5 }
    this.#held.shift()!.end(JSON.stringify({ model: 'm', choices: [], usage }))
  }
}

interface Scene {
  readonly service: HoldingService
  readonly gateway: Gateway
}

async function narrow(t: Cleanup, env: Record<string, string> = {}): Promise<Scene> {
  const service = await new HoldingService().start(t)
  return { service, gateway: await startGateway(t, { services: [service.entry], env }) }
}

interface Asking {
  /** The caller's address is 127.0.1.this; default: 1. */
  readonly caller?: number
  readonly id?: string
  readonly agent?: Agent
  readonly signal?: AbortSignal
}

function ask({ url }: Gateway, { caller = 1, id = randomUUID(), agent, signal }: Asking = {}): Promise<Answer> {
  const answer = post(
    `${url}/v1/chat/completions`,
    { model: 'm', messages: [] },
    {
      headers: { 'X-Request-Id': id },
      ...(agent ? { agent } : { localAddress: `127.0.1.${caller}` }),
      ...(signal && { signal }),
    },
  )
  answer.catch(() => undefined)
  return answer
}

interface ToldQueue {
  readonly waiting: number
  readonly limit: number
  readonly pools: readonly {
    readonly name: string
    readonly waiting: number
    readonly callers: readonly { readonly caller: string; readonly waiting: number; readonly running: number }[]
  }[]
}

async function queueOf({ url }: Gateway): Promise<ToldQueue> {
  return (await request(`${url}/stats`)).json<{ queue: ToldQueue }>().queue
}

async function waitingIs(gateway: Gateway, count: number): Promise<ToldQueue> {
  const look = async (): Promise<ToldQueue | undefined> => {
    const queue = await queueOf(gateway)
    return queue.waiting === count ? queue : undefined
  }
  return eventually(look, { what: `${count} requests that wait` })
}

/** Series of `/metrics` whose names begin so, without what all of those of the queue begin with. */
async function seriesOf({ url }: Gateway, name: string): Promise<string[]> {
  const lines = (await request(`${url}/metrics`)).text.split('\n')
  const prefix = 'infernet_gateway_queue_'
  return lines.filter((line) => line.startsWith(prefix + name)).map((line) => line.slice(prefix.length))
}

const POOL = 'pool="model m"'

/** How many requests got no place, by the reason. */
async function refusals(gateway: Gateway): Promise<string[]> {
  const series = await seriesOf(gateway, `refusals_total{${POOL},`)
  return series.map((line) => line.replace(/^.*reason="(\w+)"\} /, '$1 ')).sort()
}

suite('the queue, as operators see it', { concurrency: true }, () => {
  test('/stats tells who waits, next to whom and for what, as it is described', async (t) => {
    const { service, gateway } = await narrow(t, { QUEUE_SIZE: '40' })
    const answers = [ask(gateway)]
    await service.holds(1)
    for (const [caller, waiting] of [
      [2, 1],
      [3, 2],
      [2, 3],
    ] as const) {
      answers.push(ask(gateway, { caller }))
      await waitingIs(gateway, waiting)
    }
    const queue = await queueOf(gateway)
    const { Stats } = description.components['schemas'] as { Stats: Required<Schema> }
    assert.deepEqual(problems(description, Stats.properties['queue']!, queue, 'queue'), [])
    assert.deepEqual([queue.waiting, queue.limit], [3, 40])
    const [pool] = queue.pools
    assert.deepEqual([pool!.name, pool!.waiting], ['model m', 3])
    assert.deepEqual(
      pool!.callers.map(({ caller, waiting, running }) => [caller, waiting, running]),
      [
        ['127.0.1.2', 2, 0],
        ['127.0.1.3', 1, 0],
        ['127.0.1.1', 0, 1],
      ],
    )
    for (let n = 0; n < 4; n++) await service.letGo()
    for (const answer of answers) assert.equal((await answer).status, 200)
    assert.equal((await queueOf(gateway)).waiting, 0)
  })

  test('/metrics tells how many wait, and counts those without a place by the reason', async (t) => {
    const { service, gateway } = await narrow(t, { QUEUE_SIZE: '2' })
    const first = ask(gateway)
    await service.holds(1)
    const leaving = new AbortController()
    const left = ask(gateway, { caller: 2, signal: leaving.signal })
    await waitingIs(gateway, 1)
    const placed = ask(gateway, { caller: 3 })
    await waitingIs(gateway, 2)
    assert.equal((await ask(gateway, { caller: 4 })).status, 429)
    assert.deepEqual(await seriesOf(gateway, 'length'), [`length{${POOL}} 2`])
    assert.deepEqual(await seriesOf(gateway, 'limit'), ['limit 2'])
    leaving.abort()
    await assert.rejects(left)
    await waitingIs(gateway, 1)
    await service.letGo()
    await service.letGo()
    assert.deepEqual([(await first).status, (await placed).status], [200, 200])
    assert.deepEqual(await seriesOf(gateway, 'length'), [`length{${POOL}} 0`])
    assert.deepEqual(await refusals(gateway), ['full 1', 'left 1', 'no_backend 0', 'timeout 0'])
    const [count] = await seriesOf(gateway, `wait_seconds_count{${POOL},priority="normal"}`)
    assert.equal(count, `wait_seconds_count{${POOL},priority="normal"} 2`)
  })

  test('a wait that took QUEUE_TIMEOUT shows in /metrics and in the line of its request', async (t) => {
    const { service, gateway } = await narrow(t, { QUEUE_TIMEOUT: '0.3', ACCESS_LOG: 'all' })
    void ask(gateway)
    await service.holds(1)
    const id = randomUUID()
    assert.equal((await ask(gateway, { id })).status, 503)
    assert.deepEqual(await refusals(gateway), ['full 0', 'left 0', 'no_backend 0', 'timeout 1'])
    const [sum] = await seriesOf(gateway, `wait_seconds_sum{${POOL},priority="normal"}`)
    assert.ok(Number(sum!.split(' ').at(-1)) >= 0.29, sum)
    const { queueMs } = await gateway.waitForLog(({ requestId }) => requestId === id)
    assert.ok(Number(queueMs) >= 290, `${String(queueMs)} ms`)
  })

  test('the line of a request says how long it waited, also where its client left meanwhile', async (t) => {
    const { service, gateway } = await narrow(t, { ACCESS_LOG: 'all' })
    const lineOf = (id: string): Promise<LogLine> => gateway.waitForLog(({ requestId }) => requestId === id)
    const [waited, gone] = [randomUUID(), randomUUID()]
    const first = ask(gateway)
    await service.holds(1)
    const second = ask(gateway, { id: waited })
    const leaving = new AbortController()
    const left = ask(gateway, { id: gone, signal: leaving.signal })
    await waitingIs(gateway, 2)
    const waitsSince = performance.now()
    leaving.abort()
    await assert.rejects(left)
    await waitingIs(gateway, 1)
    const line = await lineOf(gone)
    assert.deepEqual([line.message, line['status']], ['client left', 0])
    assert.ok(Number(line['queueMs']) > 0)
    const leastMs = performance.now() - waitsSince
    await service.letGo()
    await service.letGo()
    await Promise.all([first, second])
    assert.ok(Number((await lineOf(waited))['queueMs']) >= Math.floor(leastMs))
  })

  test('the trace of a request has its wait, also where its client left meanwhile', async (t) => {
    const collector = await new Collector().start(t)
    const { service, gateway } = await narrow(t, {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${collector.address}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    })
    const [waited, gone] = [randomUUID(), randomUUID()]
    const first = ask(gateway)
    await service.holds(1)
    const second = ask(gateway, { id: waited })
    const leaving = new AbortController()
    const left = ask(gateway, { id: gone, signal: leaving.signal })
    await waitingIs(gateway, 2)
    leaving.abort()
    await assert.rejects(left)
    await waitingIs(gateway, 1)
    await service.letGo()
    await service.letGo()
    await Promise.all([first, second])
    const whole = 'POST /v1/chat/completions'
    const spans = await collector.trace(traceOf(waited), 3)
    assert.deepEqual(treeOf(spans), [`${whole} < nobody`, `chat m < ${whole}`, `wait for place < ${whole}`])
    assert.deepEqual(treeOf(await collector.trace(traceOf(gone), 2)), [
      `${whole} < nobody`,
      `wait for place < ${whole}`,
    ])
    const [wait, attempt] = ['wait for place', 'chat m'].map((name) => spans.find((span) => span.name === name)!)
    assert.ok(BigInt(attempt!.startTimeUnixNano) >= BigInt(wait!.startTimeUnixNano))
  })

  test('where requests never wait, /stats says null and /metrics nothing', async (t) => {
    const { gateway } = await narrow(t, { QUEUE_SIZE: '0' })
    assert.equal(await queueOf(gateway), null)
    assert.deepEqual(await seriesOf(gateway, ''), [])
  })

  describe('of several workers', () => {
    test('adds up: what waits at each of them, and how much may', async (t) => {
      const service = await new HoldingService().start(t)
      const gateway = await startCrew(t, [], { QUEUE_SIZE: '10' }, { services: [service.entry] })
      const clients = connections(t, 6)
      // Each worker has a place of its own.
      const answers: Promise<Answer>[] = []
      for (const agent of clients) {
        answers.push(ask(gateway, { agent }))
        const { length } = answers
        if (length <= 2) await service.holds(length)
        else await waitingIs(gateway, length - 2)
      }
      const { waiting, pools } = await queueOf(gateway)
      const [{ callers, ...pool }] = pools as [ToldQueue['pools'][number]]
      assert.deepEqual([waiting, pools.length, pool.waiting], [4, 1, 4])
      assert.deepEqual(
        callers.map(({ caller, waiting, running }) => [caller, waiting, running]),
        [['127.0.0.1', 4, 2]],
      )
      assert.deepEqual(await seriesOf(gateway, 'length'), [`length{${POOL}} 4`])
      for (let n = 0; n < 6; n++) await service.letGo()
      for (const answer of answers) assert.equal((await answer).status, 200)
      const [count] = await seriesOf(gateway, `wait_seconds_count{${POOL},priority="normal"}`)
      assert.equal(count, `wait_seconds_count{${POOL},priority="normal"} 4`)
    })
  })
})
