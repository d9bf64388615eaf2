import type { Response } from 'express'
import { createProxyMiddleware, type Plugin, type RequestHandler } from 'http-proxy-middleware'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayFault } from '../faults.ts'
import { toFault } from '../http/errors.ts'

/** What http-proxy-middleware carries for a request: how its answer comes to be. */
export interface Relayed {
  /** Sends the request to a backend and the answer to the client. Rejects with a fault while nothing of an answer was written. */
  relay(): Promise<void>
}

/**
 * Stands in for the request on its way through http-proxy-middleware. All that this looks at is the URL, to see whether it
 * shall proxy it; our routes have seen to that, and an empty one spares it parsing.
 */
class Passage {
  readonly url = ''
  readonly #relayed: Relayed
  isRelayed = false
  failure: GatewayFault | undefined

  constructor(relayed: Relayed) {
    this.#relayed = relayed
  }

  /** Never rejects: what http-proxy-middleware makes of an error depends on who listens to its events, so it gets none. */
  async relay(): Promise<void> {
    this.isRelayed = true
    try {
      await this.#relayed.relay()
    } catch (error) {
      this.failure = toFault(error)
    }
  }
}

/** It wants a target; where a request really goes is decided anew for each try. It would parse a string once a request. */
const NOWHERE = new URL('http://node.invalid')

/**
 * http-proxy-middleware as the layer that answers travel through, with undici as its transport: a plugin replaces the proxy
 * server's `web`, which knows neither time-outs from resets nor a second backend. WebSockets go the same way: its own `ws` ends
 * the client's connection without an answer where a backend cannot be reached, and passes every header on.
 *
 * This is the one file that knows of it.
 */
export class ProxyMiddleware {
  readonly #middleware: RequestHandler<IncomingMessage, ServerResponse>

  constructor() {
    const overUndici: Plugin = (proxyServer) => {
      proxyServer.web = (passage) => (passage as unknown as Passage).relay()
    }
    this.#middleware = createProxyMiddleware({
      pathFilter: () => true,
      target: NOWHERE,
      plugins: [overUndici],
      // The default plugins answer errors in plain text and log each request.
      ejectPlugins: true,
    })
  }

  /** Runs `relayed.relay()` as the proxied request; rejects with what that rejects with, or where it was not run. */
  async carry(relayed: Relayed, res: Response): Promise<void> {
    const passage = new Passage(relayed)
    let refusal: unknown
    await this.#middleware(passage as unknown as IncomingMessage, res, (error) => (refusal = error))
    if (passage.failure) throw passage.failure
    if (!passage.isRelayed) throw new GatewayFault('ERR_INTERNAL', undefined, { cause: refusal })
  }
}
