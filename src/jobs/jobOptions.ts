import type { Request } from 'express'
import { GatewayFault } from '../faults.ts'

/** What a client asks of the gateway, beside the job itself. */
export interface JobOptions {
  /** `X-Infernet-Cost`, in the client's own unit. */
  readonly cost: number | undefined
  /** False with `X-Infernet-Failover: off`. */
  readonly failover: boolean
  readonly idempotencyKey: string | undefined
}

/** @throws GatewayFault ERR_BAD_REQUEST naming the header and what is allowed */
export function readJobOptions(req: Request, { allowsKey }: { allowsKey: boolean }): JobOptions {
  return { cost: readCost(req), failover: readFailover(req), idempotencyKey: readKey(req, allowsKey) }
}

function readCost(req: Request): number | undefined {
  const text = req.headers['x-infernet-cost']
  if (text === undefined) return undefined
  const cost = typeof text === 'string' && text.trim() !== '' ? Number(text) : NaN
  if (!(cost > 0 && Number.isFinite(cost))) throw bad('X-Infernet-Cost must be a number > 0')
  return cost
}

function readFailover(req: Request): boolean {
  const text = req.headers['x-infernet-failover']
  if (text === undefined) return true
  if (text === 'off') return false
  if (text === 'on') return true
  throw bad('X-Infernet-Failover must be "on" or "off"')
}

function readKey(req: Request, allowsKey: boolean): string | undefined {
  const key = req.headers['idempotency-key']
  if (key === undefined) return undefined
  if (!allowsKey) throw bad('Idempotency-Key is not allowed on streams')
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw bad('Idempotency-Key must be 1 to 255 visible ASCII characters')
  }
  return key
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_REQUEST', message)
}
