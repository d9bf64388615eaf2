/** While the ledger cannot record, nobody hears that their job was accepted. A ledger that is closed refuses everything. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { post } from '../kit/http.ts'
import type { Answer } from '../kit/http.ts'
import { spawnSimNode } from '../kit/simNode/index.ts'
import { startJobServer } from './jobServer.ts'

function assertNotRecorded(answer: Answer): void {
  assert.equal(answer.status, 503, answer.text)
  assert.equal(typeof answer.json<{ error: string }>().error, 'string')
  assert.ok(Number(answer.headers['retry-after']) >= 1)
}

const JOB = { containers: ['echo'], data: {} }

test('a job that cannot be recorded is 503, and its place at the node is given back', async (t) => {
  const node = await spawnSimNode({ rateLimit: 0 }, t)
  const { url, ledger, fleet } = await startJobServer(t, [node])
  await ledger.close()
  assertNotRecorded(await post(`${url}/api/jobs`, JOB))
  assertNotRecorded(await post(`${url}/api/jobs`, JOB, { headers: { 'Idempotency-Key': 'a' } }))
  assertNotRecorded(await post(`${url}/api/jobs/batch`, [JOB, JOB]))
  const [tracked] = fleet.nodes.values()
  assert.equal(tracked!.inFlight, 0)
  assert.equal(tracked!.load.inFlight, 0)
})

test('a stream whose id cannot be recorded is 503, with nothing of it, however fast its output comes', async (t) => {
  const node = await spawnSimNode({ rateLimit: 0 }, t)
  const { url, ledger, fleet } = await startJobServer(t, [node])
  await ledger.close()
  for (const data of [{ pieces: 1 }, { pieces: 3, pieceMs: 0 }, { pieces: 5, pieceMs: 100 }, { pieces: 0 }]) {
    assertNotRecorded(await post(`${url}/api/jobs/stream`, { containers: ['echo'], data }))
  }
  const [tracked] = fleet.nodes.values()
  assert.equal(tracked!.inFlight, 0)
  assert.equal(tracked!.load.inFlight, 0)
})
