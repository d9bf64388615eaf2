/** Gateways that were without their Redis for a while, and find it changed. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ask,
  assertEchoed,
  ended,
  entriesOf,
  type JobEntry,
  runsOn,
  startNodes,
  submitted,
} from '../../e2e/jobs/support.ts'
import { redisMissing, startRedis } from '../../kit/redisServer.ts'
import { eventually } from '../../kit/wait.ts'
import { redisStore, startReplica } from './replicas.ts'

const TIMEOUT_MS = 2000
const env = { REPLICA_TIMEOUT: String(TIMEOUT_MS / 1000) }

describe('a gateway that was without its Redis', { skip: redisMissing }, () => {
  test('and was taken for dead says no word of what it remembers, and drops the ends that it held', async (t) => {
    const store = await redisStore(t, TIMEOUT_MS)
    const nodes = await startNodes(t, 1, { concurrency: 10 })
    const [memberA, memberB] = await Promise.all([store.join(), store.join()])
    const a = await startReplica(t, { nodes, ledger: memberA.ledger, env })
    const b = await startReplica(t, { nodes, ledger: memberB.ledger, address: '127.0.0.62', env })
    const id = await submitted(a, { n: 1, seconds: 1.5 })
    const long = await submitted(a, { n: 2, seconds: 60 })
    await memberA.die()
    const former = memberA.ledger.coordination.membership.self
    // Only then the other may run it again.
    await ended(b, [id])
    assert.equal(await runsOn(nodes), 4)
    memberA.mend()
    let told = 0
    await eventually(
      async () => {
        const answer = await ask(a, `?id=${id}`)
        if (answer.status === 503) return false
        told++
        assert.equal(answer.json<{ status: string }[]>()[0]?.status, 'success', 'a step back')
        return told >= 20
      },
      { withinMs: 30_000 },
    )
    const [entry] = await entriesOf(a, [id])
    assertEchoed(entry, { n: 1, seconds: 1.5 })
    const { membership } = memberA.ledger.coordination
    await eventually(() => membership.self !== former && membership.isSure)
    assert.equal(await memberB.ledger.ownerOf(long), memberB.ledger.coordination.membership.self)
    assert.equal(await runsOn(nodes), 4)
  })

  test('and was not missed tells the ends that it held when it is back', async (t) => {
    const store = await redisStore(t, 60_000)
    const nodes = await startNodes(t, 1, { concurrency: 10 })
    const member = await store.join()
    const a = await startReplica(t, { nodes, ledger: member.ledger, env: { REPLICA_TIMEOUT: '60' } })
    const id = await submitted(a, { n: 1, seconds: 0.5 })
    await member.die()
    await nodes[0]!.ended(id)
    member.mend()
    await eventually(async () => {
      const answer = await ask(a, `?id=${id}&wait=1`)
      return answer.status === 200 && answer.json<JobEntry[]>()[0]?.status === 'success'
    })
    const [entry] = await entriesOf(a, [id])
    assertEchoed(entry, { n: 1, seconds: 0.5 })
    assert.equal(await runsOn(nodes), 1)
  })

  test('which came back empty, has its jobs recorded again, those with ends that were held, too', async (t) => {
    const redis = await startRedis(t)
    const store = await redisStore(t, TIMEOUT_MS, redis)
    const nodes = await startNodes(t, 1, { concurrency: 10 })
    const member = await store.join()
    const a = await startReplica(t, { nodes, ledger: member.ledger, env })
    const running = await submitted(a, { n: 2, seconds: 5 })
    const held = await submitted(a, { n: 3, seconds: 1 })
    await redis.kill()
    await nodes[0]!.ended(held)
    await redis.restart({ keepsData: false })
    const ids = [held, running]
    await eventually(
      async () => {
        const answer = await ask(a, `?id=${ids.join('&id=')}`)
        const told = answer.status === 200 ? answer.json<JobEntry[]>() : []
        return told.length === 2 && told.every(({ status }) => status === 'success')
      },
      { withinMs: 40_000 },
    )
    assert.equal(await runsOn(nodes), 2)
  })
})
