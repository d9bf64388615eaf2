/** While the ledger cannot record, nobody hears that their job was accepted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ledgerFault } from '../../src/ledger/ledger.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import { jobOf } from '../kit/builders/jobs.ts'
import { post } from '../kit/http.ts'
import type { Answer } from '../kit/http.ts'
import { spawnFakeNode } from '../kit/fakeNode/index.ts'
import { startJobServer } from './jobServer.ts'

/** As on a disk that takes its time to find that it is full. */
class FullLedger extends MemoryLedger {
  override async insert(): Promise<void> {
    await sleep(100)
    throw ledgerFault('its disk is full')
  }
}

const full = (): FullLedger => new FullLedger({ maxBytes: 1e9, ttlMs: 1e9 })

function assertNotRecorded(answer: Answer): void {
  assert.equal(answer.status, 503, answer.text)
  assert.equal(typeof answer.json<{ error: string }>().error, 'string')
  assert.ok(Number(answer.headers['retry-after']) >= 1)
}

const JOB = jobOf()

test('a job that cannot be recorded is 503, and its place at the node is given back', async (t) => {
  const node = await spawnFakeNode({ rateLimit: 0 }, t)
  const { url, fleet } = await startJobServer(t, [node], full())
  assertNotRecorded(await post(`${url}/api/jobs`, JOB))
  // One that waits for another under its key is told no more than that one.
  const keyed = { headers: { 'Idempotency-Key': 'a' } }
  const both = await Promise.all([1, 2].map(() => post(`${url}/api/jobs`, JOB, keyed)))
  both.forEach(assertNotRecorded)
  assertNotRecorded(await post(`${url}/api/jobs/batch`, [JOB, JOB]))
  const [tracked] = fleet.nodes.values()
  assert.equal(tracked!.inFlight, 0)
  assert.equal(tracked!.load.inFlight, 0)
})

/** Takes jobs, and then has no room for an answer by itself. */
class NearlyFullLedger extends MemoryLedger {
  override async insert(...[jobs, answer]: Parameters<MemoryLedger['insert']>): Promise<void> {
    if (jobs.length === 0) throw ledgerFault('its disk is full')
    return super.insert(jobs, answer)
  }
}

test('a batch whose jobs are recorded is answered, although its answer cannot be kept', async (t) => {
  const node = await spawnFakeNode({ rateLimit: 0 }, t)
  const { url, ledger } = await startJobServer(t, [node], new NearlyFullLedger({ maxBytes: 1e9, ttlMs: 1e9 }))
  const keyed = { headers: { 'Idempotency-Key': 'a' } }
  const answer = await post(`${url}/api/jobs/batch`, [JOB, JOB], keyed)
  assert.equal(answer.status, 200, answer.text)
  const ids = answer.json<{ id: string }[]>().map(({ id }) => id)
  assert.equal((await ledger.read('127.0.0.1', ids)).length, 2)
})

test('a stream whose id cannot be recorded is 503, with nothing of it, however fast its output comes', async (t) => {
  const node = await spawnFakeNode({ rateLimit: 0 }, t)
  const { url, fleet } = await startJobServer(t, [node], full())
  for (const data of [{ pieces: 1 }, { pieces: 3, pieceMs: 0 }, { pieces: 5, pieceMs: 100 }, { pieces: 0 }]) {
    assertNotRecorded(await post(`${url}/api/jobs/stream`, jobOf(data)))
  }
  const [tracked] = fleet.nodes.values()
  assert.equal(tracked!.inFlight, 0)
  assert.equal(tracked!.load.inFlight, 0)
})
