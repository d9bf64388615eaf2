import type { Request, Response } from 'express'
import { tellWait } from '../base/index.ts'
import { type TrackedNode, urlOf } from '../fleet/index.ts'
import { requireContainers, requireModel, shortened } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { admitKey, type Check, contextOf, type KeyRing, shownKey, type WrongKeys } from '../http/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { Leaving } from '../upstream/index.ts'
import type { LookupDeps } from './addresses.ts'
import type { KnownRequest, RequestIndexes } from './tickets/requestIndexes.ts'
import { containersOf, type RetryRequest, type RouteRequest, routeRequestOf } from './tickets/routeRequest.ts'
import { issueTicket } from './tickets/ticket.ts'
import type { TicketKeys } from './tickets/keys.ts'
import type { SharedReports } from './workers/sharedReports.ts'

/** Workers that are looked at for one ticket: those that turn out to be loading are passed over. */
const MOST_CHOSEN = 10
/**
 * How long a request that comes again waits for a worker, so that clients which poll get one as soon as it is there, and stay within
 * their budget of look-ups. They wait ten seconds for an answer.
 */
const WAIT_SECONDS = 5
/** How often it is looked whether the fleet has changed meanwhile, ms. */
const LOOK_MS = 50

export interface RouteDeps extends LookupDeps {
  readonly maxBodyBytes: number
  readonly keys: TicketKeys
  /** Numbers the tickets of each worker. */
  readonly ledger: Pick<Ledger, 'nextReqnum'>
  readonly indexes: RequestIndexes
  readonly reports: SharedReports
  /** Nothing waits any more while the gateway shuts down. */
  readonly drain: { readonly isDraining: boolean }
}

/** As `requireKey`; the body's `api_key` counts where no header shows one. */
export function requireRouteKey(ring: KeyRing, wrongKeys: WrongKeys): Check {
  return (req) => admitKey(req, ring, wrongKeys, shownKey(req) ?? routeRequestOf(req).apiKey)
}

/** `POST /route/`: a signed ticket, with which the client goes to the chosen worker itself. */
export function issueRoute(deps: RouteDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const asked = routeRequestOf(req)
    if (asked.retry) return issueInTurn(deps, asked, asked.retry, { req, res })
    await deps.whenReady()
    const worker = await choose(deps, asked)
    if (worker) {
      return sendJsonBytes(res, await ticketFor(deps, worker, asked, await deps.ledger.nextReqnum(urlOf(worker.spec))))
    }
    const { endpoint } = asked
    const fault = new GatewayFault('ERR_NO_NODE', `No ready worker for '${shortened(endpoint)}'`)
    contextOf(req).fault = fault
    res.setHeader('Retry-After', '5')
    res.status(fault.fault.status).json({ error: fault.message, endpoint, status: breakdown(deps) })
  }
}

/**
 * The same in the dialect that names requests. A request that comes again is still the same one: it counts as load once at each
 * worker, and gets another worker than before where there is one, since clients come again when a worker has failed them. Without
 * a ready worker the answer has no `url`, and its client asks again.
 */
async function issueInTurn(
  deps: RouteDeps,
  asked: RouteRequest,
  retry: RetryRequest,
  { req, res }: { readonly req: Request; readonly res: Response },
): Promise<void> {
  const { caller } = contextOf(req)
  const known = await deps.indexes.find(retry.index, caller)
  let worker = (await isReady(deps)) ? await choose(deps, asked, known) : undefined
  if (!worker && known) worker = await waitForWorker(deps, asked, known, res)
  const index = known ? retry.index : deps.indexes.next()
  const reqnum = worker && deps.ledger.nextReqnum(urlOf(worker.spec))
  // Both go to the ledger at once, and neither may be left alone with its failure.
  const [requestIndex, number] = await Promise.all([index, reqnum])
  await deps.indexes.note(requestIndex, { caller, worker: worker?.key ?? known?.worker ?? '' }, retry.replaySeconds)
  if (worker && number !== undefined) {
    return sendJsonBytes(res, await ticketFor(deps, worker, asked, number, requestIndex))
  }
  res.json({ endpoint: asked.endpoint, request_idx: requestIndex, status: breakdown(deps) })
}

async function isReady({ whenReady }: RouteDeps): Promise<boolean> {
  try {
    await whenReady()
    return true
  } catch (error) {
    if (error instanceof GatewayFault && error.code === 'ERR_NOT_READY') return false
    throw error
  }
}

/** A worker that becomes ready within the time that such a request waits; undefined where none does, or its client has left. */
async function waitForWorker(
  deps: RouteDeps,
  asked: RouteRequest,
  known: KnownRequest,
  res: Response,
): Promise<TrackedNode | undefined> {
  const { fleet } = deps
  const startedAt = performance.now()
  const until = fleet.now() + WAIT_SECONDS
  const leaving = new Leaving(res)
  const isOver = (): boolean => fleet.now() >= until || leaving.signal.aborted || deps.drain.isDraining
  try {
    while (!isOver()) {
      const { version } = fleet
      const worker = await choose(deps, asked, known)
      if (worker) return worker
      while (fleet.version === version && !isOver()) await pause(LOOK_MS)
    }
    return undefined
  } finally {
    tellWait('place', startedAt)
    leaving.forget()
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

function ticketFor(
  { keys }: RouteDeps,
  worker: TrackedNode,
  { endpoint, costSpelling: cost }: RouteRequest,
  reqnum: number,
  requestIndex?: number,
): Promise<Buffer> {
  return issueTicket(keys, { url: urlOf(worker.spec), endpoint, cost, reqnum, requestIndex })
}

function sendJsonBytes(res: Response, body: Buffer): void {
  res.setHeader('Content-Type', 'application/json')
  res.setHeader('Content-Length', body.length)
  res.end(body)
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

/**
 * The best ready worker, but not the one that had the request before, if there is another. The request counts as load at once,
 * before anything is waited for, so that a herd of callers spreads; at the worker that had it before it is counted already.
 */
async function choose(
  deps: RouteDeps,
  { endpoint, cost }: RouteRequest,
  known?: KnownRequest,
): Promise<TrackedNode | undefined> {
  let previous: TrackedNode | undefined
  for (const worker of ranked(deps, endpoint)) {
    if (worker.key === known?.worker) {
      previous = worker
      continue
    }
    countOn(deps, worker, cost)
    if (await deps.reports.isReady(worker)) return worker
  }
  return previous && (await deps.reports.isReady(previous)) ? previous : undefined
}

/** A cost of 0 says nothing of the size. */
function countOn({ fleet }: RouteDeps, worker: TrackedNode, cost: number): void {
  worker.load.lookedUp(fleet.now(), cost === 0 ? 1 : fleet.loads[worker.spec.kind].costRatio(cost))
  fleet.reconsiderPoll(worker)
}

/** An endpoint names containers before it names a model. */
function ranked({ selector }: RouteDeps, endpoint: string): readonly TrackedNode[] {
  const nodes = selector.rank(requireContainers(containersOf(endpoint)), MOST_CHOSEN, 0)
  return nodes.length > 0 ? nodes : selector.rank(requireModel(endpoint), MOST_CHOSEN, 0)
}

/** How the workers are, so that a caller can tell "all down" from "nobody has it". */
function breakdown({ fleet }: RouteDeps): Record<string, number> {
  const healthy = fleet.healthy().length
  const inService = [...fleet.nodes.values()].filter((node) => node.isInService)
  const total = inService.length
  const loading = inService.filter(({ notReady }) => notReady !== undefined).length
  return { healthy, unhealthy: total - healthy, total, ...(loading > 0 && { loading }) }
}
