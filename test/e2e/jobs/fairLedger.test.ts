/** One ledger for everybody: nobody's jobs take the results of others from it, or the room for their requests. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gatewayFor } from '../../kit/builders/gateways.ts'
import { jobOf } from '../../kit/builders/jobs.ts'
import type { Gateway } from '../../kit/gateway.ts'
import { post, request } from '../../kit/http.ts'
import type { Answer } from '../../kit/http.ts'
import { eventually } from '../../kit/wait.ts'
import { assertError } from '../support.ts'
import { ended, entriesOf, runsOn, startNodes, submitMany, submitted, submitTo } from './support.ts'

const CAP = { STATE_MAX_BYTES: '5mb', MAX_JOBS_PER_CALLER: '0' }
const MEGABYTE = 'x'.repeat(1_000_000)
/** A fifth of what one caller's unfinished requests may take. */
const FIFTH = { padding: 'x'.repeat(250_000), seconds: 60 }
const A = { from: '127.0.0.5' }
const B = { from: '127.0.0.6' }

for (const url of ['memory:', 'sqlite:data/gateway.db']) {
  describe(`a ledger that is shared (${url})`, { concurrency: 4 }, () => {
    const env = { ...CAP, STATE_URL: url }

    test("one caller's large results take nobody else's", async (t) => {
      const gateway = await gatewayFor(t, await startNodes(t, 1), env)
      const theirs = await submitMany(gateway, 5, (n) => ({ n }), B)
      await ended(gateway, theirs, B)
      const mine: string[] = []
      for (let count = 0; count < 7; count++) {
        const id = await submitted(gateway, { padding: MEGABYTE }, A)
        mine.push(id)
        await ended(gateway, [id], A)
      }
      await eventually(async () => (await entriesOf(gateway, mine, A)).length <= 5)
      const left = (await entriesOf(gateway, mine, A)).map(({ id }) => id)
      assert.deepEqual(left, mine.slice(-left.length), 'the oldest go first')
      assert.equal((await entriesOf(gateway, theirs, B)).length, 5)
    })

    test("one caller's unfinished requests take a quarter of it at most, and no more is sent to a node", async (t) => {
      const nodes = await startNodes(t, 1, { concurrency: 100 })
      const gateway = await gatewayFor(t, nodes, env)
      await submitMany(gateway, 4, () => FIFTH, A)
      assertTooMuch(await submitTo(gateway, jobOf({ padding: MEGABYTE }), A))
      // A batch as a whole: some of its items would fit.
      const batch = await post(`${gateway.url}/api/jobs/batch`, Array(4).fill(jobOf(FIFTH)), fromOf(A))
      assertTooMuch(batch)
      assert.equal(await runsOn(nodes), 4)
      // Others have room, and so has the caller for what is small.
      await submitMany(gateway, 4, () => FIFTH, B)
      await ended(gateway, [await submitted(gateway, {}, A)], A)
    })

    test('what would never have room is a 413, which nobody repeats', async (t) => {
      const nodes = await startNodes(t, 1)
      const gateway = await gatewayFor(t, nodes, env)
      const answers = [
        await submitTo(gateway, jobOf({ padding: MEGABYTE + MEGABYTE }), A),
        await post(`${gateway.url}/api/jobs/batch`, Array(6).fill(jobOf(FIFTH)), fromOf(A)),
      ]
      for (const answer of answers) {
        assert.match(assertError(answer, 413), /1310720 bytes of the ledger, a quarter of STATE_MAX_BYTES/)
        assert.equal(answer.headers['retry-after'], undefined)
      }
      assert.equal(await runsOn(nodes), 0)
    })

    test('all unfinished requests together take the whole at most', async (t) => {
      const nodes = await startNodes(t, 1, { concurrency: 100 })
      const gateway = await gatewayFor(t, nodes, env)
      for (const host of [1, 2, 3, 4, 5]) await submitMany(gateway, 4, () => FIFTH, { from: `127.0.1.${host}` })
      const answer = await submitTo(gateway, jobOf(FIFTH), B)
      assert.match(assertError(answer, 503), /full of unfinished requests/)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
      assert.equal(await runsOn(nodes), 20)
      assert.equal((await request(`${gateway.url}/readyz`)).status, 200)
    })
  })
}

describe('the room of a request', { concurrency: 4 }, () => {
  const env = { ...CAP, STATE_URL: 'memory:' }
  const large = jobOf({ padding: MEGABYTE })

  test('is given back when its job ends, however often', async (t) => {
    const gateway = await gatewayFor(t, await startNodes(t, 1), env)
    for (let count = 0; count < 3; count++) await ended(gateway, [await submitted(gateway, { padding: MEGABYTE })])
  })

  test('is given back when a node refuses it or nobody can take it', async (t) => {
    const gateway = await gatewayFor(t, await startNodes(t, 1), env)
    for (let count = 0; count < 6; count++) {
      const answer = await submitTo(gateway, jobOf({ padding: MEGABYTE }, ['nowhere']))
      assert.ok([405, 503].includes(answer.status), answer.text)
      const batch = await post(`${gateway.url}/api/jobs/batch`, [jobOf({ padding: MEGABYTE }, ['nowhere'])])
      assert.notEqual(batch.status, 429, batch.text)
    }
    await ended(gateway, [await submitted(gateway, { padding: MEGABYTE })])
  })

  test('is given back when its client leaves', async (t) => {
    const gateway = await gatewayFor(t, await startNodes(t, 1, { concurrency: 100 }), env)
    for (let count = 0; count < 6; count++) {
      const leaving = new AbortController()
      const answer = fetch(`${gateway.url}/api/jobs`, {
        method: 'POST',
        body: JSON.stringify(large),
        signal: leaving.signal,
      })
      setTimeout(() => leaving.abort(), 5 * count)
      await answer.then((taken) => taken.text()).catch(() => undefined)
    }
    await roomFor(gateway, large)
  })

  test('is taken again by unfinished jobs that a restart finds', async (t) => {
    const nodes = await startNodes(t, 1, { concurrency: 100 })
    const gateway = await gatewayFor(t, nodes, { ...CAP, STATE_URL: 'sqlite:data/gateway.db' })
    await submitMany(gateway, 4, () => FIFTH, A)
    await gateway.kill()
    await gateway.restart()
    await gateway.ready(1)
    assertTooMuch(await submitTo(gateway, large, A))
    assert.equal((await submitTo(gateway, large, B)).status, 200)
  })
})

function fromOf({ from }: { from: string }): { localAddress: string } {
  return { localAddress: from }
}

function assertTooMuch(answer: Answer): void {
  assert.match(assertError(answer, 429), /1310720 bytes, a quarter of STATE_MAX_BYTES/)
  assert.equal(answer.json<{ params: { limit: number } }>().params.limit, 1_310_720)
  assert.ok(Number(answer.headers['retry-after']) >= 1)
}

async function roomFor(gateway: Gateway, job: object): Promise<void> {
  await eventually(async () => (await submitTo(gateway, job)).status === 200)
}
