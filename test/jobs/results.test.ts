/** Results are read from the ledger no further than the client has taken them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SqliteLedger, SqliteLedgerOptions } from '../../src/ledger/sqlite/ledger.ts'
import { MemoryLedger } from '../../src/ledger/memory/ledger.ts'
import { aJob, anEnd } from '../kit/builders/jobs.ts'
import { request } from '../kit/http.ts'
import { eventually, type Cleanup } from '../kit/wait.ts'
import { startJobServer } from './jobServer.ts'
import { ledgerPath, sqliteAt } from '../ledger/ledgerKit.ts'

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

describe('of one long result', () => {
  const MEGABYTES = 30
  /** More than sockets hold on both sides. */
  const AHEAD_BYTES = 20_000_000

  async function sqlite(
    t: Cleanup,
    over: Partial<SqliteLedgerOptions> = {},
  ): Promise<{ ledger: SqliteLedger; id: string }> {
    const ledger = await sqliteAt(t, await ledgerPath(t), over)
    const record = aJob({ caller: CALLER })
    await ledger.insert([{ record }])
    const result = Buffer.from(JSON.stringify('x'.repeat(MEGABYTES * 1e6)))
    await ledger.finish(record.id, anEnd({ result, finishedAt: Date.now() - 1000 }))
    return { ledger, id: record.id }
  }

  test('it comes whole, and both the answer and a HEAD tell the length', async (t) => {
    const { ledger, id } = await sqlite(t)
    const { url } = await startJobServer(t, [], ledger)
    const answer = await request(url + query([id]))
    assert.equal(Number(answer.headers['content-length']), answer.body.length)
    const [entry] = answer.json<{ id: string; result: string; status: string }[]>()
    assert.deepEqual([entry?.id, entry?.result.length, entry?.status], [id, MEGABYTES * 1e6, 'success'])
    const head = await request(url + query([id]), { method: 'HEAD' })
    assert.equal(head.headers['content-length'], String(answer.body.length))
    assert.equal(head.body.length, 0)
  })

  test('readers that do not read on cost a few megabytes each', async (t) => {
    const { ledger, id } = await sqlite(t)
    const { url } = await startJobServer(t, [], ledger, 60)
    const before = process.memoryUsage().rss
    const READERS = 30
    const answers = await Promise.all(
      Array.from({ length: READERS }, async () => {
        const [answer] = (await once(get(url + query([id])), 'response')) as [IncomingMessage]
        t.after(() => answer.destroy())
        return answer
      }),
    )
    assert.equal(answers.length, READERS)
    // Nothing tells of what does not happen.
    await sleep(1000)
    const taken = (process.memoryUsage().rss - before) / READERS
    // The clients' own buffers are in this process too.
    assert.ok(taken < 8_000_000, `${Math.round(taken)} bytes for each reader`)
  })

  test('one that is removed while it is read breaks off, and does not end as if it were complete', async (t) => {
    const { ledger, id } = await sqlite(t, { maxBytes: 1.5 * MEGABYTES * 1e6 })
    const { url } = await startJobServer(t, [], ledger, 60)
    const [answer] = (await once(get(url + query([id])), 'response')) as [IncomingMessage]
    const record = aJob({ caller: CALLER })
    await ledger.insert([{ record }])
    await ledger.finish(record.id, anEnd({ result: Buffer.alloc(MEGABYTES * 1e6, 'y') }))
    await eventually(async () => (await ledger.find(id)) === undefined)
    let bytes = 0
    await assert.rejects(async () => {
      for await (const chunk of answer) bytes += (chunk as Buffer).length
    })
    assert.ok(bytes > 0 && bytes < AHEAD_BYTES, `${bytes} bytes came`)
  })
})

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
