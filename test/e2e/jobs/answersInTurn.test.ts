/** One address behind which several nodes answer in turn: unknown is not lost there. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { startRoundRobin } from '../../kit/roundRobin.ts'
import { eventually } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'
import { assertEchoed, ended, entriesOf, runsOn, startNodes, submitMany, submitted } from './support.ts'

interface SeveralStats {
  several_nodes: boolean
  advice?: string
}

describe('where several nodes answer in turn at one address', { concurrency: true }, () => {
  for (const [each, count] of [
    ['request', 2],
    ['request', 3],
    ['connection', 2],
  ] as const) {
    test(`each job runs once and has its result, by ${each} with ${count} nodes`, async (t) => {
      const nodes = await startNodes(t, count, { concurrency: 50 })
      const balancer = await startRoundRobin(t, nodes, each)
      const gateway = await gatewayFor(t, [balancer])
      const data = (n: number): object => ({ n, seconds: (n % 4) * 0.8 })
      const ids = await submitMany(gateway, 30, data)
      const later = await submitted(gateway, { seconds: 2 })
      const entries = await ended(gateway, [...ids, later], { withinMs: 60_000 })
      entries.slice(0, ids.length).forEach((entry, n) => assertEchoed(entry, data(n)))
      assert.equal(await runsOn(nodes), 31)
      const stats = (await statsOf(gateway, balancer)) as unknown as SeveralStats
      assert.equal(stats.several_nodes, true)
      assert.match(stats.advice ?? '', /dns:\/\//)
      const warnings = gateway.logs.filter(
        ({ message }) => message?.startsWith('several nodes answer in turn') === true,
      )
      assert.deepEqual(
        warnings.map(({ level, node }) => [level, node]),
        [['warn', balancer.address]],
      )
    })
  }

  test('a single job runs once', async (t) => {
    const nodes = await startNodes(t, 2)
    const balancer = await startRoundRobin(t, nodes, 'request')
    const gateway = await gatewayFor(t, [balancer])
    const id = await submitted(gateway, { seconds: 2 })
    assert.equal((await ended(gateway, [id]))[0]?.status, 'success')
    assert.equal(await runsOn(nodes), 1)
  })

  test('a job that all of them forgot stays until JOB_TIMEOUT, and then fails', async (t) => {
    const nodes = await startNodes(t, 2, { concurrency: 50 })
    const balancer = await startRoundRobin(t, nodes, 'request')
    const gateway = await gatewayFor(t, [balancer], { JOB_TIMEOUT: '6' })
    const ids = await submitMany(gateway, 10, () => ({ seconds: 60 }))
    await gateway.waitForLog(({ message }) => message?.startsWith('several nodes answer in turn') === true)
    for (const node of nodes) await node.forget()
    for (const { status } of await entriesOf(gateway, ids)) assert.equal(status, 'running')
    for (const { status } of await ended(gateway, ids)) assert.equal(status, 'failed')
    assert.equal(await runsOn(nodes), 10)
  })
})

describe('where a single node answers', () => {
  test('its restart still has lost jobs run again, finished ones among them or not', async (t) => {
    const [node] = await startNodes(t, 1, { concurrency: 50 })
    const gateway = await gatewayFor(t, [node!])
    const data = (n: number): object => ({ n, seconds: n % 2 === 0 ? 0 : 3 })
    const ids = await submitMany(gateway, 20, data)
    const runningNow = async (): Promise<number> =>
      (await node!.jobs()).filter(({ endedAt }) => endedAt === undefined).length
    await eventually(async () => (await runningNow()) <= 10)
    const lost = await runningNow()
    await node!.forget()
    const entries = await ended(gateway, ids)
    entries.forEach((entry, n) => assertEchoed(entry, data(n)))
    assert.equal(await runsOn([node!]), 20 + lost)
    assert.equal(((await statsOf(gateway, node!)) as unknown as SeveralStats).several_nodes, false)
  })
})
