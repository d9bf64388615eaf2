import type { Request, Response } from 'express'
import type { Lease } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf, memoryOf } from '../http/index.ts'
import { abandon, isAccepted, type Answer, noteOutcome, routingOf, writeAnswer } from '../upstream/index.ts'
import { acceptJob, idIn, newRecord } from './accepted.ts'
import { JOBS_PATH, type JobDeps } from './deps.ts'
import { readSubmission, roomOf, type ReadSubmission } from './readSubmission.ts'
import { hashBody, type Keep } from './idempotency.ts'
import { idempotencyRecordOf, storeAnswer, waitForClient, writeKept } from './idempotencyRecords.ts'
import type { IdempotencyRecord } from '../ledger/index.ts'
import { endedJob } from './results.ts'
import { outgoingOf, SubmissionExchange } from './submissionExchange.ts'
import { NOT_AT_ALL, preferredWait } from './waitTime.ts'
import { sendJsonPieces } from './writePieces.ts'

/** How an accepted answer is kept for the Idempotency-Key of its request. */
interface Keeping {
  idempotencyRecord(answer: Answer, node: string): IdempotencyRecord
  /** To be called when the answer stands: whoever waits under the same key gets it. */
  readonly isKept: Keep
}

/** `POST /api/jobs`: one job or delegated subscription, to the best node that can take it. */
export function submitJob(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    // Nothing of the request is held while its client waits for the job.
    const sent = await submit(deps, req, res)
    if (sent) await answerInTime(deps, req, res, sent)
  }
}

/** What became of a submission that reached a node. */
interface Sent {
  readonly answer: Answer
  readonly nodeName: string | undefined
  /** Why that one was chosen, where answers tell. */
  readonly routing: string | undefined
  /** Whether it is a job that is ours now. */
  readonly isOurs: boolean
}

/** A request to submit a job or subscription, once it is read. */
interface SubmissionRequest extends ReadSubmission {
  readonly req: Request
  readonly res: Response
}

/** Undefined where the answer to an earlier request is repeated. */
async function submit(deps: JobDeps, req: Request, res: Response): Promise<Sent | undefined> {
  const submission = await readSubmission(deps, req, { allowsKey: true })
  const { caller, options } = submission.by
  await deps.whenReady()
  const request = { req, res, ...submission }
  if (options.idempotencyKey === undefined) return sendSubmission(deps, request)

  const use = { caller, path: JOBS_PATH, key: options.idempotencyKey, bodyHash: await hashBody(submission.body) }
  let sent: Sent | undefined
  const send = async (isKept: Keep): Promise<void> => {
    const idempotencyRecord = (answer: Answer, node: string) => idempotencyRecordOf(answer, use, node)
    sent = await sendSubmission(deps, request, { idempotencyRecord, isKept })
  }
  const kept = await deps.idempotency.once(use, send, (ms) => waitForClient(res, ms))
  if (kept) {
    const id = idIn(kept.body)?.id
    if (id !== undefined) contextOf(req).job = id
    writeKept(req, res, kept)
  }
  return sent
}

async function sendSubmission(deps: JobDeps, request: SubmissionRequest, keeping?: Keeping): Promise<Sent> {
  const { req, res, by } = request
  const outgoing = await outgoingOf(deps, req, JOBS_PATH, request)
  const isJob = request.submission.kind === 'job'
  const room = roomOf(request)
  const taken = await deps.live.admit(by.caller, { jobs: 1, bytes: room })
  let isOurs = false
  try {
    const options = { memory: memoryOf(req).answer, client: res }
    const outcome = await deps.upstream.send(new SubmissionExchange(deps, outgoing), options)
    noteOutcome(contextOf(req), outcome, res)
    if (outcome.kind === 'fault') throw outcome.fault
    const { answer, nodeName } = outcome
    const routing = routingOf(outcome)
    if (outcome.kind !== 'answer' || !isAccepted(answer.status)) return { answer, nodeName, routing, isOurs }
    const recorded = await recordAccepted(deps, { answer, lease: outcome.lease, room }, request, keeping)
    isOurs = isJob
    return { answer: recorded, nodeName, routing, isOurs }
  } finally {
    if (!isOurs) deps.live.giveBack(by.caller, taken)
  }
}

/** Answers at once, or where the client prefers that, when the job has ended. */
async function answerInTime(deps: JobDeps, req: Request, res: Response, sent: Sent): Promise<void> {
  const { answer, nodeName, routing, isOurs } = sent
  const { seconds, applied } = isOurs ? preferredWait(req) : NOT_AT_ALL
  const id = applied === undefined ? undefined : idIn(answer.body)?.id
  if (id === undefined || applied === undefined) return writeAnswer(res, answer, nodeName, routing)
  const { caller, clientAddress: address } = contextOf(req)
  const { body, answer: memory } = memoryOf(req)
  body.release()
  const job = deps.live.ofCaller(caller, id)
  // Where gateways share the ledger, it runs until that has its end, or goes on at another gateway.
  const isUnfinished = deps.ledger.shared ? true : job && !job.end
  if (isUnfinished) await deps.askers.firstEnd([{ id, caller }], { address, seconds, res })
  if (res.destroyed) return
  res.setHeader('Preference-Applied', applied)
  // The job is taken, whatever hinders its result now: its client gets the id.
  const ended = await endedJob(deps, { caller, id, memory }).catch((error: unknown) => {
    if (!(error instanceof GatewayFault)) deps.logger.error('reading an ended job failed', { job: id, error })
  })
  if (!ended) return writeAnswer(res, answer, nodeName, routing)
  if (nodeName !== undefined) res.setHeader('X-Infernet-Node', nodeName)
  if (routing !== undefined) res.setHeader('X-Routing-Reason', routing)
  await sendJsonPieces(res, ended)
}

/** Takes note of what a node has accepted; returns the answer as the client shall have it. */
async function recordAccepted(
  { live, ledger, logger }: JobDeps,
  { answer, lease, room }: { answer: Answer; lease: Lease; room: number },
  { req, body: request, submission, by }: SubmissionRequest,
  keeping: Keeping | undefined,
): Promise<Answer> {
  const kept = keeping?.idempotencyRecord(answer, lease.node.name)
  if (submission.kind === 'subscription') {
    // It is taken and cannot be taken back: its client hears of it, whether or not the answer can be kept.
    if (kept) keeping?.isKept(kept, await storeAnswer({ ledger, logger }, kept))
    return answer
  }
  try {
    const span = idIn(answer.body)
    if (!span) throw new GatewayFault('ERR_NODE_NONSENSE', 'The node accepted the job without naming its id')
    const record = newRecord(span.id, 'job', submission.containers, lease, by)
    const body = await acceptJob(live, { record, request, room, lease }, answer.body, kept)
    // Another than the node's where that was taken.
    contextOf(req).job = (body === answer.body ? span : (idIn(body) ?? span)).id
    if (kept) keeping?.isKept({ ...kept, body })
    return { ...answer, body }
  } catch (error) {
    abandon(lease)
    throw error
  }
}
