import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundedQueue, toldQueue } from '../../src/observability/queueStats.ts'
import type { Schema } from '../../src/openapi/openApi.ts'
import { callerOf, poolOf, StandingQueue } from '../kit/builders/queues.ts'
import { problems } from '../openapi/conformance.ts'
import { description } from '../openapi/document.ts'

/** What is wrong with what is told of a queue, by the description of `/stats`. */
function problemsOf(told: unknown): string[] {
  const { Stats } = description.components['schemas'] as { Stats: Required<Schema> }
  return problems(description, Stats.properties['queue']!, told, 'queue')
}

test('/stats tells of the queue as it is described, with null where nothing is known', () => {
  const alice = callerOf('name:alice', {
    ...{ priority: 'high', weight: 2, waiting: 2, running: 1 },
    ...{ longestWaitSeconds: 1.23456, recentWork: 99.98765, lossRatio: 0.1 },
  })
  const pools = [
    poolOf({ waiting: 2, longestWaitSeconds: 1.23456, idlePlaces: 1, fairness: 2 / 3, callers: [alice] }),
    poolOf({ name: 'container a' }),
  ]
  const told = toldQueue(new StandingQueue(pools, 50))
  assert.deepEqual(told, {
    waiting: 2,
    limit: 50,
    pools: [
      {
        ...{ name: 'model m', waiting: 2, longest_wait: 1.2346, idle_places: 1, fairness: 0.6667 },
        priorities: { high: 0, normal: 2, low: 0 },
        callers: [
          {
            ...{ caller: 'name:alice', priority: 'high', weight: 2, waiting: 2, running: 1 },
            ...{ longest_wait: 1.2346, recent_work: 99.9877, loss_ratio: 0.1 },
          },
        ],
      },
      {
        ...{ name: 'container a', waiting: 0, longest_wait: 0, idle_places: 0, fairness: null },
        ...{ priorities: { high: 0, normal: 0, low: 0 }, callers: [] },
      },
    ],
  })
  assert.deepEqual(problemsOf(told), [])
})

test('where requests never wait, the queue is null', () => {
  assert.equal(toldQueue(undefined), null)
  assert.equal(boundedQueue(null), null)
  assert.deepEqual(problemsOf(null), [])
})

test('of several workers no more pools and callers are shown than of one', () => {
  const callers = Array.from({ length: 25 }, (_, n) => callerOf(`192.0.2.${n}`))
  const pools = Array.from({ length: 101 }, (_, n) => poolOf({ name: `model ${n}`, callers }))
  const shown = boundedQueue(toldQueue(new StandingQueue(pools)) as never) as unknown as {
    limit: number
    pools: { name: string; callers: { caller: string }[] }[]
  }
  assert.deepEqual([shown.limit, shown.pools.length, shown.pools[0]!.callers.length], [1000, 100, 20])
  assert.deepEqual([shown.pools[99]!.name, shown.pools[0]!.callers[19]!.caller], ['model 99', '192.0.2.19'])
})
