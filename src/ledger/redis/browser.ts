import { fitsQuery, LOOKED_AT, numberIn } from '../browse.ts'
import type { JobRecord, JobsPage, JobsQuery } from '../ledger.ts'
import type { RedisArgument, RedisReply } from './connection.ts'
import { RECORD_FIELDS, recordOf } from './rows.ts'
import type { Script } from './script.ts'
import { recordsScript } from './scripts/reads.ts'

/** Jobs whose records one call reads. */
const PAGE = 500

const RECORDS = recordsScript(RECORD_FIELDS)

/** How the reader asks Redis. */
export interface Asks {
  readonly prefix: string
  call(args: readonly RedisArgument[]): Promise<RedisReply>
  run(script: Script, args: readonly RedisArgument[]): Promise<RedisReply>
  /** The date before which finished jobs have expired. */
  expiry(): string
}

/** Ids to look at, each with the cursor that goes on behind it, and where to go on behind all. */
interface Found {
  readonly ids: readonly { readonly id: string; readonly after: string | undefined }[]
  readonly next: string | undefined
}

/** What a cursor leads to that is none of ours. */
const NOTHING: Found = { ids: [], next: undefined }

/** A page of jobs. `replicas`: in whose names jobs may be unfinished. */
export async function browse(asks: Asks, query: JobsQuery, replicas: readonly string[]): Promise<JobsPage> {
  const found = await (query.caller === undefined
    ? idsOfAll(asks, query, [...replicas].sort())
    : idsOfCaller(asks, query.caller, numberIn(query.after)))
  const jobs: JobRecord[] = []
  for (let at = 0; at < found.ids.length; at += PAGE) {
    const page = found.ids.slice(at, at + PAGE)
    const rows = (await asks.run(
      RECORDS,
      page.map(({ id }) => id),
    )) as RedisReply[]
    for (const [index, { id, after }] of page.entries()) {
      const record = recordOf(id, rows[index]!)
      if (!record || !fitsQuery(record, query)) continue
      if (record.finishedAt !== undefined && record.finishedAt <= Number(asks.expiry())) continue
      jobs.push(record)
      // What cannot be gone on behind, of a set without order, is all on one page.
      if (jobs.length >= query.limit && after !== undefined) return { jobs, next: after }
    }
  }
  return { jobs, next: found.next }
}

async function idsOfCaller(asks: Asks, caller: string, before: number): Promise<Found> {
  if (Number.isNaN(before)) return NOTHING
  const from = before === Infinity ? '+inf' : `(${before}`
  const key = `${asks.prefix}c:${caller}`
  const reply = await asks.call(['ZREVRANGEBYSCORE', key, from, '-inf', 'WITHSCORES', 'LIMIT', '0', String(LOOKED_AT)])
  const ids = pairsOf(reply).map(([id, score]) => ({ id, after: score }))
  return { ids, next: ids.length === LOOKED_AT ? ids.at(-1)!.after : undefined }
}

/** Cursors are `u:CURSOR:REPLICA` amid those that run, and `f:DATE:SKIPPED` amid those that have ended. */
async function idsOfAll(asks: Asks, { state, after }: JobsQuery, replicas: readonly string[]): Promise<Found> {
  const [kind = '', first = '', ...rest] = after === undefined ? [] : after.split(':')
  if (kind === 'f') return endedIds(asks, first, Number(rest[0] ?? 0))
  const replica = kind === 'u' ? rest.join(':') : replicas[0]
  const whenDone = state === 'running' ? undefined : 'f:+inf:0'
  if (state === 'success' || state === 'failed' || replica === undefined) {
    return state === 'running' ? NOTHING : endedIds(asks, '+inf', 0)
  }
  const start = kind === 'u' ? first : '0'
  if (!/^\d+$/.test(start)) return NOTHING
  const key = `${asks.prefix}u:${replica}`
  const reply = await asks.call(['SSCAN', key, start, 'COUNT', String(PAGE)])
  const [cursor, members] = reply as [Buffer, Buffer[]]
  const following = replicas.find((one) => one > replica)
  const nextReplica = following === undefined ? whenDone : `u:0:${following}`
  const next = String(cursor) === '0' ? nextReplica : `u:${String(cursor)}:${replica}`
  return { ids: members.map((id) => ({ id: String(id), after: undefined })), next }
}

/** `skipped`: of those that ended at `date`, how many were looked at before. */
async function endedIds(asks: Asks, date: string, skipped: number): Promise<Found> {
  if (!(date === '+inf' || Number.isFinite(Number(date))) || !(skipped >= 0)) return NOTHING
  const limit = ['LIMIT', String(skipped), String(LOOKED_AT)]
  const reply = await asks.call(['ZREVRANGEBYSCORE', `${asks.prefix}fin`, date, '-inf', 'WITHSCORES', ...limit])
  let [last, same] = [date, skipped]
  const ids = pairsOf(reply).map(([id, score]) => {
    same = score === last ? same + 1 : 1
    last = score
    return { id, after: `f:${score}:${same}` }
  })
  return { ids, next: ids.length === LOOKED_AT ? ids.at(-1)!.after : undefined }
}

function pairsOf(reply: RedisReply): [id: string, score: string][] {
  const flat = reply as Buffer[]
  const pairs: [string, string][] = []
  for (let at = 0; at < flat.length; at += 2) pairs.push([String(flat[at]), String(flat[at + 1])])
  return pairs
}
