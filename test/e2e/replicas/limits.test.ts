/** Limits count over all replicas, however the load is divided among them. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { jobOf } from '../../kit/builders/jobs.ts'
import { startFakeNode, type LocalFakeNode } from '../../kit/fakeNode/index.ts'
import { request } from '../../kit/http.ts'
import { redisMissing } from '../../kit/redisServer.ts'
import { afterSuite, ended, submitted, submitTo } from '../jobs/support.ts'
import { LONG, startReplicas, type Replicas } from './support.ts'
import { eventually } from '../../kit/wait.ts'

const MOST_JOBS = 10
const PER_MINUTE = 300

describe('over three replicas', { skip: redisMissing }, () => {
  const cleanup = afterSuite()
  let node: LocalFakeNode
  let replicas: Replicas

  before(async () => {
    node = await startFakeNode({ rateLimit: 0, concurrency: 500 }, cleanup)
    const env = { MAX_JOBS_PER_CALLER: String(MOST_JOBS), RATELIMIT_REQS_PER_MIN: String(PER_MINUTE) }
    replicas = await startReplicas(cleanup, { count: 3, nodes: [node], env })
  })

  /** Sends requests at once, of which each replica gets its share; returns how many passed, and over how many seconds. */
  async function burst(from: string, shares: readonly number[]): Promise<{ passed: number; seconds: number }> {
    const startedAt = performance.now()
    const answers = await Promise.all(
      replicas.gateways.flatMap(({ url }, index) =>
        Array.from({ length: shares[index]! }, () =>
          request(`${url}/api/v1/containers`, { localAddress: from, timeoutMs: 60_000 }),
        ),
      ),
    )
    for (const { status, headers } of answers) {
      assert.ok(status === 200 || status === 429, String(status))
      if (status === 429) assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/)
    }
    const passed = answers.filter(({ status }) => status === 200).length
    return { passed, seconds: (performance.now() - startedAt) / 1000 }
  }

  for (const [name, shares] of [
    ['even', [150, 150, 150]],
    ['of 18 : 1 : 1', [405, 23, 22]],
    ['at one alone', [450, 0, 0]],
  ] as const) {
    test(`a load that is ${name} gets the places of one limit, and what it refills meanwhile`, async () => {
      // A replica that gets no answer from Redis for a tenth of a second counts alone: a machine that is busy with other things
      // may have that once, but not each time.
      const tries: string[] = []
      for (let n = 1; n <= 4; n++) {
        const { passed, seconds } = await burst(`127.0.${shares[2] + 2}.${n}`, shares)
        const refilled = (seconds * PER_MINUTE) / 60
        if (passed >= PER_MINUTE - 2 && passed <= PER_MINUTE + refilled + 2) return
        tries.push(`${passed} in ${seconds.toFixed(1)} s`)
      }
      assert.fail(tries.join(', '))
    })
  }

  test('MAX_JOBS_PER_CALLER is exact, also where all come at once', async () => {
    const from = '127.0.0.21'
    const answers = await Promise.all(
      replicas.gateways.flatMap((gateway) =>
        Array.from({ length: 10 }, (_, n) => submitTo(gateway, jobOf({ n, seconds: 60 }), { from })),
      ),
    )
    const accepted = answers.filter(({ status }) => status === 200)
    assert.equal(accepted.length, MOST_JOBS)
    for (const { status, headers } of answers) {
      if (status === 200) continue
      assert.equal(status, 429)
      assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/)
    }
    // Another caller has places of its own.
    await submitted(replicas.gateways[0]!, {}, { from: '127.0.0.22' })
  })

  test('a place is free for any replica once its job has ended', async () => {
    const from = '127.0.0.23'
    const [one, other] = replicas.gateways
    const ids = await Promise.all(Array.from({ length: MOST_JOBS }, () => submitted(one!, { seconds: 0.2 }, { from })))
    await ended(one!, ids, { from })
    const again = Array.from({ length: MOST_JOBS }, () => submitted(other!, { seconds: 60 }, { from }))
    assert.equal((await Promise.all(again)).length, MOST_JOBS)
    assert.equal((await submitTo(one!, jobOf(), { from })).status, 429)
  })

  test('a submission that came to nothing gives its place back', async () => {
    const from = '127.0.0.24'
    const [one, other] = replicas.gateways
    await node.answer(500, 'submit', { times: MOST_JOBS })
    const failed = await Promise.all(Array.from({ length: MOST_JOBS }, () => submitTo(one!, jobOf(), { from })))
    for (const { status } of failed) assert.equal(status, 500)
    const take = async (): Promise<boolean> => (await submitTo(other!, jobOf({ seconds: 60 }), { from })).status === 200
    for (let n = 0; n < MOST_JOBS; n++) await eventually(take, LONG)
    assert.equal((await submitTo(other!, jobOf(), { from })).status, 429)
  })
})
