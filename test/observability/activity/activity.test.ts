import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Request, Response } from 'express'
import { describe, test } from 'node:test'
import { FAULTS, GatewayFault, type FaultCode } from '../../../src/faults.ts'
import { contextOf, type RequestContext } from '../../../src/http/context.ts'
import { Activity } from '../../../src/observability/activity/activity.ts'
import { LATENCY_BUCKETS, bucketOf, quantile } from '../../../src/observability/activity/latencies.ts'
import { cacheColumnsByService, toldWork } from '../../../src/observability/activity/report.ts'
import type { LiveJobs } from '../../../src/jobs/liveJobs.ts'
import { servedBy } from '../../kit/builders/served.ts'

/** An activity whose clock the test sets, at first in the middle of a period. */
function newActivity(): { activity: Activity; wait: (seconds: number) => void } {
  let now = 100_005
  return { activity: new Activity(() => now), wait: (seconds) => void (now += seconds) }
}

interface Ended {
  status?: number
  fault?: FaultCode
  context?: Partial<RequestContext>
}

/** A request that ended so. */
function ended(activity: Activity, { status = 200, fault, context }: Ended = {}): void {
  const req = { headers: {}, socket: {} } as unknown as Request
  Object.assign(contextOf(req), context)
  if (fault) contextOf(req).fault = new GatewayFault(fault)
  activity.observe(req, { headersSent: true, statusCode: fault ? FAULTS[fault].status : status } as Response)
}

interface Told {
  activity: {
    newest_seconds: number
    counted_seconds: number
    p50: (number | null)[]
    p95_of_all: number | null
    faults: Record<string, { source: string; counts: number[] }>
    [series: string]: unknown
  }
  models: Record<string, unknown>[]
  containers: Record<string, unknown>[]
  caches: Record<string, unknown>[]
}

const NO_CACHES = { cache_hit_rate: null, warm_share: null, first_token_p50: null, first_token_p95: null }

const told = (activity: Activity): Told => toldWork(activity.raw()) as unknown as Told
const total = (series: unknown): number => (series as number[]).reduce((sum, value) => sum + value, 0)
const last = (series: unknown): unknown => (series as unknown[]).at(-1)

describe('what clients got in the last 15 minutes', () => {
  test('is counted by who is to blame', () => {
    const { activity } = newActivity()
    ended(activity)
    ended(activity, { status: 404 })
    ended(activity, { status: 500 })
    ended(activity, { status: 429 })
    ended(activity, { fault: 'ERR_RATE_LIMITED' })
    ended(activity, { fault: 'ERR_LOOP' })
    ended(activity, { fault: 'ERR_NODE_BUSY' })
    ended(activity, { fault: 'ERR_NO_NODE' })
    ended(activity, { fault: 'ERR_CLIENT_GONE' })
    ended(activity, { context: { items: [{ containers: ['a'], outcome: 'failed', fault: 'ERR_NODE_RESET' }] } })
    ended(activity, { context: { items: [{ containers: ['a'], outcome: 'refused', fault: 'ERR_BAD_SHAPE' }] } })
    const { succeeded, refused, failed, left, faults } = told(activity).activity
    assert.deepEqual([succeeded, refused, failed, left].map(total), [2, 3, 5, 1])
    assert.deepEqual(
      Object.fromEntries(Object.entries(faults).map(([code, { counts }]) => [code, total(counts)])),
      Object.fromEntries(
        [
          ...['ERR_BAD_SHAPE', 'ERR_RATE_LIMITED', 'ERR_LOOP', 'ERR_NO_NODE', 'ERR_NODE_BUSY', 'ERR_NODE_RESET'],
          'ERR_CLIENT_GONE',
        ].map((code) => [code, 1]),
      ),
    )
  })

  test('leaves out the pages of the gateway itself', () => {
    const { activity } = newActivity()
    ended(activity, { status: 503, context: { isOwnPage: true } })
    assert.equal(total(told(activity).activity['failed']), 0)
  })

  test('moves on by periods of ten seconds, and is forgotten after 90 of them', () => {
    const { activity, wait } = newActivity()
    ended(activity)
    assert.equal(last(told(activity).activity['succeeded']), 1)
    wait(10)
    ended(activity, { status: 500 })
    const { succeeded, failed, newest_seconds, counted_seconds } = told(activity).activity
    assert.deepEqual((succeeded as number[]).slice(-2), [1, 0])
    assert.deepEqual((failed as number[]).slice(-2), [0, 1])
    assert.deepEqual([newest_seconds, counted_seconds], [5, 10])
    wait(880)
    assert.equal((told(activity).activity['succeeded'] as number[])[0], 1)
    wait(10)
    assert.equal(total(told(activity).activity['succeeded']), 0)
    assert.equal((told(activity).activity['failed'] as number[])[0], 1)
    wait(1e6)
    assert.equal(total(told(activity).activity['failed']), 0)
    assert.equal(told(activity).activity.counted_seconds, 900)
    assert.equal((succeeded as number[]).length, 90)
  })

  test('has a median of what backends served, and none where they served nothing', () => {
    const { activity, wait } = newActivity()
    for (const seconds of [0.1, 0.2, 0.2, 0.2, 4]) {
      ended(activity, { context: { node: 'n', startedAt: performance.now() - seconds * 1000 } })
    }
    ended(activity, { context: { startedAt: performance.now() - 1e6 } })
    wait(10)
    const { p50, p95_of_all } = told(activity).activity
    assert.equal(p50.at(-1), null)
    const median = p50.at(-2)!
    assert.ok(median > 0.14 && median < 0.27, `${median}`)
    assert.ok(p95_of_all! > 3 && p95_of_all! < 6, `${p95_of_all}`)
  })

  test('counts jobs as they end and are run again', () => {
    const { activity } = newActivity()
    const live = new EventEmitter()
    activity.listen(live as unknown as LiveJobs, new EventEmitter())
    const job = { record: { containers: ['one', 'two', 'one'] } }
    live.emit('ended', job, { state: 'success' })
    live.emit('ended', job, { state: 'failed' })
    live.emit('rerun', job)
    const { activity: counts, containers } = told(activity)
    for (const counter of ['jobs_succeeded', 'jobs_failed', 'jobs_rerun']) {
      assert.equal(total(counts[counter]), 1)
      assert.deepEqual(
        containers.map((row) => [row['name'], row[counter]]),
        [
          ['one', 1],
          ['two', 1],
        ],
      )
    }
  })
})

describe('the tables of models and containers', () => {
  const served = (model: string, firstByteSeconds = 0.2): Ended => ({ context: { model, node: 'n', firstByteSeconds } })

  test('tell requests, errors, tokens and the time to the first byte of the last 15 minutes', () => {
    const { activity, wait } = newActivity()
    const openai = new EventEmitter()
    activity.listen(new EventEmitter() as unknown as LiveJobs, openai as never)
    for (let n = 0; n < 3; n++) ended(activity, served('m'))
    ended(activity, { ...served('m'), fault: 'ERR_NODE_BROKE' })
    ended(activity, { ...served('m'), status: 400 })
    openai.emit('served', { model: 'm', usage: { promptTokens: 7, completionTokens: 9 } })
    openai.emit('served', { model: 'm' })
    ended(activity, { context: { containers: ['c', 'd'], node: 'n' } })
    const { models, containers } = told(activity)
    const [{ first_byte_p50, first_byte_p95, ...row } = {}] = models
    assert.deepEqual(row, {
      ...{ name: 'm', requests: 5, refused: 1, failed: 1, prompt_tokens: 7, completion_tokens: 9 },
      ...NO_CACHES,
    })
    for (const seconds of [first_byte_p50, first_byte_p95]) {
      assert.ok((seconds as number) > 0.14 && (seconds as number) < 0.27, `${seconds as number}`)
    }
    assert.deepEqual(
      containers.map(({ name, requests, first_byte_p50 }) => [name, requests, first_byte_p50]),
      [
        ['c', 1, null],
        ['d', 1, null],
      ],
    )
    wait(16 * 60)
    assert.deepEqual(told(activity).models, [])
  })

  test('have no row for a name that only the client knows', () => {
    const { activity } = newActivity()
    ended(activity, { context: { model: 'made-up' }, fault: 'ERR_MODEL_NOT_FOUND' })
    assert.deepEqual(told(activity).models, [])
    ended(activity, { context: { model: 'is-down' }, fault: 'ERR_NO_SERVICE' })
    assert.equal(told(activity).models[0]!['name'], 'is-down')
  })

  test('have a hundred rows, the others together in one, and lose no count', () => {
    const { activity, wait } = newActivity()
    for (let n = 0; n < 250; n++) {
      wait(0.1)
      ended(activity, served(`model-${n}`))
      // One that is asked for all the time keeps its row.
      ended(activity, served('busy'))
    }
    const { models } = told(activity)
    assert.equal(models.length, 101)
    assert.deepEqual([models[0]!['name'], models[0]!['requests']], ['busy', 250])
    assert.deepEqual([models[100]!['name'], models[100]!['requests']], [null, 151])
    assert.equal(
      models.reduce((sum, row) => sum + (row['requests'] as number), 0),
      500,
    )
  })

  test('cut names that are too long', () => {
    const { activity } = newActivity()
    ended(activity, served('x'.repeat(10_000)))
    assert.equal((told(activity).models[0]!['name'] as string).length, 201)
  })
})

describe('times in buckets', () => {
  test('are found again within 30 %, from a millisecond to minutes', () => {
    for (const seconds of [0.0011, 0.01, 0.35, 1, 17, 299]) {
      const counts = new Array<number>(LATENCY_BUCKETS).fill(0)
      counts[bucketOf(seconds)] = 9
      const found = quantile(counts, 0.5)!
      assert.ok(Math.abs(found / seconds - 1) <= 0.3, `${seconds} is told as ${found}`)
    }
    assert.equal(bucketOf(0), 0)
    assert.equal(bucketOf(1e9), LATENCY_BUCKETS - 1)
    assert.equal(quantile([0, 0], 0.5), null)
  })
})

describe('the table of caches', () => {
  /** An activity that is told of answers. */
  function listening(): ReturnType<typeof newActivity> & { openai: EventEmitter } {
    const made = newActivity()
    const openai = new EventEmitter()
    made.activity.listen(new EventEmitter() as unknown as LiveJobs, openai as never)
    return { ...made, openai }
  }

  test('tells hit rate, warm share and time to the first token of the last 15 minutes, by service, by model and by both', () => {
    const { activity, wait, openai } = listening()
    const usage = { promptTokens: 100, completionTokens: 1, cachedTokens: 90 }
    openai.emit('served', servedBy('a', { usage, isWarm: true, firstTokenSeconds: 0.2 }))
    openai.emit('served', servedBy('a', { usage: { ...usage, cachedTokens: 0 }, isWarm: false }))
    openai.emit('served', servedBy('b', { usage: { promptTokens: 100, completionTokens: 1 }, isWarm: true }))
    openai.emit('served', servedBy('b', { model: 'other', isWarm: false }))
    ended(activity, { context: { model: 'm', node: 'a' } })
    const { models, caches } = told(activity)
    assert.deepEqual([models[0]!['cache_hit_rate'], models[0]!['warm_share']], [0.45, 0.6667])
    const median = models[0]!['first_token_p50'] as number
    assert.ok(median > 0.15 && median < 0.26, `${median}`)
    assert.deepEqual(
      caches.map(({ service, model, prompt_tokens, cached_tokens, requests, warm }) => [
        ...[service, model, prompt_tokens, cached_tokens, requests, warm],
      ]),
      [
        ['a', 'm', 200, 90, 2, 1],
        ['b', 'm', 0, 0, 1, 1],
        ['b', 'other', 0, 0, 1, 0],
      ],
    )
    const columnsOf = cacheColumnsByService(activity.raw().caches)
    assert.deepEqual(columnsOf('b'), { ...NO_CACHES, warm_share: 0.5 })
    assert.deepEqual(columnsOf('c'), NO_CACHES)
    wait(900)
    assert.deepEqual(told(activity).caches, [])
  })

  test('has two hundred rows at most, and one of all others', () => {
    const { activity, wait, openai } = listening()
    for (let n = 0; n < 250; n++) {
      openai.emit('served', servedBy('a', { model: `model ${n}`, isWarm: true }))
      wait(0.1)
    }
    const { caches } = told(activity)
    assert.equal(caches.length, 201)
    const { service, model, requests } = caches.at(-1)!
    assert.deepEqual([service, model, requests], [null, null, 50])
  })
})
