import type { Request, Response } from 'express'
import { GatewayFault } from '../faults.ts'
import { type CallerLimit, contextOf, memoryOf, readBody, tellQueueTime } from '../http/index.ts'
import { joinArray } from '../json/index.ts'
import { writeAnswer } from '../upstream/index.ts'
import { inTurns } from '../base/index.ts'
import { idIn, type Submitter } from './accepted.ts'
import { faultResult, noteOf, type BatchItem, type Refusal } from './batchItems.ts'
import { BatchRun } from './batchRun.ts'
import { BATCH_PATH, type JobDeps } from './deps.ts'
import { hashBody, type Keep } from './idempotency.ts'
import { readJobOptions } from './jobOptions.ts'
import { roomFor } from './admission/roomFor.ts'
import { batchSteps, type ReadItem } from './shape.ts'
import { idempotencyRecordOf, storeAnswer, waitForClient, writeKept } from './idempotencyRecords.ts'

/** Nodes that an answer names. */
const MOST_NAMED = 20
/** Characters of all names. */
const MOST_NAMES_LENGTH = 2000
/** Ids of jobs that a line of the log has. */
const MOST_IDS = 20

/** `POST /api/jobs/batch`: each item to the node that suits it, answered in order; a bad item gets its error in place. */
export function submitBatch(deps: JobDeps, limit: CallerLimit) {
  return async (req: Request, res: Response): Promise<void> => {
    // What cannot be read, or never be taken, counts as one request.
    let count = 1
    let options, body, items
    try {
      options = readJobOptions(req, { allowsKey: true })
      body = await readBody(req, deps.maxBodyBytes)
      items = await inTurns(batchSteps(body))
      refuseImpossible(items, deps, { caller: contextOf(req).caller, limit })
      count = Math.max(1, items.length)
    } finally {
      await limit.count(req, res, count)
    }
    const { caller, clientAddress, priority } = contextOf(req)
    const by: Submitter = { caller, clientAddress, priority, options }
    await deps.whenReady()
    const request = { req, res, body, readItems: items, by }
    if (options.idempotencyKey === undefined) return sendBatch(deps, request)

    const use = { caller, path: BATCH_PATH, key: options.idempotencyKey, bodyHash: await hashBody(body) }
    const submit = (accept: Keep): Promise<void> =>
      sendBatch(deps, request, async (answer) => {
        const idempotencyRecord = idempotencyRecordOf({ status: 200, headers: {}, body: answer }, use, undefined)
        accept(idempotencyRecord, await storeAnswer(deps, idempotencyRecord))
      })
    const kept = await deps.idempotency.once(use, submit, (ms) => waitForClient(res, ms))
    if (kept) writeKept(req, res, kept)
  }
}

/** @throws GatewayFault ERR_BATCH_TOO_LARGE naming the limit that not even a caller with its full budget would be within */
function refuseImpossible(
  items: readonly ReadItem[],
  { live }: JobDeps,
  { caller, limit }: { caller: string; limit: CallerLimit },
): void {
  live.refuseImpossible(caller, items.filter(({ submission }) => submission).length)
  const { setting, perMinute } = limit.boundOf(caller)
  if (perMinute === 0 || items.length <= perMinute) return
  throw new GatewayFault(
    'ERR_BATCH_TOO_LARGE',
    `A batch of ${items.length} items can never be taken: ${setting} is ${perMinute}`,
    { params: { setting, limit: perMinute, items: items.length } },
  )
}

/** A request to submit a batch, once it is read. */
interface BatchRequest {
  readonly req: Request
  readonly res: Response
  readonly body: Buffer
  readonly readItems: readonly ReadItem[]
  readonly by: Submitter
}

async function sendBatch(
  deps: JobDeps,
  { req, res, body, readItems, by }: BatchRequest,
  keep?: (answer: Buffer) => Promise<void>,
): Promise<void> {
  const items: BatchItem[] = readItems.map((item) => ({
    bytes: body.subarray(item.start, item.end),
    room: item.submission?.kind === 'job' ? roomFor(item.submission.containers, item.end - item.start) : 0,
    ...(item.fault ? { result: faultResult(item.fault) } : { submission: item.submission }),
  }))
  const valid = items.filter((item) => item.submission)
  const bytes = sum(valid.map((item) => item.room))
  const taken = await deps.live.admit(by.caller, { jobs: valid.length, bytes })
  const run = new BatchRun(deps, req, by)
  try {
    await run.run(items)
  } finally {
    noteRun(req, run, items)
    tellQueueTime(res, run.queueSeconds)
    contextOf(req).items = items.map(noteOf)
    const vain = valid.filter((item) => item.isOurs !== true)
    deps.live.giveBack(by.caller, { ...taken, jobs: vain.length, bytes: sum(vain.map((item) => item.room)) })
  }
  const common = commonFault(items, deps)
  if (common) throw common
  const refusal = commonRefusal(items)
  if (refusal) {
    contextOf(req).node = refusal.nodeName
    return writeAnswer(res, refusal.answer, refusal.nodeName)
  }
  const answer = joinArray(items.map((item) => (item.result ?? faultResult(new GatewayFault('ERR_INTERNAL'))).body))
  memoryOf(req).answer.growAnyway(answer.length)
  if (items.some((item) => item.isAccepted === true)) await keep?.(answer)
  const nodes = namesOf(items)
  contextOf(req).node = nodes
  writeAnswer(res, { status: 200, headers: { 'content-type': 'application/json' }, body: answer }, nodes)
}

/** For logs and metrics. */
function noteRun(req: Request, run: BatchRun, items: readonly BatchItem[]): void {
  const { calls, retries, queueSeconds, serviceSeconds } = run
  const ours = items.filter(({ isOurs }) => isOurs === true)
  const first = ours.slice(0, MOST_IDS).map(({ result }) => (result && idIn(result.body)?.id) ?? '')
  const batch = { jobs: ours.length, first, retries }
  Object.assign(contextOf(req), { tries: calls, queueSeconds, serviceSeconds, batch })
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** The nodes that served a batch. Clients take headers of 8 kB, some proxies of 4. */
function namesOf(items: readonly BatchItem[]): string | undefined {
  const nodes = [...new Set(items.map((item) => item.node).filter((node) => node !== undefined))]
  let named = nodes[0] ?? ''
  let count = 1
  while (count < Math.min(nodes.length, MOST_NAMED) && named.length + nodes[count]!.length < MOST_NAMES_LENGTH) {
    named += `, ${nodes[count++]}`
  }
  if (nodes.length > count) return `${named} and ${nodes.length - count} more`
  return named || undefined
}

/** Where nothing could be accepted, and all for one reason that is not the client's, that reason is the answer: a 200 would hide it. */
function commonFault(items: readonly BatchItem[], { fleet }: JobDeps): GatewayFault | undefined {
  const faults = items.map((item) => item.result?.fault).filter((fault) => fault !== undefined)
  const [first] = faults
  // A full queue is no fault of what was sent.
  if (!first || (first.fault.source === 'client' && first.code !== 'ERR_QUEUE_FULL')) return undefined
  if (first.code === 'ERR_NO_NODE' && fleet.healthy('infernet').length > 0) return undefined
  if (faults.length < items.length || faults.some((fault) => fault.code !== first.code)) return undefined
  return faults.reduce((soonest, fault) => (retryAfterOf(fault) < retryAfterOf(soonest) ? fault : soonest))
}

function retryAfterOf({ headers }: GatewayFault): number {
  return Number(headers?.['Retry-After'] ?? Infinity)
}

/** The same for refusals of nodes, where their status is the same for all: it goes on as that of a single job does. */
function commonRefusal(items: readonly BatchItem[]): Refusal | undefined {
  const first = items[0]?.result?.refusal
  return items.every((item) => item.result?.refusal?.answer.status === first?.answer.status) ? first : undefined
}
