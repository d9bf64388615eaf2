/** Results are read from the ledger no further than the client has taken them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryLedger } from '../../src/jobs/ledger/memory.ts'
import { request } from '../kit/http.ts'
import { startJobServer } from './jobServer.ts'
import { aJob, anEnd } from './ledger/ledgerKit.ts'

const CALLER = '127.0.0.1'

class CountingLedger extends MemoryLedger {
  readonly reads: number[] = []

  override async read(...args: Parameters<MemoryLedger['read']>): ReturnType<MemoryLedger['read']> {
    this.reads.push(args[1].length)
    return super.read(...args)
  }
}

/** A ledger with so many finished jobs, with results of so many bytes, and their ids. */
async function filled(count: number, bytes: number): Promise<{ ledger: CountingLedger; ids: string[] }> {
  const ledger = new CountingLedger({ maxBytes: 1e9, ttlMs: 1e9 })
  const ids: string[] = []
  for (let i = 0; i < count; i++) {
    const record = aJob({ caller: CALLER })
    await ledger.insert([{ record }])
    await ledger.finish(record.id, anEnd({ result: Buffer.from(JSON.stringify(`${i} ${'x'.repeat(bytes)}`)) }))
    ids.push(record.id)
  }
  return { ledger, ids }
}

const query = (ids: readonly string[]): string => `/api/jobs?${ids.map((id) => `id=${id}`).join('&')}`

describe('of many ids', () => {
  test('a client that does not read on gets no more read for it', async (t) => {
    const { ledger, ids } = await filled(100, 1_000_000)
    const { url } = await startJobServer(t, [], ledger)
    const [answer] = (await once(get(url + query(ids)), 'response')) as [IncomingMessage]
    t.after(() => answer.destroy())
    // Nothing tells of what does not happen.
    await sleep(500)
    assert.ok(ledger.reads.reduce((sum, n) => sum + n) <= 40, `${ledger.reads.join()} were read`)
  })

  test('long results come whole and in order, in turns that grow shorter', async (t) => {
    const { ledger, ids } = await filled(50, 1_000_000)
    const { url } = await startJobServer(t, [], ledger)
    const entries = (await request(url + query(ids))).json<{ id: string; result: string }[]>()
    assert.deepEqual(
      entries.map(({ id }) => id),
      ids,
    )
    entries.forEach(({ result }, i) => assert.ok(result.startsWith(`${i} x`) && result.length > 1_000_000))
    assert.ok(Math.max(...ledger.reads.slice(2)) <= 4, ledger.reads.join())
  })

  test('short ones come in few turns, with repeats and strangers among them', async (t) => {
    const { ledger, ids } = await filled(300, 10)
    const { url } = await startJobServer(t, [], ledger)
    const asked = ids.flatMap((id, i) => (i % 3 === 0 ? [id, 'stranger', id] : [id]))
    const entries = (await request(url + query(asked))).json<{ id: string }[]>()
    assert.deepEqual(
      entries.map(({ id }) => id),
      asked.filter((id) => id !== 'stranger'),
    )
    assert.ok(ledger.reads.length <= 6, ledger.reads.join())
  })

  test('strangers alone are an empty list, and a HEAD is answered without reading them all', async (t) => {
    const { ledger, ids } = await filled(50, 10)
    const { url } = await startJobServer(t, [], ledger)
    const strangers = ids.map((_, i) => `stranger-${i}`)
    assert.equal((await request(url + query(strangers))).text, '[]')
    const before = ledger.reads.length
    const head = await request(url + query(ids), { method: 'HEAD' })
    assert.deepEqual([head.status, head.text], [200, ''])
    assert.equal(ledger.reads.length, before + 1)
  })

  test('a ledger that fails before anything is told is a fault, not a broken answer', async (t) => {
    const { ledger, ids } = await filled(50, 10)
    const { url } = await startJobServer(t, [], ledger)
    ledger.read = () => Promise.reject(new Error('unreadable'))
    assert.equal((await request(url + query(ids))).status, 500)
  })
})
