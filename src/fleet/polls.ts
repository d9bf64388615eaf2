import axios, { type AxiosProxyConfig, type AxiosRequestConfig, type AxiosResponse } from 'axios'
import type { ClientRequest } from 'node:http'
import http from 'node:http'
import https from 'node:https'
import { NO_PROXIES, type ForwardProxies } from './forwardProxies.ts'

/** A node closes idle connections after 5 s; ours go first, so that none is used while it closes. */
const IDLE_SOCKET_MS = 4000
/** Codes of a connection that the other side has closed. */
const CLOSED_CODES: readonly (string | undefined)[] = ['ECONNRESET', 'EPIPE']

/** The connections of calls that the gateway makes on its own account: polls, and questions to an explorer. */
export class Polls {
  readonly #proxies: ForwardProxies
  readonly #agents = {
    httpAgent: new http.Agent({ keepAlive: true, timeout: IDLE_SOCKET_MS }),
    httpsAgent: new https.Agent({ keepAlive: true, timeout: IDLE_SOCKET_MS }),
  }
  readonly #freshAgents = { httpAgent: new http.Agent(), httpsAgent: new https.Agent() }

  constructor(proxies: ForwardProxies = NO_PROXIES) {
    this.#proxies = proxies
  }

  /** Asks a URL. Never follows redirects. A call that met the end of an idle connection is made once more on a fresh one. */
  async get<T>(url: string, config: AxiosRequestConfig): Promise<AxiosResponse<T>> {
    const common = { ...config, maxRedirects: 0, proxy: this.#proxyFor(url) }
    try {
      return await axios.get<T>(url, { ...common, ...this.#agents })
    } catch (error) {
      if (!metIdleClose(error)) throw error
      return await axios.get<T>(url, { ...common, ...this.#freshAgents })
    }
  }

  close(): void {
    for (const agent of [...Object.values(this.#agents), ...Object.values(this.#freshAgents)]) agent.destroy()
  }

  #proxyFor(url: string): AxiosProxyConfig | false {
    const proxy = this.#proxies.for(url)
    if (!proxy) return false
    const { protocol, hostname, port, auth } = proxy
    return { protocol: protocol.slice(0, -1), host: hostname, port, ...(auth && { auth: { ...auth } }) }
  }
}

/** Whether a connection that had carried an answer before was closed before any byte of this one. */
function metIdleClose(error: unknown): boolean {
  if (!axios.isAxiosError(error) || error.response || !CLOSED_CODES.includes(error.code)) return false
  const request = error.request as (ClientRequest & { res?: unknown }) | undefined
  return request?.reusedSocket === true && request.res == null
}
