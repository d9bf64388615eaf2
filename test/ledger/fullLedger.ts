/** A ledger with something of everything, and all that can be asked of one, for tests that move ledgers. */
import { aJob, anAnswer, anEnd } from '../kit/builders/jobs.ts'
import type { JobStatus, Ledger } from '../../src/ledger/ledger.ts'
import { wholeOf } from './ledgerKit.ts'
import { aRow, byName } from './usage/rows.ts'

export const CALLERS = ['10.0.0.1', 'key:abc', '2001:db8::1']
const MEGABYTE = 1024 * 1024

/** Bytes that no text holds, different for each seed. */
const bytesOf = (length: number, seed: number): Buffer =>
  Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, i) => i * seed + seed),
  )

/** What `fill` puts into a ledger. */
export const FILLED = { jobs: 102, unfinished: 12, answers: 3, reqnums: 3 }

const VALUES: readonly (readonly [name: string, value: Buffer])[] = [
  ['short', Buffer.alloc(0)],
  ['long', bytesOf(200_000, 3)],
]

/** Of the first and the last day that are kept, and more of one day than is copied at once. */
const USAGE_DAYS_FILLED = [aRow().day - 399, aRow().day]
const USAGE = [
  aRow({ day: USAGE_DAYS_FILLED[0]! }),
  ...Array.from({ length: 700 }, (_, n) =>
    aRow({ caller: CALLERS[n % 3]!, model: `model-${n % 200}`, requests: n + 1 }),
  ),
]

/** Jobs of every kind: unfinished with and without a request, finished with short and long results, streams, and what else is kept. */
export async function fill(ledger: Ledger): Promise<void> {
  const streams = { kind: 'stream', failover: false } as const
  for (const [name, value] of VALUES) await ledger.values.set(name, value)
  await ledger.usage.add({ writer: 'filler', number: 1, rows: USAGE })
  for (const [index, caller] of CALLERS.entries()) {
    const of = { caller, clientAddress: `10.0.1.${index}`, containers: ['prepare', 'llm'], cost: index + 0.5 }
    const jobs = [
      { record: aJob({ ...of, runs: 2 }), request: bytesOf(5000, 3 + index) },
      { record: aJob(of) },
      { record: aJob({ ...of, ...streams, clientGone: true }) },
      ...Array.from({ length: 30 }, () => ({ record: aJob(of), request: bytesOf(50, 7) })),
      { record: aJob({ ...of, ...streams }) },
    ]
    await ledger.insert(jobs, anAnswer({ caller, key: `key-${index}`, body: bytesOf(300, index + 1) }))
    const ids = jobs.map(({ record }) => record.id)
    for (const [n, id] of ids.slice(3, 30).entries()) {
      await ledger.finish(id, anEnd({ result: bytesOf(n * 400, n + 1), finishedAt: Date.now() - n * 1000 }))
    }
    await ledger.finish(
      ids[30]!,
      anEnd({ state: 'failed', result: Buffer.from('{"error":"x"}'), intermediate: Buffer.from('[]') }),
    )
    await ledger.finish(ids[31]!, anEnd({ result: bytesOf(2.5 * MEGABYTE, 5), intermediate: Buffer.alloc(0) }))
    await finishInPieces(ledger, caller, ids[32]!)
    for (let n = 0; n <= index; n++) await ledger.nextReqnum(`http://10.1.0.${index}:4000`)
  }
}

async function finishInPieces(ledger: Ledger, caller: string, id: string): Promise<void> {
  const received = await ledger.receive(caller)
  for (let n = 0; n < 12; n++) await received.add('result', bytesOf(MEGABYTE, n + 1))
  await received.add('intermediate', Buffer.from('[1]'))
  await received.finish(id, { state: 'success', finishedAt: Date.now() })
}

/** All that can be asked of a ledger; of one in which the unfinished jobs are another's without their requests. */

export async function contentsOf(ledger: Ledger, withRequests = true): Promise<object> {
  const callers = await Promise.all(
    CALLERS.map(async (caller) => {
      const ids = await ledger.list(caller, 'all')
      const statuses = await ledger.read(caller, ids)
      return {
        caller,
        ids,
        pending: await ledger.list(caller, 'pending'),
        records: await Promise.all(ids.map((id) => ledger.find(id))),
        ...(withRequests && { requests: await Promise.all(ids.map((id) => ledger.request(id))) }),
        statuses: await Promise.all(statuses.map(wholeStatus)),
        answer: await ledger.idempotencyRecord(caller, '/api/jobs', `key-${CALLERS.indexOf(caller)}`),
      }
    }),
  )
  const values = await Promise.all(VALUES.map(([name]) => ledger.values.get(name)))
  const usage = await Promise.all(USAGE_DAYS_FILLED.map(async (day) => (await ledger.usage.read(day)).sort(byName)))
  return { callers, values, usage, jobs: ledger.health().jobs }
}

async function wholeStatus({ result, intermediate, ...rest }: JobStatus): Promise<object> {
  return {
    ...rest,
    result: result && (await wholeOf(result)),
    intermediate: intermediate && (await wholeOf(intermediate)),
  }
}
