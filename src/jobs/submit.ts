import type { Request, Response } from 'express'
import type { Lease } from '../dispatch/lease.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf } from '../http/context.ts'
import { memoryOf } from '../http/requestMemory.ts'
import { readBody } from '../http/readBody.ts'
import type { Answer } from '../upstream/answer.ts'
import { noteOutcome } from '../upstream/send.ts'
import { abandon } from '../upstream/settle.ts'
import { writeAnswer } from '../upstream/writeAnswer.ts'
import { inTurns } from '../base/turns.ts'
import { acceptJob, idIn, newRecord, type Submitter } from './accepted.ts'
import { JOBS_PATH, type JobDeps } from './deps.ts'
import { hashBody } from './idempotency.ts'
import { keptAnswerOf, writeKept } from './keptAnswers.ts'
import { readJobOptions } from './jobOptions.ts'
import type { KeptAnswer } from '../ledger/ledger.ts'
import { requirementOf } from './requirements.ts'
import { submissionSteps, type Submission } from './shape.ts'
import { jobHeaders, SubmissionExchange } from './submissionExchange.ts'
import { roomFor } from './requestRoom.ts'

/** How an accepted answer is kept for the Idempotency-Key of its request. */
interface Keeping {
  keptAnswer(answer: Answer, node: string): KeptAnswer
  /** To be called when the answer stands: whoever waits under the same key gets it. */
  isKept(answer: KeptAnswer): void
}

/** `POST /api/jobs`: one job or delegated subscription, to the best node that can take it. */
export function submitJob(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const options = readJobOptions(req, { allowsKey: true })
    const body = await readBody(req, deps.maxBodyBytes)
    const submission = await inTurns(submissionSteps(body))
    const { caller, clientAddress } = contextOf(req)
    const by: Submitter = { caller, clientAddress, options }
    await deps.whenReady()
    const request = { req, res, body, submission, by }
    if (options.idempotencyKey === undefined) return sendSubmission(deps, request)

    const use = { caller, path: JOBS_PATH, key: options.idempotencyKey, bodyHash: await hashBody(body) }
    const kept = await deps.idempotency.once(use, (isKept) =>
      sendSubmission(deps, request, {
        keptAnswer: (answer, node) => keptAnswerOf(answer, use, node),
        isKept,
      }),
    )
    if (kept) writeKept(req, res, kept)
  }
}

/** A request to submit a job or subscription, once it is read. */
interface SubmissionRequest {
  readonly req: Request
  readonly res: Response
  readonly body: Buffer
  readonly submission: Submission
  readonly by: Submitter
}

async function sendSubmission(deps: JobDeps, request: SubmissionRequest, keeping?: Keeping): Promise<void> {
  const { req, res, body, submission, by } = request
  const requirement = await requirementOf(submission, deps.selector)
  const isJob = submission.kind === 'job'
  const room = isJob ? roomFor(submission.containers, body.length) : 0
  const giveBack = isJob ? deps.live.admit(by.caller, [room]) : deps.live.admit(by.caller, [], 1)
  let isOurs = false
  try {
    const outgoing = { path: JOBS_PATH, body, submission, by, requirement, headers: jobHeaders(deps, req) }
    const outcome = await deps.upstream.send(new SubmissionExchange(deps, outgoing), { memory: memoryOf(req).answer })
    noteOutcome(contextOf(req), outcome)
    if (outcome.kind === 'fault') throw outcome.fault
    let { answer } = outcome
    if (outcome.kind === 'answer' && isAccepting(answer)) {
      answer = await recordAccepted(deps, { answer, lease: outcome.lease, room }, request, keeping)
      isOurs = isJob
    }
    writeAnswer(res, answer, outcome.nodeName)
  } finally {
    if (!isOurs) giveBack(room)
  }
}

function isAccepting({ status }: Answer): boolean {
  return status >= 200 && status <= 299
}

/** Takes note of what a node has accepted; returns the answer as the client shall have it. */
async function recordAccepted(
  { live, ledger, logger }: JobDeps,
  { answer, lease, room }: { answer: Answer; lease: Lease; room: number },
  { body: request, submission, by }: SubmissionRequest,
  keeping: Keeping | undefined,
): Promise<Answer> {
  const kept = keeping?.keptAnswer(answer, lease.node.name)
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
