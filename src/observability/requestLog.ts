import type { Request, Response } from 'express'
import { contextOf } from '../http/context.ts'
import { sentStatus } from '../http/upgrades.ts'
import type { Logger } from './logger.ts'
import { routeOf } from './metrics.ts'

/** A reason may quote what the client sent, which may be megabytes. */
const MAX_REASON_LENGTH = 500

/** One line for each failed request; successes only at `debug`. Never a body, a key or a query. */
export function logRequest(logger: Logger, req: Request, res: Response): void {
  const { fault, requestId, startedAt, node, tries, firstByteSeconds, clientAddress } = contextOf(req)
  // A page that says 503 of the gateway itself is an answer like any other; an orchestrator asks it every second.
  const isNodesError = node !== undefined && res.statusCode >= 500
  if (!fault && !isNodesError && !logger.isDebug) return
  const fields = {
    requestId,
    method: req.method,
    route: routeOf(req),
    status: sentStatus(req, res),
    ...(fault && { fault: fault.code, reason: fault.message.slice(0, MAX_REASON_LENGTH), cause: fault.cause }),
    node,
    tries,
    client: clientAddress,
    ms: Math.round((performance.now() - startedAt) * 10) / 10,
    ...(firstByteSeconds !== undefined && { firstByteMs: Math.round(firstByteSeconds * 10_000) / 10 }),
  }
  if (!fault) {
    if (isNodesError) logger.warn('node answered with an error', fields)
    else logger.debug('request', fields)
  } else if (fault.fault.source === 'client') {
    logger.info(fault.code === 'ERR_CLIENT_GONE' ? 'client left' : 'request refused', fields)
  } else {
    logger.warn('request failed', fields)
  }
}
