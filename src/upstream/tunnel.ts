import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { buildConnector, errors } from 'undici'
import { proxyAuthorization, type ForwardProxy } from '../fleet/forwardProxies.ts'
import { Deadline } from '../base/deadline.ts'

/** The proxy did not open a tunnel. */
class TunnelError extends Error {
  readonly code = 'ERR_NO_TUNNEL'
}

/** Makes connections to one origin, with TLS where its scheme says so, through tunnels of a proxy (CONNECT; RFC 9110, 9.3.6), in the given time. */
export function createTunnelConnector(
  proxy: ForwardProxy,
  { timeoutMs }: { readonly timeoutMs: number },
): buildConnector.connector {
  const connectTls = buildConnector({ timeout: 0, allowH2: false })
  return (options, callback) => {
    const isSecure = options.protocol === 'https:'
    const dueAt = performance.now() + timeoutMs
    let tunnel: Socket | undefined
    let isOver = false
    const finish = (...result: Parameters<buildConnector.Callback>): void => {
      const [error, socket] = result
      if (isOver) return void socket?.destroy()
      isOver = true
      deadline.stop()
      if (error) {
        request.destroy()
        tunnel?.destroy()
      }
      callback(...result)
    }
    const fail = (error: Error): void => finish(error, null)
    const request = requestTunnel(proxy, `${options.hostname}:${options.port || (isSecure ? '443' : '80')}`)
    const deadline = new Deadline(
      () => dueAt,
      () => fail(new errors.ConnectTimeoutError(`no tunnel within ${timeoutMs} ms`)),
    )
    request.on('error', fail)
    request.on('connect', ({ statusCode = 0 }, socket: Socket, head) => {
      tunnel = socket
      socket.on('error', fail)
      if (statusCode < 200 || statusCode > 299) return fail(new TunnelError(`the proxy answered ${statusCode}`))
      if (head.length > 0) socket.unshift(head)
      if (!isSecure) return finish(null, socket)
      connectTls({ ...options, httpSocket: socket }, finish)
    })
    request.end()
  }
}

function requestTunnel(proxy: ForwardProxy, authority: string): http.ClientRequest {
  const authorization = proxyAuthorization(proxy)
  const { request } = proxy.protocol === 'https:' ? https : http
  return request({
    host: proxy.hostname,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: { Host: authority, ...(authorization !== undefined && { 'Proxy-Authorization': authorization }) },
    agent: false,
  })
}
