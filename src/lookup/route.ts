import type { Request, RequestHandler, Response } from 'express'
import { type TrackedNode, urlOf } from '../fleet/index.ts'
import { requireContainers, requireModel, shortened } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { refuseTooLong } from '../ids.ts'
import { admitKey, type Check, contextOf, type KeyRing, readBody, shownKey, type WrongKeys } from '../http/index.ts'
import { JsonSyntaxError, memberOf, scanObject, stringAt, type JsonMember } from '../json/index.ts'
import type { LookupDeps } from './addresses.ts'
import { issueTicket } from './tickets/ticket.ts'
import type { TicketKeys } from './tickets/keys.ts'

/** More is never needed, whatever `MAX_BODY` allows. */
const MOST_BODY_BYTES = 64 * 1024
/** Where a caller names no cost. */
const DEFAULT_COST = 1
const ASKED = Symbol('what a ticket is asked for')

export interface RouteDeps extends LookupDeps {
  readonly maxBodyBytes: number
  readonly keys: TicketKeys
  /** The next number for a worker, durable. */
  readonly nextReqnum: (worker: string) => Promise<number>
}

interface Asked {
  readonly endpoint: string
  readonly cost: number
  readonly apiKey: string | undefined
}

/** Reads the body first, since the key may be in it. */
export function readRouteBody({ maxBodyBytes }: RouteDeps): RequestHandler {
  return async (req, _res, next) => {
    const asked = readAsked(await readBody(req, Math.min(maxBodyBytes, MOST_BODY_BYTES)))
    ;(req as Request & { [ASKED]?: Asked })[ASKED] = asked
    next()
  }
}

/** As `requireKey`; the body's `api_key` counts where no header shows one. */
export function requireRouteKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  return (req) => admitKey(req, ring, wrongKeys, shownKey(req) ?? askedOf(req).apiKey)
}

/** `POST /route/`: a signed ticket, with which the client goes to the chosen worker itself. */
export function issueRoute(deps: RouteDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const { endpoint, cost } = askedOf(req)
    await deps.whenReady()
    const worker = choose(deps, endpoint)
    if (!worker) {
      const fault = new GatewayFault('ERR_NO_NODE', `No ready worker for '${shortened(endpoint)}'`)
      contextOf(req).fault = fault
      res.setHeader('Retry-After', '5')
      res.status(fault.fault.status).json({ error: fault.message, endpoint, status: breakdown(deps) })
      return
    }
    const { fleet } = deps
    // Before anything is waited for, so that a herd of callers spreads.
    worker.load.lookedUp(fleet.now(), fleet.loads[worker.spec.kind].costRatio(cost))
    fleet.reconsiderPoll(worker)
    const url = urlOf(worker.spec)
    const reqnum = await deps.nextReqnum(url)
    const ticket = await issueTicket(deps.keys, { url, endpoint, cost, reqnum })
    res.setHeader('Content-Type', 'application/json')
    res.setHeader('Content-Length', ticket.body.length)
    res.end(ticket.body)
  }
}

/**
 * `GET /pubkey/`: what workers check tickets with.
 *
 * @throws GatewayFault ERR_LEDGER while the key that gateways share has not been read yet
 */
export function publicKey(keys: TicketKeys) {
  return (_req: Request, res: Response): void => {
    const pem = keys.publicKeyPem
    res.setHeader('Content-Type', 'application/x-pem-file')
    res.end(pem)
  }
}

/** An endpoint names containers before it names a model. */
function choose({ selector }: RouteDeps, endpoint: string): TrackedNode | undefined {
  const containers = containersOf(endpoint)
  return selector.rank(requireContainers(containers), 1, 0)[0] ?? selector.rank(requireModel(endpoint), 1, 0)[0]
}

function containersOf(endpoint: string): string[] {
  return endpoint.split(',').map((id) => id.trim())
}

/** How the workers are, so that a caller can tell "all down" from "nobody has it". */
function breakdown({ fleet }: RouteDeps): Record<string, number> {
  const healthy = fleet.healthy().length
  const total = fleet.nodes.size
  return { healthy, unhealthy: total - healthy, total }
}

function askedOf(req: Request): Asked {
  const asked = (req as Request & { [ASKED]?: Asked })[ASKED]
  if (!asked) throw new Error('a ticket was asked for without its body being read')
  return asked
}

/** @throws GatewayFault naming what is wrong and what is allowed */
function readAsked(body: Buffer): Asked {
  const members = readMembers(body)
  const endpoint = textOf(body, members, 'endpoint')
  if (endpoint === undefined || endpoint === '')
    throw bad('endpoint must be a string: a container, several joined by commas, or a model')
  for (const id of containersOf(endpoint)) refuseTooLong(id, 'ERR_BAD_SHAPE', 'Each id in endpoint')
  const cost = memberOf(members, 'cost')
  const number = cost?.kind === 'number' ? Number(body.toString('latin1', cost.start, cost.end)) : NaN
  if (cost && cost.kind !== 'null' && !(number > 0 && Number.isFinite(number))) throw bad('cost must be a number > 0')
  return { endpoint, cost: Number.isNaN(number) ? DEFAULT_COST : number, apiKey: textOf(body, members, 'api_key') }
}

function textOf(body: Buffer, members: readonly JsonMember[], name: string): string | undefined {
  const member = memberOf(members, name)
  if (!member || member.kind === 'null') return undefined
  if (member.kind !== 'string') throw bad(`${name} must be a string`)
  return stringAt(body, member)
}

function readMembers(body: Buffer): JsonMember[] {
  try {
    return scanObject(body)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new GatewayFault('ERR_BAD_JSON', `The body is not a JSON object: ${error.message}`, { cause: error })
  }
}

function bad(message: string): GatewayFault {
  return new GatewayFault('ERR_BAD_SHAPE', message)
}
