import type { Request, Response } from 'express'
import { shortened } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf, listParts, memoryOf, queryOf, replayRefused, sendJson, wholeNumber } from '../http/index.ts'
import { type Reservation, Slice } from '../base/index.ts'
import type { AwaitedJob } from './askers.ts'
import type { JobDeps } from './deps.ts'
import { type JobFilter, LongBytes, PIECE_BYTES } from '../ledger/index.ts'
import type { LiveJob } from './liveJobs.ts'
import { waitTimeOf } from './waitTime.ts'
import { sendJsonPieces, sendJsonTurns, type JsonPiece } from './writePieces.ts'

/** Ids in the first turn at the ledger; those who ask for more get an answer that does not tell its length. */
const FIRST_TURN = 16
/** Results that the later turns aim at, bytes; of one turn no more than this is in memory, longer results come in pieces. */
const TURN_BYTES = 1_000_000
/** Answers that take no more are not counted in the memory budget: a client may ask for its jobs whatever else it does. */
const UNCOUNTED_BYTES = 64 * 1024

/** Jobs that are looked up in a shared ledger at once, before a client waits for those that run. */
const LOOKED_UP_AT_ONCE = 200
/** What a wait takes for each job, measured. */
const WAIT_BYTES = 250

const NULL = Buffer.from('null')
const NO_RESULTS = Buffer.from('[]')
const OPEN = Buffer.from('[')
const SEPARATOR = Buffer.from(',')
const CLOSE = Buffer.from(']')
const CLOSE_OBJECT = Buffer.from('}')

/** What a client hears of one job. */
interface Told {
  readonly state: 'running' | 'success' | 'failed'
  readonly result: JsonPiece | undefined
  readonly intermediate: JsonPiece | undefined
}

/** `GET /api/jobs`: the caller's own jobs, on whatever node they ran; without ids a list of ids. */
export function readJobs(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const context = contextOf(req)
    const { caller, clientAddress: address } = context
    const query = queryOf(req)
    const { seconds, applied } = waitTimeOf(req, query)
    const ids = query.getAll('id')
    if (ids.length === 1) context.job = ids[0]!
    if (ids.length === 0) {
      const pending = query.get('pending')
      // Anything but these two words asks for all, as at a node.
      const which = pending === 'true' ? 'pending' : pending === 'false' ? 'finished' : 'all'
      return sendJson(res, listParts(await pageOf(deps, { caller, which, query })))
    }
    if (applied !== undefined) res.setHeader('Preference-Applied', applied)
    const memory = memoryOf(req).answer
    if (seconds > 0) {
      const running = await unfinishedOf(deps, caller, ids)
      const held = req.url.length + running.length * WAIT_BYTES
      refuseWithoutRoom(held, memory)
      await deps.askers.firstEnd(running, { address, seconds, res })
      memory.shrink(memory.bytes)
    } else for (const job of runningOf(deps, caller, ids)) deps.askers.asks(job, address)
    if (res.destroyed) return
    const withIntermediate = query.get('intermediate') === 'true'
    const turns = turnsOf(deps, caller, ids, withIntermediate)
    if (new Set(ids).size > FIRST_TURN) return sendJsonTurns(res, countedTurns(turns, memory))
    const pieces: JsonPiece[] = []
    for await (const turn of turns) pieces.push(...turn)
    refuseWithoutRoom(bytesOf(pieces), memory)
    await sendJsonPieces(res, pieces)
  }
}

/**
 * Of the list of ids, in the order in which the jobs came, the part that `limit` and `after` ask for. `after` may have left the list
 * since: it may have ended where unfinished jobs are asked for.
 *
 * @throws GatewayFault ERR_BAD_REQUEST, or what the ledger throws
 */
async function pageOf(
  deps: JobDeps,
  { caller, which, query }: { caller: string; which: JobFilter; query: URLSearchParams },
): Promise<string[]> {
  const limit = wholeNumber(query, 'limit', Infinity)
  const after = query.get('after')
  const ids = await listOf(deps, caller, which)
  if (after === null) return ids.slice(0, limit)
  const at = ids.lastIndexOf(after)
  if (at >= 0) return ids.slice(at + 1, at + 1 + limit)
  const all = which === 'all' ? ids : await deps.ledger.list(caller, 'all')
  const place = all.lastIndexOf(after)
  if (place < 0) throw new GatewayFault('ERR_BAD_REQUEST', 'after must be the id of one of your jobs')
  const later = new Set(all.slice(place + 1))
  return ids.filter((id) => later.has(id)).slice(0, limit)
}

/** Ids of the caller's jobs. Those that have a final state by hand alone count as finished, as they are told. */
async function listOf({ live, ledger }: JobDeps, caller: string, which: JobFilter): Promise<string[]> {
  const ids = await ledger.list(caller, which)
  if (which === 'all') return ids
  const isProvisional = (id: string): boolean => live.ofCaller(caller, id)?.provisional?.told !== undefined
  if (which === 'pending') return ids.filter((id) => !isProvisional(id))
  const pending = await ledger.list(caller, 'pending')
  return [...ids, ...pending.filter(isProvisional)]
}

/**
 * Those of the caller's jobs whose end has not been told yet, each once, whichever gateway follows them.
 *
 * @throws what the ledger throws
 */
async function unfinishedOf(deps: JobDeps, caller: string, ids: readonly string[]): Promise<readonly AwaitedJob[]> {
  const { live, ledger } = deps
  if (!ledger.shared) return runningOf(deps, caller, ids).map(({ record }) => record)
  const unfinished: AwaitedJob[] = []
  const others: string[] = []
  for (const id of new Set(ids)) {
    // One whose end the ledger has not taken yet is unfinished still.
    const job = live.ofCaller(caller, id)
    if (!job) others.push(id)
    else if (!job.provisional?.told) unfinished.push(job.record)
  }
  for (let at = 0; at < others.length; at += LOOKED_UP_AT_ONCE) {
    const records = await Promise.all(others.slice(at, at + LOOKED_UP_AT_ONCE).map((id) => ledger.find(id)))
    for (const record of records) if (record?.caller === caller && record.state === 'running') unfinished.push(record)
  }
  return unfinished
}

/** Those of the caller's jobs that we follow and that have not ended, each once. */
function runningOf({ live }: JobDeps, caller: string, ids: readonly string[]): LiveJob[] {
  const running: LiveJob[] = []
  for (const id of ids.length > 1 ? new Set(ids) : ids) {
    const job = live.ofCaller(caller, id)
    if (job && !job.end && !job.provisional?.told) running.push(job)
  }
  return running
}

/**
 * A job that has ended, as `{"id","status","result"}`; undefined where it runs, or is not kept any more.
 *
 * @throws GatewayFault ERR_MEMORY_BUDGET, or what the ledger throws
 */
export async function endedJob(
  deps: JobDeps,
  { caller, id, memory }: { caller: string; id: string; memory: Reservation },
): Promise<JsonPiece[] | undefined> {
  const job = (await tell(deps, caller, [id], false)).get(id)
  if (!job || job.state === 'running') return undefined
  const head = `{"id":${JSON.stringify(id)},"status":"${job.state}","result":`
  const pieces = [Buffer.from(head), job.result ?? NULL, CLOSE_OBJECT]
  refuseWithoutRoom(bytesOf(pieces), memory)
  return pieces
}

/**
 * The list of entries in the order asked, in turns: what is read from the ledger stays in memory until the client has
 * taken it. Long results are read piece by piece while they are written.
 */
async function* turnsOf(
  deps: JobDeps,
  caller: string,
  ids: readonly string[],
  withIntermediate: boolean,
): AsyncGenerator<JsonPiece[]> {
  const slice = new Slice()
  let isFirst = true
  let mostIds = FIRST_TURN
  let at = 0
  while (at < ids.length) {
    const turn = withDistinct(ids, at, mostIds)
    at += turn.length
    const told = await tell(deps, caller, turn, withIntermediate)
    const pieces: JsonPiece[] = []
    for (const entry of entriesOf(turn, told, withIntermediate)) {
      pieces.push(isFirst ? OPEN : SEPARATOR, ...entry)
      isFirst = false
    }
    yield pieces
    mostIds = idsOfNextTurn(mostIds, told)
    if (slice.isOver) await slice.next()
  }
  yield isFirst ? [NO_RESULTS] : [CLOSE]
}

/**
 * Counts what a request takes in memory while it waits, or its answer until the client has read it: of many requests that adds
 * up.
 *
 * @throws GatewayFault ERR_MEMORY_BUDGET
 */
function refuseWithoutRoom(bytes: number, memory: Reservation): void {
  const refusal = memory.grow(counted(bytes))
  if (refusal) throw replayRefused(refusal)
}

function counted(bytes: number): number {
  return bytes > UNCOUNTED_BYTES ? bytes : 0
}

/** The same turn by turn. Turns after the first are behind bytes that were sent, so they are counted without being refused. */
async function* countedTurns(turns: AsyncIterable<JsonPiece[]>, memory: Reservation): AsyncGenerator<JsonPiece[]> {
  let isFirst = true
  for await (const turn of turns) {
    if (isFirst) refuseWithoutRoom(bytesOf(turn), memory)
    else memory.growAnyway(counted(bytesOf(turn)))
    isFirst = false
    yield turn
    memory.shrink(memory.bytes)
  }
}

/** Memory that pieces take while they are sent. Of a long one a part at a time is read; the same bytes may be there many times. */
function bytesOf(pieces: readonly JsonPiece[]): number {
  let bytes = 0
  let longest = 0
  for (const piece of new Set(pieces)) {
    if (piece instanceof LongBytes) longest = Math.max(longest, Math.min(piece.length, PIECE_BYTES))
    else bytes += piece.length
  }
  return bytes + longest
}

async function tell(
  { live, ledger, byHand }: JobDeps,
  caller: string,
  ids: readonly string[],
  withIntermediate: boolean,
): Promise<Map<string, Told>> {
  const told = new Map<string, Told>()
  const kept: string[] = []
  for (const id of ids) {
    const job = live.toldFromMemory(caller, id)
    if (!job) kept.push(id)
    else if (job.end) told.set(id, job.end)
    else {
      const state = job.provisional?.told ?? 'running'
      told.set(id, { state, result: undefined, intermediate: job.intermediate })
    }
  }
  if (kept.length === 0) return told
  const options = { withIntermediate, inlineBytes: TURN_BYTES }
  const read = await ledger.read(caller, [...new Set(kept)], options)
  const states = await byHand.find(read.filter(({ state }) => state === 'running').map(({ id }) => id))
  for (const { id, state, result, intermediate } of read) {
    told.set(id, { state: states.get(id) ?? state, result, intermediate })
  }
  return told
}

/** So many of them, and as many more as only repeat those. */
function withDistinct(ids: readonly string[], start: number, most: number): readonly string[] {
  const distinct = new Set<string>()
  let end = start
  while (end < ids.length && (distinct.size < most || distinct.has(ids[end] as string)))
    distinct.add(ids[end++] as string)
  return ids.slice(start, end)
}

/** How many the next turn may have, by what this one took. */
function idsOfNextTurn(mostIds: number, told: ReadonlyMap<string, Told>): number {
  let bytes = 1
  for (const { result, intermediate } of told.values()) bytes += (result?.length ?? 0) + (intermediate?.length ?? 0)
  return Math.max(1, Math.min(2 * mostIds, Math.floor((mostIds * TURN_BYTES) / bytes)))
}

/** The entries in the order asked; one asked twice is told twice, out of the same bytes. */
function* entriesOf(
  ids: readonly string[],
  told: ReadonlyMap<string, Told>,
  withIntermediate: boolean,
): Generator<JsonPiece[]> {
  const entries = new Map([...told].map(([id, job]) => [id, jobJson(id, job, withIntermediate)]))
  for (const id of ids) {
    const entry = entries.get(id)
    if (entry) yield entry
  }
}

/** One entry, members in a node's own order; the results are the bytes that came. */
function jobJson(id: string, job: Told, withIntermediate: boolean): JsonPiece[] {
  const parts: JsonPiece[] = [Buffer.from(`{"id":${JSON.stringify(id)},`)]
  if (withIntermediate)
    parts.push(Buffer.from('"intermediate_results":'), job.intermediate ?? NO_RESULTS, Buffer.from(','))
  parts.push(Buffer.from('"result":'), job.result ?? NULL, Buffer.from(`,"status":"${job.state}"}`))
  return parts
}

/** `PUT /api/status` for a job of ours that we do not know. */
export function unknownJob(id: string): GatewayFault {
  return new GatewayFault('ERR_NOT_FOUND', 'No such job', { params: { id: shortened(id) } })
}
