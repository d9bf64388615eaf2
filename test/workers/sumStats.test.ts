import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { sumStats } from '../../src/workers/sumStats.ts'

const ACTIVITY = { period_seconds: 10, newest: 50, newest_seconds: 2, counted_seconds: 30 }

/** What a worker tells of two periods. */
function activityOf(failed: number[], more: object = {}): object {
  return { ...ACTIVITY, counts: { failed }, faults: {}, latencies: failed.map((count) => [count, 0]), ...more }
}

const sumOf = (...workers: object[]): Record<string, unknown> =>
  sumStats(
    workers.map((worker) => ({ services: [], ...worker })),
    workers.length,
  )

describe('the activity of several workers', () => {
  test('adds up period by period', () => {
    const { activity } = sumOf(
      { activity: activityOf([1, 2], { faults: { ERR_LEDGER: [0, 2] } }) },
      { activity: activityOf([10, 20], { counted_seconds: 40, newest_seconds: 3 }) },
    )
    assert.deepEqual(activity, {
      ...ACTIVITY,
      newest_seconds: 3,
      counted_seconds: 40,
      counts: { failed: [11, 22] },
      faults: { ERR_LEDGER: [0, 2] },
      latencies: [
        [11, 0],
        [22, 0],
      ],
    })
  })

  test('is that of the same time, also where one of them was asked earlier', () => {
    const { activity } = sumOf(
      { activity: activityOf([1, 2], { newest: 49, newest_seconds: 9 }) },
      { activity: activityOf([10, 20]) },
      { activity: activityOf([100, 200], { newest: 7 }) },
    )
    const { counts, newest, newest_seconds, latencies } = activity as Record<string, unknown>
    assert.deepEqual([counts, newest, newest_seconds], [{ failed: [12, 20] }, 50, 2])
    assert.deepEqual(latencies, [
      [12, 0],
      [20, 0],
    ])
  })
})

test('the rows of models and containers add up by name, those of all others too', () => {
  const row = (name: string | null, requests: number): object => ({
    name,
    succeeded: requests,
    first_byte: [requests, 1],
  })
  const { models, containers } = sumOf(
    { models: [row('a', 1), row(null, 5)], containers: [row('c', 1)] },
    { models: [row('b', 2), row('a', 3), row(null, 6)], containers: [] },
  )
  assert.deepEqual(models, [
    { name: 'a', succeeded: 4, first_byte: [4, 2] },
    { name: null, succeeded: 11, first_byte: [11, 2] },
    { name: 'b', succeeded: 2, first_byte: [2, 1] },
  ])
  assert.deepEqual(containers, [row('c', 1)])
})

test('what caches did adds up by service and model', () => {
  const row = (service: string | null, warm: number): object => ({
    service,
    model: service && 'm',
    warm,
    first_token: [warm, 1],
  })
  const { caches } = sumOf(
    { caches: [row('a', 1), row(null, 5)] },
    { caches: [row('b', 2), row('a', 3), row(null, 6)] },
  )
  assert.deepEqual(caches, [
    { service: 'a', model: 'm', warm: 4, first_token: [4, 2] },
    { service: null, model: null, warm: 11, first_token: [11, 2] },
    { service: 'b', model: 'm', warm: 2, first_token: [2, 1] },
  ])
})

describe('a backend that workers see differently', () => {
  const services = (...each: object[]): Record<string, unknown> => {
    const told = sumOf(...each.map((one) => ({ services: [{ name: 'n', ...one }] })))
    return (told['services'] as Record<string, unknown>[])[0]!
  }

  test('is down since the first of them could not reach it, if none can', () => {
    const early = { healthy: false, down_since: '2026-01-01T00:00:00.000Z', last_asked: '2026-01-01T00:00:01.000Z' }
    const late = { healthy: false, down_since: '2026-01-02T00:00:00.000Z', last_asked: null }
    const { down_since, last_asked } = services(late, early)
    assert.deepEqual([down_since, last_asked], [early.down_since, early.last_asked])
  })

  test('is not down, and not for want of polls avoided, if one of them reaches it', () => {
    const why = (...causes: string[]): object => ({
      why_avoided: causes.map((cause) => ({ cause, kind: null, text: `${cause}!`, until: null })),
    })
    const { down_since, why_avoided, reason } = services(
      { healthy: false, reason: 'refused', down_since: '2026-01-01T00:00:00.000Z', ...why('down', 'failing') },
      { healthy: true, down_since: null, ...why('failing', 'slow') },
    )
    assert.deepEqual([down_since, reason], [null, undefined])
    assert.deepEqual(
      (why_avoided as { cause: string }[]).map(({ cause }) => cause),
      ['failing', 'slow'],
    )
  })

  test('has the service time and the concurrency that were learnt, not the defaults of those who learnt nothing', () => {
    const learnt = { service_time: 0.2, service_time_from: 'learnt', concurrency: 2, concurrency_from: 'learnt' }
    const other = { service_time: 1, service_time_from: 'default', concurrency: 3, concurrency_from: 'default' }
    const { service_time, service_time_from, concurrency, concurrency_from } = services(other, learnt)
    assert.deepEqual([service_time, service_time_from, concurrency, concurrency_from], [0.2, 'learnt', 2, 'learnt'])
  })
})

describe('the queues of several workers', () => {
  const caller = (name: string, more: object = {}): object => ({
    ...{ caller: name, priority: 'normal', weight: 1, waiting: 1, running: 0 },
    ...{ longest_wait: 1, recent_work: 10, loss_ratio: 0, ...more },
  })
  const pool = (name: string, callers: object[], more: object = {}): object => ({
    ...{ name, waiting: callers.length, longest_wait: 1, idle_places: 0 },
    ...{ priorities: { high: 0, normal: callers.length, low: 0 }, fairness: null, callers, ...more },
  })
  const queueOf = (...pools: object[]): object => ({ queue: { waiting: 3, limit: 100, pools } })

  test('add up by pool and caller; the longest wait is the longest, and free places are those that one of them sees', () => {
    const alice = (more: object): object => caller('name:alice', more)
    const { queue } = sumOf(
      queueOf(
        pool('container a', [caller('b')], { fairness: 0.7 }),
        pool('model m', [alice({ waiting: 5 })], { waiting: 5, longest_wait: 9, idle_places: 2 }),
      ),
      queueOf(pool('model m', [alice({ running: 2, longest_wait: 4, loss_ratio: 0.2 })], { idle_places: 1 })),
    )
    assert.deepEqual(queue, {
      waiting: 6,
      limit: 200,
      pools: [
        pool('model m', [alice({ waiting: 6, running: 2, longest_wait: 4, recent_work: 20, loss_ratio: 0.1 })], {
          ...{ waiting: 6, longest_wait: 9, idle_places: 2, priorities: { high: 0, normal: 2, low: 0 } },
        }),
        pool('container a', [caller('b')], { fairness: 0.7 }),
      ],
    })
  })

  test('are as fair as the callers that wait have got together, over their weights', () => {
    const fairnessOf = (...workers: object[][]): unknown => {
      const { queue } = sumOf(...workers.map((callers) => queueOf(pool('model m', callers, { fairness: 0.1 }))))
      return (queue as { pools: { fairness: unknown }[] }).pools[0]!.fairness
    }
    // Each worker gave all to one of them; together they got the same.
    assert.equal(fairnessOf([caller('a'), caller('b', { recent_work: 0 })], [caller('b')]), 1)
    assert.equal(fairnessOf([caller('a', { recent_work: 20, weight: 2 })], [caller('b')]), 1)
    assert.equal(fairnessOf([caller('a', { recent_work: 20 })], [caller('b', { recent_work: 0 })]), 0.5)
    assert.equal(fairnessOf([caller('a')], [caller('b', { waiting: 0, recent_work: 90 })]), null)
    // One that waits in two priorities counts once, with all that it got.
    assert.equal(fairnessOf([caller('a'), caller('a', { priority: 'low' })], [caller('b')]), 1)
    // What one worker alone knows of stands.
    assert.equal(fairnessOf([caller('a'), caller('b')]), 0.1)
  })

  test('have those first that are next in one of them, and those last of which nothing waits', () => {
    const names = (queue: unknown): unknown =>
      (queue as { pools: { callers: { caller: string; priority: string }[] }[] }).pools[0]!.callers.map(
        ({ caller, priority }) => `${caller} ${priority}`,
      )
    const { queue } = sumOf(
      queueOf(pool('model m', [caller('a'), caller('b'), caller('idle', { waiting: 0 })])),
      queueOf(pool('model m', [caller('c'), caller('a', { priority: 'low' }), caller('d')])),
    )
    assert.deepEqual(names(queue), ['a normal', 'c normal', 'b normal', 'a low', 'd normal', 'idle normal'])
  })

  test('tell of a caller that waits in several priorities each time all that it has', () => {
    const both = (more: object): object[] => ['high', 'low'].map((priority) => caller('a', { priority, ...more }))
    const { queue } = sumOf(
      queueOf(pool('model m', both({ running: 1 }))),
      queueOf(pool('model m', [caller('a', { priority: 'high', running: 2, recent_work: 5 })])),
    )
    const [{ callers }] = (queue as { pools: [{ callers: object[] }] }).pools
    assert.deepEqual(callers, [
      caller('a', { priority: 'high', waiting: 2, running: 3, recent_work: 15 }),
      caller('a', { priority: 'low', waiting: 1, running: 3, recent_work: 15 }),
    ])
  })

  test('are null where requests never wait', () => {
    assert.equal(sumOf({ queue: null }, { queue: null })['queue'], null)
  })
})
