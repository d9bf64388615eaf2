import type { Request, Response } from 'express'
import { GatewayFault } from '../faults.ts'
import { contextOf } from '../http/context.ts'
import { queryOf } from '../http/query.ts'
import { joinArray } from '../json/index.ts'
import type { JobDeps } from './deps.ts'

const NULL = Buffer.from('null')
const NO_RESULTS = Buffer.from('[]')

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
      return sendJson(res, Buffer.from(JSON.stringify(await deps.ledger.list(caller, which))))
    }
    const withIntermediate = query.get('intermediate') === 'true'
    const told = await tell(deps, caller, ids, withIntermediate)
    const parts: Buffer[] = []
    for (const id of ids) {
      const job = told.get(id)
      if (job) parts.push(jobJson(id, job, withIntermediate))
    }
    sendJson(res, joinArray(parts))
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
    else told.set(id, { state: 'running', result: undefined, intermediate: undefined })
  }
  if (finished.length === 0) return told
  for (const job of await ledger.read(caller, [...new Set(finished)], { withIntermediate })) {
    told.set(job.id, { state: job.state, result: job.result, intermediate: job.intermediate })
  }
  return told
}

/** One entry, members in a node's own order; the results are spliced in as the bytes that came. */
function jobJson(id: string, job: Told, withIntermediate: boolean): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`{"id":${JSON.stringify(id)},`)]
  if (withIntermediate)
    parts.push(Buffer.from('"intermediate_results":'), job.intermediate ?? NO_RESULTS, Buffer.from(','))
  parts.push(Buffer.from('"result":'), job.result ?? NULL, Buffer.from(`,"status":"${job.state}"}`))
  return Buffer.concat(parts)
}

/** JSON that is bytes already. */
export function sendJson(res: Response, body: Buffer): void {
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length })
  res.end(body)
}

/** `PUT /api/status` for a job of ours that we do not know. */
export function unknownJob(id: string): GatewayFault {
  return new GatewayFault('ERR_NOT_FOUND', 'No such job', { params: { id } })
}
