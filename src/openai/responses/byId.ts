import type { Request, Response } from 'express'
import { isPushback } from '../../dispatch/index.ts'
import { GatewayFault } from '../../faults.ts'
import { contextOf, readBody } from '../../http/index.ts'
import { type Elsewhere, headersForBackend, type StreamTap } from '../../upstream/index.ts'
import type { OpenAiDeps } from '../forward.ts'
import { headersFor, pathAt } from '../serviceCall.ts'
import { ANY_HOME, atHome, homeIsDown, homeOf, noResponse, requireHome } from './place.ts'

/** Services that are asked for a response that this gateway does not know. */
const MAX_ASKED = 8

/** No service gets other characters within a path: a slash or a dot segment would lead elsewhere, with the service's own key. */
const PLAUSIBLE_ID = /^(?!\.{1,2}$)[\w.~:=+@-]{1,256}$/

/** What a service says that does not have the response, or no responses at all. */
const HAS_IT_NOT: ReadonlySet<number> = new Set([404, 405, 501])

const RETRY_SOON = { 'Retry-After': '5' }

/** What can be done with a response by its id. */
export type ResponsePart = '' | '/cancel' | '/input_items'

/**
 * `GET` and `DELETE /v1/responses/{id}`, `POST …/cancel` and `GET …/input_items` go to the service that made the response. Where
 * this gateway does not know that, services are asked in turn until one has it.
 */
export function forwardResponse(deps: OpenAiDeps, part: ResponsePart) {
  const { fleet, homes } = deps
  return async (req: Request, res: Response): Promise<void> => {
    const id = String(req.params['id'])
    const body = req.method === 'POST' ? await readBody(req, deps.maxBodyBytes) : null
    if (!PLAUSIBLE_ID.test(id)) throw noResponse(id)
    await deps.whenReady()
    const { caller } = contextOf(req)
    const home = await homeOf(id, caller, homes, fleet)
    const method = req.method === 'HEAD' ? 'GET' : (req.method as 'GET' | 'POST' | 'DELETE')
    const contentType = body?.length ? (req.headers['content-type'] ?? 'application/json') : undefined
    const headers = headersForBackend(req, { via: deps.via, contentType })
    const query = req.url.indexOf('?')
    const path = `/responses/${encodeURIComponent(id)}${part}${query < 0 ? '' : req.url.slice(query)}`
    const takes: StreamTap['takes'] = (status) => {
      if (status < 300 && method === 'DELETE') homes.forget(id)
      return true
    }
    const forwarding = deps.forwarder.forward(req, res, {
      requirement: home ? requireHome(home) : ANY_HOME,
      caller,
      cooldownKey: `responses ${caller}`,
      requestFor: (node) => ({ method, path: pathAt(node, path), headers: headersFor(node, path, headers), body }),
      // Asking another service changes nothing there, unless it has the response.
      retry: { mayRunTwice: true, followsPushback: true, elsewhere: home ? NOWHERE_ELSE : IN_TURN },
      tap: () => ({ takes }),
      noNode: () => (home ? homeIsDown(home) : new GatewayFault('ERR_NO_SERVICE', undefined, { headers: RETRY_SOON })),
    })
    const { how, node } = await (home ? atHome(home, forwarding) : forwarding)
    const isFound = how !== 'collected' && res.statusCode < 300 && method !== 'DELETE'
    if (isFound && node && !home) homes.remember(id, { nodeKey: node.key, caller: undefined })
  }
}

/** There is no other service to ask. */
const NOWHERE_ELSE: Elsewhere = { holds: isPushback, after: () => 'pass' }

/** One service after the other until one has it. */
const IN_TURN: Elsewhere = {
  holds: (status) => status >= 400,
  after: () => 'retry',
  saysLittle: (status) => HAS_IT_NOT.has(status),
  maxTries: MAX_ASKED,
}
