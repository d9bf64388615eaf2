import type { RequestHandler } from 'express'
import { rateLimit } from 'express-rate-limit'
import { GatewayFault } from '../faults.ts'
import { contextOf } from './context.ts'

const WINDOW_MS = 60_000

/** At most `perMinute` requests a minute for each caller; 0 is no limit. Each call of this makes a budget of its own. */
export function limitPerCaller(perMinute: number, { showHeaders = false } = {}): RequestHandler {
  if (perMinute === 0) return (_req, _res, next) => next()
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: showHeaders ? 'draft-6' : false,
    legacyHeaders: false,
    keyGenerator: (req) => contextOf(req).caller,
    handler: (req, _res, next) => {
      const resetTime = (req as { rateLimit?: { resetTime?: Date } }).rateLimit?.resetTime
      const seconds = resetTime ? Math.ceil((resetTime.getTime() - Date.now()) / 1000) : WINDOW_MS / 1000
      next(
        new GatewayFault('ERR_RATE_LIMITED', `Too many requests: ${perMinute} a minute are allowed`, {
          params: { limit: perMinute, window_seconds: WINDOW_MS / 1000 },
          headers: { 'Retry-After': String(Math.max(1, seconds)) },
        }),
      )
    },
    // A limit is for the very caller that owns jobs, each IPv6 address too; `trust proxy` is validated with the settings.
    validate: false,
  })
}
