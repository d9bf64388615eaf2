import type { Request, Response } from 'express'
import { contextOf, type RequestContext } from '../../http/context.ts'
import { sentStatus } from '../../http/upgrades.ts'

/** What became of a client's request. Their order is that of the counters. */
export const OUTCOMES = ['succeeded', 'refused', 'failed', 'left'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** 429 Too Many Requests. */
const TOO_MANY = 429

/**
 * `refused`: the client has to ask otherwise, or less often. `failed`: it got an error, or no whole answer, through no fault of its own;
 * that includes a batch of which one item failed so. `left`: it did not wait for its answer.
 */
export function outcomeOf(req: Request, res: Response): Outcome {
  const context = contextOf(req)
  const { fault } = context
  if (fault) {
    if (fault.code === 'ERR_CLIENT_GONE') return 'left'
    return fault.fault.source === 'client' ? 'refused' : 'failed'
  }
  const status = sentStatus(req, res)
  // The limits of the gateway itself are faults: this one is a backend that has no room.
  if (status >= 500 || status === TOO_MANY) return 'failed'
  if (status >= 400) return 'refused'
  if (status === 0) return 'left'
  return hasFailedItem(context) ? 'failed' : 'succeeded'
}

function hasFailedItem({ items }: RequestContext): boolean {
  return items !== undefined && items.some(({ outcome }) => outcome === 'failed')
}
