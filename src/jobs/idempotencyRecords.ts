import type { Request, Response } from 'express'
import { setTimeout as sleep } from 'node:timers/promises'
import { steadyClock } from '../base/index.ts'
import { memoryOf, replayRefused } from '../http/index.ts'
import type { IdempotencyRecord } from '../ledger/index.ts'
import { type Answer, Leaving, writeAnswer } from '../upstream/index.ts'
import type { JobDeps } from './deps.ts'
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
 * Stores the answer to a submission that a node has accepted. Its client gets the answer even where storing fails, since the
 * submission cannot be undone. Returns whether it was stored; never rejects.
 */
export async function storeAnswer(
  { ledger, logger }: Pick<JobDeps, 'ledger' | 'logger'>,
  answer: IdempotencyRecord,
): Promise<boolean> {
  try {
    await ledger.insert([], answer)
    return true
  } catch (error) {
    logger.error('answer not kept', { error })
    return false
  }
}

/**
 * Waits, but not for a client that has left.
 *
 * @throws GatewayFault ERR_CLIENT_GONE
 */
export async function waitForClient(res: Response, ms: number): Promise<void> {
  const leaving = new Leaving(res)
  const { signal } = leaving
  try {
    await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
  } finally {
    leaving.forget()
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
