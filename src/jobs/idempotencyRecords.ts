import type { Request, Response } from 'express'
import { steadyClock } from '../base/index.ts'
import { memoryOf, replayRefused } from '../http/index.ts'
import type { IdempotencyRecord } from '../ledger/index.ts'
import { type Answer, writeAnswer } from '../upstream/index.ts'
import type { KeyUse } from './idempotency.ts'

/** An accepted answer as it is kept for the Idempotency-Key of its request; `node` as the client hears of it. */
export function idempotencyRecordOf(answer: Answer, use: KeyUse, node: string | undefined): IdempotencyRecord {
  return {
    ...use,
    status: answer.status,
    contentType: String(answer.headers['content-type'] ?? 'application/json'),
    body: answer.body,
    ...(node !== undefined && { node }),
    createdAt: steadyClock.stampMs(),
  }
}

/**
 * Gives the first accepted answer again.
 *
 * @throws GatewayFault ERR_MEMORY_BUDGET; it stays kept
 */
export function writeKept(req: Request, res: Response, kept: IdempotencyRecord): void {
  const refusal = memoryOf(req).answer.grow(kept.body.length)
  if (refusal) throw replayRefused(refusal)
  res.setHeader('Idempotent-Replayed', 'true')
  const headers = { 'content-type': kept.contentType }
  writeAnswer(res, { status: kept.status, headers, body: kept.body }, kept.node)
}
