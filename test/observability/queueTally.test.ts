import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Registry } from 'prom-client'
import { QueueTally } from '../../src/observability/queueTally.ts'
import { callerOf, poolOf, StandingQueue } from '../kit/builders/queues.ts'

/** A queue whose metrics a registry has. */
function watched(...args: ConstructorParameters<typeof StandingQueue>): { queue: StandingQueue; registry: Registry } {
  const queue = new StandingQueue(...args)
  const registry = new Registry()
  new QueueTally(registry, queue)
  return { queue, registry }
}

const PREFIX = 'infernet_gateway_queue_'

/** The series whose names, without what all of them begin with, begin so. */
async function seriesOf(registry: Registry, name: string): Promise<string[]> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith(PREFIX + name))
  return lines.map((line) => line.slice(PREFIX.length))
}

describe('the gauges of the queue', () => {
  test('tell by pool how many wait, how long, of how many, and what callers got', async () => {
    const { registry } = watched([
      poolOf({
        ...{ waiting: 3, longestWaitSeconds: 2.5, idlePlaces: 1, fairness: 0.8 },
        // One that waits in two priorities has the same work in both.
        callers: [
          callerOf('name:alice', { waiting: 2, recentWork: 120 }),
          callerOf('name:alice', { waiting: 1, recentWork: 120, priority: 'low' }),
          callerOf('192.0.2.1', { recentWork: 40 }),
        ],
      }),
      poolOf({ name: 'container a' }),
    ])
    const gauges = (await seriesOf(registry, '')).filter((line) => !/^(wait_seconds|refusals)/.test(line))
    assert.deepEqual(gauges, [
      'length{pool="model m"} 3',
      'length{pool="container a"} 0',
      'limit 1000',
      'longest_wait_seconds{pool="model m"} 2.5',
      'longest_wait_seconds{pool="container a"} 0',
      'idle_places{pool="model m"} 1',
      'idle_places{pool="container a"} 0',
      'fairness{pool="model m"} 0.8',
      'attained_work{pool="model m",caller="name:alice"} 120',
      'attained_work{pool="model m",caller="192.0.2.1"} 40',
    ])
  })

  test('say 0 of a pool that is empty again and no longer shown, and of its callers nothing', async () => {
    const { queue, registry } = watched([
      poolOf({ waiting: 2, longestWaitSeconds: 1, callers: [callerOf('name:alice', { recentWork: 5 })] }),
    ])
    assert.deepEqual(await seriesOf(registry, 'length'), ['length{pool="model m"} 2'])
    queue.pools = []
    assert.deepEqual(await seriesOf(registry, 'length'), ['length{pool="model m"} 0'])
    assert.deepEqual(await seriesOf(registry, 'longest'), ['longest_wait_seconds{pool="model m"} 0'])
    assert.deepEqual(await seriesOf(registry, 'attained'), [])
  })

  test('count pools beyond a hundred, and those that the snapshot leaves out, as one', async () => {
    const pools = Array.from({ length: 102 }, (_, n) =>
      poolOf({ name: `model ${n}`, waiting: 1, longestWaitSeconds: n, fairness: 0.5 }),
    )
    const { queue, registry } = watched(pools)
    queue.hidden = 5
    const lengths = await seriesOf(registry, 'length')
    assert.equal(lengths.length, 101)
    assert.equal(lengths.at(-1), 'length{pool="other"} 7')
    assert.equal((await seriesOf(registry, 'longest')).at(-1), 'longest_wait_seconds{pool="other"} 101')
    assert.equal((await seriesOf(registry, 'fairness')).length, 100)
  })

  test('have a bounded number of callers; those of a pool that are beyond it count together', async () => {
    const { queue, registry } = watched()
    for (let n = 0; n < 30; n++) {
      const callers = Array.from({ length: 20 }, (_, place) => callerOf(`192.0.${n}.${place}`, { recentWork: 1 }))
      queue.pools = [poolOf({ name: `model ${n}`, callers })]
      const series = await seriesOf(registry, 'attained')
      if (n < 10) assert.equal(series.length, 20)
      else assert.deepEqual(series, [`attained_work{pool="model ${n}",caller="other"} 20`])
    }
  })

  test('are filled from one look at the queue', async () => {
    const { queue, registry } = watched([poolOf()])
    let looks = 0
    queue.snapshot = () => {
      looks++
      return { waiting: 0, limit: 1, pools: [] }
    }
    await registry.metrics()
    assert.equal(looks, 1)
  })
})

describe('the end of a wait', () => {
  test('counts by pool and priority, however the wait ended', async () => {
    const { queue, registry } = watched()
    queue.waited({ seconds: 0.2 })
    queue.waited({ seconds: 60, end: 'timedOut' })
    queue.waited({ seconds: 3, end: 'left', priority: 'low' })
    const counted = (await seriesOf(registry, 'wait_seconds')).filter((line) => !line.includes('bucket'))
    assert.deepEqual(counted, [
      'wait_seconds_sum{pool="model m",priority="high"} 0',
      'wait_seconds_count{pool="model m",priority="high"} 0',
      'wait_seconds_sum{pool="model m",priority="normal"} 60.2',
      'wait_seconds_count{pool="model m",priority="normal"} 2',
      'wait_seconds_sum{pool="model m",priority="low"} 3',
      'wait_seconds_count{pool="model m",priority="low"} 1',
    ])
    const buckets = await seriesOf(registry, 'wait_seconds_bucket{le="0.25",pool="model m",priority="normal"}')
    assert.deepEqual(buckets, ['wait_seconds_bucket{le="0.25",pool="model m",priority="normal"} 1'])
  })

  test('without a place counts as a refusal, by its reason, and one without room is no wait', async () => {
    const { queue, registry } = watched()
    for (const end of ['refused', 'refused', 'timedOut', 'left', 'noBackend', 'placed'] as const) queue.waited({ end })
    const first = [
      'refusals_total{pool="model m",reason="full"} 2',
      'refusals_total{pool="model m",reason="timeout"} 1',
      'refusals_total{pool="model m",reason="no_backend"} 1',
      'refusals_total{pool="model m",reason="left"} 1',
    ]
    assert.deepEqual(await seriesOf(registry, 'refusals'), first)
    assert.deepEqual(await seriesOf(registry, 'wait_seconds_count{pool="model m",priority="normal"}'), [
      'wait_seconds_count{pool="model m",priority="normal"} 4',
    ])
    queue.waited({ end: 'refused' })
    assert.deepEqual((await seriesOf(registry, 'refusals'))[0], first[0]!.replace(' 2', ' 3'))
  })
})
