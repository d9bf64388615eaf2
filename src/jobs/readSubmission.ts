import type { Request } from 'express'
import { inTurns } from '../base/index.ts'
import { contextOf, readBody } from '../http/index.ts'
import type { Submitter } from './accepted.ts'
import type { JobDeps } from './deps.ts'
import { readJobOptions } from './jobOptions.ts'
import { roomFor } from './admission/roomFor.ts'
import { submissionSteps, type Submission } from './shape.ts'

/** A submission as its client sent it. */
export interface ReadSubmission {
  readonly body: Buffer
  readonly submission: Submission
  readonly by: Submitter
}

/**
 * Reads and checks what a request submits.
 *
 * @throws GatewayFault naming what is wrong with its headers or its body
 */
export async function readSubmission(
  deps: JobDeps,
  req: Request,
  { allowsKey }: { allowsKey: boolean },
): Promise<ReadSubmission> {
  const options = readJobOptions(req, { allowsKey })
  const body = await readBody(req, deps.maxBodyBytes)
  const submission = await inTurns(submissionSteps(body))
  const context = contextOf(req)
  if (submission.kind === 'job') context.containers = submission.containers
  const { caller, clientAddress, priority } = context
  return { body, submission, by: { caller, clientAddress, priority, options } }
}

/** The room that it takes in the ledger until its end, bytes; none for a subscription. */
export function roomOf({ body, submission }: ReadSubmission, { keepsRequest = true } = {}): number {
  return submission.kind === 'job' ? roomFor(submission.containers, body.length, keepsRequest ? body.length : 0) : 0
}
