/** What has to hold in the end, whatever went wrong. */
import type { RedisServer } from '../kit/redisServer.ts'
import type { Acknowledged, Caller, Entry } from './caller.ts'
import { CONTAINER, type World } from './world.ts'

export interface Findings {
  readonly violations: string[]
  succeeded: number
  /** Failed jobs by the reason that their result gives. */
  readonly failed: Map<string, number>
  /** Jobs that callers have without having heard so: their gateway died before it could say it. */
  unheard: number
}

const IDS_PER_CALL = 100
/** A job is started so often at most. */
const MOST_RUNS = 3

/** Looks at every acknowledged job of every caller, through the gateways, and where they share a Redis there too. */
export async function check(callers: readonly Caller[], { shared }: World): Promise<Findings> {
  const findings: Findings = { violations: [], succeeded: 0, failed: new Map(), unheard: 0 }
  for (const [index, caller] of callers.entries()) {
    findings.violations.push(...caller.violations)
    const stranger = callers[(index + 1) % callers.length]!
    await checkList(caller, findings)
    for (let first = 0; first < caller.acknowledged.length; first += IDS_PER_CALL) {
      await checkJobs(caller, stranger, caller.acknowledged.slice(first, first + IDS_PER_CALL), findings)
    }
  }
  if (shared) await checkRuns(callers, shared.redis.master, findings)
  return findings
}

/** How often a job was started is nothing that a gateway tells. */
async function checkRuns(callers: readonly Caller[], redis: RedisServer, findings: Findings): Promise<void> {
  const ids = callers.flatMap(({ acknowledged }) => acknowledged.map(({ id }) => id))
  const script =
    "local runs = {} for i, id in ipairs(ARGV) do runs[i] = redis.call('HGET', KEYS[1] .. id, 'r') end return runs"
  for (let first = 0; first < ids.length; first += IDS_PER_CALL) {
    const some = ids.slice(first, first + IDS_PER_CALL)
    const runs = (await redis.call('EVAL', script, '1', '{igw}:j:', ...some)) as (string | null)[]
    some.forEach((id, index) => {
      const count = Number(runs[index])
      if (!(count >= 1 && count <= MOST_RUNS)) findings.violations.push(`${id} was started ${runs[index]} times`)
    })
  }
}

async function checkJobs(
  caller: Caller,
  stranger: Caller,
  jobs: readonly Acknowledged[],
  findings: Findings,
): Promise<void> {
  const ids = jobs.map(({ id }) => id)
  const seen = await stranger.entries(ids)
  for (const id of seen?.keys() ?? []) findings.violations.push(`${id} of ${caller.address} is shown to a stranger`)
  const entries = await caller.entries(ids)
  if (!entries || !seen) return void findings.violations.push(`${caller.address}: the gateway does not answer`)
  for (const job of jobs) checkJob(caller, job, entries.get(job.id), findings)
}

function checkJob(caller: Caller, job: Acknowledged, entry: Entry | undefined, findings: Findings): void {
  const wrong = (what: string): void => void findings.violations.push(`${job.id} of ${caller.address} ${what}`)
  if (!entry) return wrong('is not known any more')
  if (entry.status === 'running') return wrong('never ended')
  if (job.end !== undefined && job.end !== JSON.stringify(entry)) {
    wrong(`ended twice: ${job.end} and ${JSON.stringify(entry)}`)
  }
  if (entry.status === 'success') {
    findings.succeeded++
    const own = { container: CONTAINER, output: { echo: { token: job.token }, container: CONTAINER } }
    if (JSON.stringify(sorted(entry.result)) !== JSON.stringify(sorted(own)))
      wrong(`has ${JSON.stringify(entry.result)}`)
    return
  }
  const reason = entry.result?.error ?? 'no reason given'
  findings.failed.set(reason, (findings.failed.get(reason) ?? 0) + 1)
  if (entry.result?.container !== CONTAINER || !entry.result.error) wrong(`failed with ${JSON.stringify(entry.result)}`)
}

/** All that a caller heard of is in their list, once. */
async function checkList(caller: Caller, findings: Findings): Promise<void> {
  const list = await caller.list()
  if (!list) return void findings.violations.push(`${caller.address}: the gateway does not list its jobs`)
  const known = new Set(list)
  if (known.size < list.length) findings.violations.push(`${caller.address}: a job is listed twice`)
  const heard = new Set(caller.acknowledged.map(({ id }) => id))
  if (heard.size < caller.acknowledged.length) findings.violations.push(`${caller.address}: an id was given out twice`)
  for (const id of heard) if (!known.has(id)) findings.violations.push(`${id} of ${caller.address} is not listed`)
  findings.unheard += known.size - [...heard].filter((id) => known.has(id)).length
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  )
}
