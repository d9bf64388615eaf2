import type { Request, Response } from 'express'
import type { Lease } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf, memoryOf } from '../http/index.ts'
import { abandon, isAccepted, type Answer, noteOutcome, writeAnswer } from '../upstream/index.ts'
import { acceptJob, idIn, newRecord } from './accepted.ts'
import { JOBS_PATH, type JobDeps } from './deps.ts'
import { readSubmission, roomOf, type ReadSubmission } from './readSubmission.ts'
import { hashBody } from './idempotency.ts'
import { idempotencyRecordOf, writeKept } from './idempotencyRecords.ts'
import type { IdempotencyRecord } from '../ledger/index.ts'
import { outgoingOf, SubmissionExchange } from './submissionExchange.ts'

/** How an accepted answer is kept for the Idempotency-Key of its request. */
interface Keeping {
  idempotencyRecord(answer: Answer, node: string): IdempotencyRecord
  /** To be called when the answer stands: whoever waits under the same key gets it. */
  isKept(answer: IdempotencyRecord): void
}

/** `POST /api/jobs`: one job or delegated subscription, to the best node that can take it. */
export function submitJob(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const submission = await readSubmission(deps, req, { allowsKey: true })
    const { caller, options } = submission.by
    await deps.whenReady()
    const request = { req, res, ...submission }
    if (options.idempotencyKey === undefined) return sendSubmission(deps, request)

    const use = { caller, path: JOBS_PATH, key: options.idempotencyKey, bodyHash: await hashBody(submission.body) }
    const kept = await deps.idempotency.once(use, (isKept) =>
      sendSubmission(deps, request, {
        idempotencyRecord: (answer, node) => idempotencyRecordOf(answer, use, node),
        isKept,
      }),
    )
    if (kept) writeKept(req, res, kept)
  }
}

/** A request to submit a job or subscription, once it is read. */
interface SubmissionRequest extends ReadSubmission {
  readonly req: Request
  readonly res: Response
}

async function sendSubmission(deps: JobDeps, request: SubmissionRequest, keeping?: Keeping): Promise<void> {
  const { req, res, by } = request
  const outgoing = await outgoingOf(deps, req, JOBS_PATH, request)
  const isJob = request.submission.kind === 'job'
  const room = roomOf(request)
  const giveBack = isJob ? deps.live.admit(by.caller, [room]) : deps.live.admit(by.caller, [], 1)
  let isOurs = false
  try {
    const outcome = await deps.upstream.send(new SubmissionExchange(deps, outgoing), { memory: memoryOf(req).answer })
    noteOutcome(contextOf(req), outcome)
    if (outcome.kind === 'fault') throw outcome.fault
    let { answer } = outcome
    if (outcome.kind === 'answer' && isAccepted(answer.status)) {
      answer = await recordAccepted(deps, { answer, lease: outcome.lease, room }, request, keeping)
      isOurs = isJob
    }
    writeAnswer(res, answer, outcome.nodeName)
  } finally {
    if (!isOurs) giveBack(room)
  }
}

/** Takes note of what a node has accepted; returns the answer as the client shall have it. */
async function recordAccepted(
  { live, ledger, logger }: JobDeps,
  { answer, lease, room }: { answer: Answer; lease: Lease; room: number },
  { body: request, submission, by }: SubmissionRequest,
  keeping: Keeping | undefined,
): Promise<Answer> {
  const kept = keeping?.idempotencyRecord(answer, lease.node.name)
  if (submission.kind === 'subscription') {
    // It is taken and cannot be taken back: its client hears of it, whether or not the answer can be kept.
    if (kept) await ledger.insert([], kept).catch((error: unknown) => logger.error('answer not kept', { error }))
    if (kept) keeping?.isKept(kept)
    return answer
  }
  try {
    const span = idIn(answer.body)
    if (!span) throw new GatewayFault('ERR_NODE_NONSENSE', 'The node accepted the job without naming its id')
    const record = newRecord(span.id, 'job', submission.containers, lease, by)
    const body = await acceptJob(live, { record, request, room, lease }, answer.body, kept)
    if (kept) keeping?.isKept({ ...kept, body })
    return { ...answer, body }
  } catch (error) {
    abandon(lease)
    throw error
  }
}
