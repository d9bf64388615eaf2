import type { Request, RequestHandler } from 'express'
import { GatewayFault } from '../../faults.ts'
import { readBody } from '../../http/index.ts'
import { refuseTooLong } from '../../ids.ts'
import { memberOf, type JsonMember } from '../../json/index.ts'
import { membersOf, numberIn, textIn } from '../members.ts'

/** More is never needed, whatever `MAX_BODY` allows. */
const MOST_BODY_BYTES = 64 * 1024
/** Where a caller names no cost. */
const DEFAULT_COST = '1'
const ROUTE_REQUEST = Symbol('what a ticket is asked for')

/** What a body of `POST /route/` asks for. */
export interface RouteRequest {
  readonly endpoint: string
  /** In the client's own unit, ≥ 0. */
  readonly cost: number
  /** The same as the client spelt it. */
  readonly costSpelling: string
  readonly apiKey: string | undefined
  /** There in the dialect of Vast's SDK since 1.0, which names requests. */
  readonly retry: RetryRequest | undefined
}

/** Which request a body belongs to, where it says so. */
export interface RetryRequest {
  /** The index that an earlier answer gave; 0 for the first try. */
  readonly index: number
  /** For how long after its last try the request may come again under the same index, seconds. */
  readonly replaySeconds: number | undefined
}

type WithRouteRequest = Request & { [ROUTE_REQUEST]?: RouteRequest }

/** Reads the body of `POST /route/` before the key is checked, since the key may be in it. */
export function readRouteBody({ maxBodyBytes }: { readonly maxBodyBytes: number }): RequestHandler {
  return async (req, _res, next) => {
    const body = await readBody(req, Math.min(maxBodyBytes, MOST_BODY_BYTES))
    ;(req as WithRouteRequest)[ROUTE_REQUEST] = readRouteRequest(body)
    next()
  }
}

/** What `readRouteBody` has read. */
export function routeRequestOf(req: Request): RouteRequest {
  const request = (req as WithRouteRequest)[ROUTE_REQUEST]
  if (!request) throw new Error('a ticket was asked for without its body being read')
  return request
}

/** The containers that an endpoint names, if it is no model. */
export function containersOf(endpoint: string): string[] {
  return endpoint.split(',').map((id) => id.trim())
}

/** @throws GatewayFault naming what is wrong and what is allowed */
function readRouteRequest(body: Buffer): RouteRequest {
  const members = membersOf(body)
  const endpoint = textIn(body, members, 'endpoint')
  if (endpoint === undefined || endpoint === '')
    throw bad('endpoint must be a string: a container, several joined by commas, or a model')
  for (const id of containersOf(endpoint)) refuseTooLong(id, 'ERR_BAD_SHAPE', 'Each id in endpoint')
  const cost = numberIn(body, members, 'cost')
  return {
    endpoint,
    cost: cost?.value ?? Number(DEFAULT_COST),
    costSpelling: cost?.spelling ?? DEFAULT_COST,
    apiKey: textIn(body, members, 'api_key'),
    retry: readRetry(body, members),
  }
}

function readRetry(body: Buffer, members: readonly JsonMember[]): RetryRequest | undefined {
  if (!memberOf(members, 'request_idx') && !memberOf(members, 'replay_timeout')) return undefined
  const index = numberIn(body, members, 'request_idx')?.value ?? 0
  if (!Number.isInteger(index)) throw bad('request_idx must be a whole number ≥ 0')
  return { index, replaySeconds: numberIn(body, members, 'replay_timeout')?.value }
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_SHAPE', message)
}
