import type { Request, Response } from 'express'
import { contextOf, type RequestContext } from '../http/context.ts'
import { sentStatus } from '../http/upgrades.ts'
import type { LogFields } from '../base/logger.ts'
import type { Logger } from './logger.ts'
import { routeOf } from './metrics.ts'

/** A reason may quote what the client sent, which may be megabytes. */
const MAX_REASON_LENGTH = 500
/** Ids and models that clients name, characters. */
const MAX_NAME_LENGTH = 200

/** Which requests have a line: `ACCESS_LOG`. */
export type AccessLog = 'all' | 'errors' | 'none'

/**
 * One line for each request that `ACCESS_LOG` wants, when it has ended. Those that went well have a line at `debug` also where only
 * errors are wanted. Never a body, a key or a query.
 */
export function requestLog(logger: Logger, access: AccessLog): (req: Request, res: Response) => void {
  if (access === 'none') return () => {}
  const successLevel = access === 'all' ? 'info' : logger.isDebug ? 'debug' : undefined
  const write = (req: Request, res: Response): void => {
    const context = contextOf(req)
    const { fault, node } = context
    // A page that says 503 of the gateway itself is an answer like any other; an orchestrator asks it every second.
    const isNodesError = node !== undefined && res.statusCode >= 400
    if (fault) {
      const isClients = fault.fault.source === 'client'
      if (!isClients) logger.warn('request failed', fieldsOf(req, res, context))
      else
        logger.info(fault.code === 'ERR_CLIENT_GONE' ? 'client left' : 'request refused', fieldsOf(req, res, context))
    } else if (isNodesError) {
      if (res.statusCode >= 500) logger.warn('node answered with an error', fieldsOf(req, res, context))
      else logger.info('node refused the request', fieldsOf(req, res, context))
    } else if (successLevel) logger[successLevel]('request', fieldsOf(req, res, context))
  }
  return (req, res) => {
    // What its leaving ends, such as a wait for a place, is noted within this turn.
    if (contextOf(req).fault?.code === 'ERR_CLIENT_GONE') setImmediate(write, req, res)
    else write(req, res)
  }
}

function fieldsOf(req: Request, res: Response, context: RequestContext): LogFields {
  const { fault, requestId, traceId, startedAt, node, tries, clientAddress, caller, model, job, batch } = context
  const { firstByteSeconds, queueSeconds, serviceSeconds, servedSince, bytesIn, sentBefore } = context
  const now = performance.now()
  return {
    requestId,
    ...(traceId !== undefined && { traceId }),
    method: req.method,
    route: routeOf(req),
    status: sentStatus(req, res),
    ...(fault && { fault: fault.code, reason: fault.message.slice(0, MAX_REASON_LENGTH), cause: fault.cause }),
    client: clientAddress,
    // Without a key it is the address.
    ...(caller !== clientAddress && { caller }),
    ...(job !== undefined && { job: job.slice(0, MAX_NAME_LENGTH) }),
    ...(batch && { jobs: batch.jobs, jobIds: batch.first }),
    ...(model !== undefined && { model: model.slice(0, MAX_NAME_LENGTH) }),
    node,
    tries,
    bytesIn,
    ...(sentBefore !== undefined && { bytesOut: req.socket.bytesWritten - sentBefore }),
    ms: rounded(now - startedAt),
    ...(queueSeconds !== undefined && { queueMs: rounded(queueSeconds * 1000) }),
    ...(firstByteSeconds !== undefined && { firstByteMs: rounded(firstByteSeconds * 1000) }),
    // That of a streamed answer, whose end was its client's, is not noted yet.
    ...((serviceSeconds !== undefined || servedSince !== undefined) && {
      serviceMs: rounded(serviceSeconds === undefined ? now - servedSince! : serviceSeconds * 1000),
    }),
  }
}

/** To a tenth of a millisecond. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
