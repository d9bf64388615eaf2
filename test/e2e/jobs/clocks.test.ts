/** A wall clock that is set under a running gateway: no job and no result is lost by it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import { post, request } from '../../kit/http.ts'
import { shiftedClock } from '../../kit/shiftedClock.ts'
import { eventually } from '../../kit/wait.ts'
import { assertEchoed, ended, entriesOf, runsOn, startNodes, submitMany, submitted } from './support.ts'

const HOUR_MS = 3_600_000
/** Longer than a ledger takes to notice what has expired. */
const LOOK_MS = 3000

describe('while the clock is set', { concurrency: 4 }, () => {
  for (const url of ['memory:', 'sqlite:data/gateway.db']) {
    test(`two days forward for a moment no result and no kept answer is lost (${url})`, async (t) => {
      const clock = await shiftedClock(t)
      const gateway = await gatewayFor(t, await startNodes(t, 1), { STATE_URL: url, ...clock.env })
      const ids = await submitMany(gateway, 5)
      await ended(gateway, ids)
      const once = { headers: { 'Idempotency-Key': 'once' } }
      const first = await post(`${gateway.url}/api/jobs`, jobOf({}), once)
      clock.set(48 * HOUR_MS)
      const { timestamp } = (await request(`${gateway.url}/health`)).json<{ timestamp: string }>()
      assert.ok(Date.parse(timestamp) > Date.now() + 47 * HOUR_MS, 'the clock was not set')
      const meanwhile = await submitted(gateway)
      await ended(gateway, [meanwhile])
      await sleep(LOOK_MS)
      assert.equal((await entriesOf(gateway, ids)).length, 5)
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({}), once)).text, first.text)
      clock.set(0)
      assert.equal((await entriesOf(gateway, [...ids, meanwhile])).length, 6)
      assert.equal((await post(`${gateway.url}/api/jobs`, jobOf({}), once)).text, first.text)
    })

    test(`an hour back and forth nothing that ends meanwhile is lost (${url})`, async (t) => {
      const clock = await shiftedClock(t)
      const env = { STATE_URL: url, JOB_TTL: '600', ...clock.env }
      const gateway = await gatewayFor(t, await startNodes(t, 1), env)
      clock.set(-HOUR_MS)
      const ids = await submitMany(gateway, 5)
      await ended(gateway, ids)
      clock.set(0)
      await sleep(LOOK_MS)
      assert.equal((await entriesOf(gateway, ids)).length, 5)
    })
  }

  test('an hour forward a job that its node forgot is run again, not failed', async (t) => {
    const clock = await shiftedClock(t)
    const nodes = await startNodes(t, 2)
    const gateway = await gatewayFor(t, nodes, clock.env)
    const id = await submitted(gateway, { n: 1, seconds: 1 })
    clock.set(HOUR_MS)
    for (const node of nodes) await node.forget()
    assertEchoed((await ended(gateway, [id]))[0], { n: 1, seconds: 1 })
    assert.equal(await runsOn(nodes), 2)
  })

  test('forward or back the uptime that /stats tells goes on', async (t) => {
    const clock = await shiftedClock(t)
    const gateway = await gatewayFor(t, await startNodes(t, 1), clock.env)
    for (const aheadMs of [HOUR_MS, -HOUR_MS]) {
      clock.set(aheadMs)
      const { uptime } = (await request(`${gateway.url}/stats`)).json<{ uptime: number }>()
      assert.ok(uptime >= 0 && uptime < 600, `${uptime} s`)
    }
  })

  test('forward jobs still end when JOB_TTL is over by the time that passes', async (t) => {
    const clock = await shiftedClock(t)
    const gateway = await gatewayFor(t, await startNodes(t, 1), { JOB_TTL: '3', ...clock.env })
    const id = await submitted(gateway)
    await ended(gateway, [id])
    clock.set(HOUR_MS)
    await eventually(async () => (await entriesOf(gateway, [id])).length === 0)
  })
})
