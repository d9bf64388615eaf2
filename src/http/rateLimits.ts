import type { RequestHandler } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
import { isIPv6 } from 'node:net'
import { GatewayFault } from '../faults.ts'
import { contextOf } from './context.ts'

const WINDOW_MS = 60_000
/** Whoever holds one IPv6 address holds its /64: limits count them together. */
const IPV6_SUBNET = 64

/** At most `perMinute` requests a minute for each caller; 0 is no limit. Each call of this makes a budget of its own. */
export function limitPerCaller(perMinute: number, { showHeaders = false } = {}): RequestHandler {
  if (perMinute === 0) return (_req, _res, next) => next()
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: showHeaders ? 'draft-6' : false,
    legacyHeaders: false,
    keyGenerator: (req) => {
      const { caller } = contextOf(req)
      return caller.includes(':') && isIPv6(caller) ? ipKeyGenerator(caller, IPV6_SUBNET) : caller
    },
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
    // Our keys are already reduced to a subnet, and `trust proxy` is validated with the settings.
    validate: false,
  })
}
