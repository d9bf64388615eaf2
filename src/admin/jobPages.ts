import type { Request, RequestHandler } from 'express'
import { GatewayFault } from '../faults.ts'
import { type Fleet, parseAddress } from '../fleet/index.ts'
import { queryOf, wholeNumber } from '../http/index.ts'
import type { JobRecord, Ledger } from '../ledger/index.ts'

const DEFAULT_LIMIT = 50
const MOST_JOBS = 200
/** A longer error of a job is cut, and one whose result is longer is not read, characters and bytes. */
const MAX_ERROR = 500
const MAX_RESULT_BYTES = 64 * 1024
const MAX_PARAMETER = 2000
const STATES = ['running', 'success', 'failed'] as const
const PARAMETERS: readonly string[] = ['state', 'caller', 'node', 'container', 'limit', 'after']
/** What `next` may be: a number, or a place in Redis. */
const CURSOR = /^[\w:.+-]{1,200}$/

export interface JobPagesDeps {
  readonly fleet: Fleet
  readonly ledger: Ledger
}

/** `GET /admin/jobs?state=&caller=&node=&container=&limit=&after=`: jobs of all callers, a page at a time, without any body. */
export function listJobs({ fleet, ledger }: JobPagesDeps): RequestHandler {
  return async (req, res) => {
    const query = queryOf(req)
    refuseUnknown(query)
    const node = parameter(query, 'node')
    const { jobs, next } = await ledger.browse({
      state: stateIn(query),
      caller: parameter(query, 'caller'),
      node: node === undefined ? undefined : keyOf(fleet, node),
      container: parameter(query, 'container'),
      after: cursorIn(query),
      limit: limitIn(query),
    })
    res.setHeader('Cache-Control', 'no-store')
    res.json({ jobs: await Promise.all(jobs.map((job) => shown(job, fleet, ledger))), next: next ?? null })
  }
}

/** `GET /admin/jobs/{id}`: one of them. */
export function showJob({ fleet, ledger }: JobPagesDeps): RequestHandler {
  return async (req, res) => {
    const job = await ledger.find(idIn(req))
    if (!job) throw new GatewayFault('ERR_NOT_FOUND', 'No job has this id, or it ended longer ago than JOB_TTL')
    res.setHeader('Cache-Control', 'no-store')
    res.json(await shown(job, fleet, ledger))
  }
}

function idIn(req: Request): string {
  return String(req.params['id'])
}

async function shown(job: JobRecord, fleet: Fleet, ledger: Ledger): Promise<object> {
  const { finishedAt } = job
  return {
    id: job.id,
    state: job.state,
    kind: job.kind,
    caller: job.caller,
    client_address: job.clientAddress,
    containers: job.containers,
    node: fleet.find(job.node)?.name ?? job.node,
    node_job_id: job.nodeJobId,
    runs: job.runs,
    created_at: isoTime(job.createdAt),
    run_started_at: isoTime(job.runStartedAt),
    finished_at: finishedAt === undefined ? null : isoTime(finishedAt),
    failover: job.failover,
    client_gone: job.clientGone === true,
    cost: job.cost ?? null,
    error: job.state === 'failed' ? await errorOf(job, ledger) : null,
  }
}

/** Why a job failed, where its result says so in a text. */
async function errorOf({ id, caller }: JobRecord, ledger: Ledger): Promise<string | null> {
  const [status] = await ledger.read(caller, [id], { withIntermediate: false, inlineBytes: MAX_RESULT_BYTES })
  const { result } = status ?? {}
  if (!Buffer.isBuffer(result)) return null
  try {
    const { error } = JSON.parse(result.toString()) as { error?: unknown }
    return typeof error === 'string' ? error.slice(0, MAX_ERROR) : null
  } catch {
    return null
  }
}

/** The key of the node with this name; of one that is no longer listed, by its address. */
function keyOf(fleet: Fleet, name: string): string {
  const listed = [...fleet.nodes.values()].find((node) => node.name === name)
  if (listed) return listed.key
  try {
    return parseAddress(name).key
  } catch {
    return name
  }
}

/** A filter that is misspelt would show all jobs as if they met it. */
function refuseUnknown(query: URLSearchParams): void {
  for (const name of query.keys()) {
    if (!PARAMETERS.includes(name))
      throw bad(`${name.slice(0, 100)} is no parameter of this page: allowed are ${PARAMETERS.join(', ')}`)
  }
}

function stateIn(query: URLSearchParams): (typeof STATES)[number] | undefined {
  const given = parameter(query, 'state')
  const state = STATES.find((one) => one === given)
  if (given !== undefined && !state) throw bad(`state must be one of ${STATES.join(', ')}`)
  return state
}

function limitIn(query: URLSearchParams): number {
  const limit = wholeNumber(query, 'limit', DEFAULT_LIMIT)
  if (limit < 1 || limit > MOST_JOBS) throw bad(`limit must be a whole number from 1 to ${MOST_JOBS}`)
  return limit
}

function cursorIn(query: URLSearchParams): string | undefined {
  const after = parameter(query, 'after')
  if (after !== undefined && !CURSOR.test(after)) throw bad('after must be `next` of the page before')
  return after
}

function parameter(query: URLSearchParams, name: string): string | undefined {
  const value = query.get(name) ?? ''
  if (value.length > MAX_PARAMETER) throw bad(`${name} has at most ${MAX_PARAMETER} characters`)
  return value === '' ? undefined : value
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_REQUEST', message)
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
