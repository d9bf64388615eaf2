import type { ErrorRequestHandler } from 'express'
import type { ServerResponse } from 'node:http'
import { FAULTS, GatewayFault } from '../faults.ts'
import { contextOf } from './context.ts'
import { errorBody, errorShapeAt } from './errorShapes.ts'
import { endAnswer } from './readBody.ts'

/** Whatever was thrown, as a fault that a client may see. Only our own faults speak; anything else is an internal error. */
export function toFault(error: unknown): GatewayFault {
  if (error instanceof GatewayFault) return error
  // Express throws these for a path with a broken percent escape.
  if (error instanceof URIError) return new GatewayFault('ERR_BAD_REQUEST', 'The path is not properly encoded')
  return new GatewayFault('ERR_INTERNAL', undefined, { cause: error })
}

/** `Retry-After` of a fault that has no better one, seconds: about as long as a node needs to be seen again. */
export const RETRY_AFTER_SECONDS = '5'

/** Nothing was run, and time may help. */
function isWorthRetrying({ code }: GatewayFault): boolean {
  const { status } = FAULTS[code]
  return status === 429 || status === 503 || code === 'ERR_NODE_REFUSED'
}

/** Answers with a fault, or cuts the connection where an answer has begun: a cut is the only honest signal left. */
function sendFault(path: string, res: ServerResponse, fault: GatewayFault): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const body = errorBody(fault, errorShapeAt(path))
  const { status } = FAULTS[fault.code]
  res.statusCode = status
  if (isWorthRetrying(fault)) res.setHeader('Retry-After', RETRY_AFTER_SECONDS)
  for (const [name, value] of Object.entries(fault.headers ?? {})) res.setHeader(name, value)
  res.setHeader('Content-Type', 'application/json')
  res.setHeader('Content-Length', Buffer.byteLength(body))
  endAnswer(res, body)
}

/** Express's last handler: every error leaves as JSON, in the shape that clients of its path read, and is noted for the log. */
export const errorHandler: ErrorRequestHandler = (error: unknown, req, res, _next) => {
  const fault = toFault(error)
  const context = contextOf(req)
  context.fault = fault
  if (context.node !== undefined && !res.headersSent) res.setHeader('X-Infernet-Node', context.node)
  sendFault(req.path, res, fault)
}
