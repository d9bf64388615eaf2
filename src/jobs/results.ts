import type { Request, Response } from 'express'
import { GatewayFault } from '../faults.ts'
import { contextOf } from '../http/context.ts'
import { queryOf } from '../http/query.ts'
import type { JobDeps } from './deps.ts'
import { sendJsonPieces } from './writePieces.ts'

const NULL = Buffer.from('null')
const NO_RESULTS = Buffer.from('[]')
const OPEN = Buffer.from('[')
const SEPARATOR = Buffer.from(',')
const CLOSE = Buffer.from(']')

/** What a client hears of one job. */
interface Told {
  readonly state: 'running' | 'success' | 'failed'
  readonly result: Uint8Array | undefined
  readonly intermediate: Uint8Array | undefined
}

/** `GET /api/jobs`: the caller's own jobs, on whatever node they ran; without ids a list of ids. */
export function readJobs(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const { caller } = contextOf(req)
    const query = queryOf(req)
    const ids = query.getAll('id')
    if (ids.length === 0) {
      const pending = query.get('pending')
      // Anything but these two words asks for all, as at a node.
      const which = pending === 'true' ? 'pending' : pending === 'false' ? 'finished' : 'all'
      return sendJsonPieces(res, [Buffer.from(JSON.stringify(await deps.ledger.list(caller, which)))])
    }
    const withIntermediate = query.get('intermediate') === 'true'
    const told = await tell(deps, caller, ids, withIntermediate)
    await sendJsonPieces(res, jobsJson(ids, told, withIntermediate))
  }
}

async function tell(
  { live, ledger }: JobDeps,
  caller: string,
  ids: readonly string[],
  withIntermediate: boolean,
): Promise<Map<string, Told>> {
  const told = new Map<string, Told>()
  const finished: string[] = []
  for (const id of ids) {
    const job = live.ofCaller(caller, id)
    if (!job) finished.push(id)
    else if (job.end) told.set(id, job.end)
    else told.set(id, { state: 'running', result: undefined, intermediate: job.intermediate })
  }
  if (finished.length === 0) return told
  for (const job of await ledger.read(caller, [...new Set(finished)], { withIntermediate })) {
    told.set(job.id, { state: job.state, result: job.result, intermediate: job.intermediate })
  }
  return told
}

/** The list of entries, in the order asked; one asked twice is told twice, out of the same bytes. */
function jobsJson(ids: readonly string[], told: Map<string, Told>, withIntermediate: boolean): Uint8Array[] {
  const entries = new Map([...told].map(([id, job]) => [id, jobJson(id, job, withIntermediate)]))
  const pieces: Uint8Array[] = []
  for (const id of ids) {
    const entry = entries.get(id)
    if (entry) pieces.push(pieces.length === 0 ? OPEN : SEPARATOR, ...entry)
  }
  if (pieces.length === 0) return [NO_RESULTS]
  pieces.push(CLOSE)
  return pieces
}

/** One entry, members in a node's own order; the results are the bytes that came. */
function jobJson(id: string, job: Told, withIntermediate: boolean): Uint8Array[] {
  const parts: Uint8Array[] = [Buffer.from(`{"id":${JSON.stringify(id)},`)]
  if (withIntermediate)
    parts.push(Buffer.from('"intermediate_results":'), job.intermediate ?? NO_RESULTS, Buffer.from(','))
  parts.push(Buffer.from('"result":'), job.result ?? NULL, Buffer.from(`,"status":"${job.state}"}`))
  return parts
}

/** `PUT /api/status` for a job of ours that we do not know. */
export function unknownJob(id: string): GatewayFault {
  return new GatewayFault('ERR_NOT_FOUND', 'No such job', { params: { id } })
}
