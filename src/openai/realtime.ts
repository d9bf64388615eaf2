import type { Request, Response } from 'express'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { GatewayFault } from '../faults.ts'
import { kindAtPath, requireModel } from '../dispatch/index.ts'
import { contextOf, protocolsWithoutKeys, upgradeOf } from '../http/index.ts'
import { refuseTooLong } from '../ids.ts'
import { type FlatHeaders, headersForBackend, RetryBudget } from '../upstream/index.ts'
import type { OpenAiDeps } from './forward.ts'
import { noService } from './models.ts'
import { secondTries } from './secondTries.ts'
import { headersFor, nameOf, pathAt } from './serviceCall.ts'

/** Also as clients of Azure's SDKs ask for it. */
const REALTIME = /^\/(?:v1|openai(?:\/v1)?)\/realtime\/*(?:\?|$)/i
const PROTOCOLS = 'sec-websocket-protocol'

/** Parameters that name the model; Azure's clients call it a deployment. */
const NAMES_MODEL: ReadonlySet<string> = new Set(['model', 'deployment'])

/** Another service only after words that say nothing was run. */
const NO_SECOND_RUN = { mayRunTwice: false, budget: new RetryBudget(), mayLackPrevious: false }

/**
 * Whether a request asks for a WebSocket to a service. Every other upgrade is ignored, as HTTP allows, and as it demands of
 * one of HTTP/1.0 (RFC 9110, 7.8); so is one with a body, whose bytes would reach the service as frames.
 */
export function isRealtimeUpgrade(req: IncomingMessage, url: string): boolean {
  const { method, headers, httpVersion } = req
  const isWebSocket = method === 'GET' && httpVersion !== '1.0' && headers.upgrade?.toLowerCase() === 'websocket'
  return isWebSocket && !hasBody(headers) && REALTIME.test(url)
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** `GET /v1/realtime?model=…` by WebSocket: goes to the best healthy service with the model, and stays open. */
export function openRealtime(deps: OpenAiDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const upgrade = upgradeOf(req)
    if (!upgrade) throw new GatewayFault('ERR_NO_UPGRADE', undefined, { headers: { Upgrade: 'websocket' } })
    const query = new Query(req.url)
    const { model } = query
    refuseTooLong(model, 'ERR_BAD_SHAPE', 'model')
    const context = contextOf(req)
    context.model = model
    await deps.whenReady()
    const { caller, credentialsAreOurs, withholdsProtocolKeys } = context
    const headers = headersForBackend(req, { via: deps.via })
    const keyless = withProtocols(headers, protocolsWithoutKeys(req.headers[PROTOCOLS]))
    const ours = credentialsAreOurs || withholdsProtocolKeys === true
    const requirement = requireModel(model)
    const reserved = await deps.spending?.beginSession(res, caller)
    const forwarding = deps.forwarder.forward(req, res, {
      requirement,
      caller,
      priority: context.priority,
      kind: kindAtPath(requirement, '/realtime'),
      model,
      cooldownKey: `openai ${model} ${caller}`,
      requestFor: (node) => {
        const path = `/realtime${query.withModel(node.models.nameFor(model) ?? model)}`
        const shown = ours || node.spec.apiKey !== undefined ? keyless : headers
        return {
          method: 'GET',
          path: pathAt(node, path),
          headers: headersFor(node, path, shown),
          body: null,
          upgrade: 'websocket',
        }
      },
      retry: { mayRunTwice: false, followsPushback: true, elsewhere: secondTries(model, NO_SECOND_RUN) },
      tap: () => ({}),
      upgrade,
      noNode: () => noService(deps.fleet, model),
    })
    try {
      await forwarding
      if (res.statusCode >= 400) reserved?.settle(0)
    } catch (error) {
      reserved?.settle(0)
      throw error
    }
  }
}

function withProtocols(headers: FlatHeaders, protocols: string | undefined): FlatHeaders {
  const out: FlatHeaders = []
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== PROTOCOLS) out.push(headers[i] as string, headers[i + 1] as string)
  }
  return protocols === undefined ? out : [...out, PROTOCOLS, protocols]
}

/** The parameters of a request: the bytes of all but the model stay as they came. */
class Query {
  readonly model: string
  readonly #others: readonly string[]

  /** @throws GatewayFault ERR_NO_MODEL */
  constructor(url: string) {
    const start = url.indexOf('?')
    const parameters = start < 0 ? [] : url.slice(start + 1).split('&')
    const search = new URLSearchParams(parameters.join('&'))
    const model = search.get('model') || search.get('deployment')
    if (!model) {
      throw new GatewayFault('ERR_NO_MODEL', 'No model specified: a parameter "model" is needed')
    }
    this.model = model
    this.#others = parameters.filter((parameter) => parameter !== '' && !NAMES_MODEL.has(nameOf(parameter)))
  }

  /** The query, with this model. */
  withModel(model: string): string {
    return `?${[`model=${encodeURIComponent(model)}`, ...this.#others].join('&')}`
  }
}
