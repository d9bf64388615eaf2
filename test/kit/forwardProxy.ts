/** A proxy that forwards plain requests and opens tunnels, and tells what it was asked for. */
import { createServer, request as forward } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Cleanup } from './wait.ts'

export interface ForwardProxyOptions {
  /** `user:password`, without which it answers 407. */
  credentials?: string
}

export interface ForwardProxy {
  readonly port: number
  /** `http://127.0.0.1:port` */
  readonly url: string
  /** `GET http://…` and `CONNECT host:port` of all that was let through. */
  readonly asked: readonly string[]
  /** Requests that showed no or wrong credentials. */
  readonly refused: number
}

/** Starts a proxy that is closed after the test. */
export async function startForwardProxy(t: Cleanup, { credentials }: ForwardProxyOptions = {}): Promise<ForwardProxy> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  let refused = 0
  const isAllowed = ({ method, url, headers }: IncomingMessage): boolean => {
    const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`
    if (headers['proxy-authorization'] !== wanted) {
      refused++
      return false
    }
    asked.push(`${method} ${url}`)
    return true
  }
  const server = createServer((incoming, response) => {
    if (!isAllowed(incoming)) return void response.writeHead(407).end()
    const { 'proxy-authorization': _own, ...headers } = incoming.headers
    const onward = forward(incoming.url ?? '', { method: incoming.method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    incoming.pipe(onward)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('connect', (incoming, client: Socket) => {
    client.on('error', () => undefined)
    if (!isAllowed(incoming)) return void client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const { hostname, port } = new URL(`http://${incoming.url}`)
    const onward = connect(Number(port || 80), hostname, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      client.pipe(onward).pipe(client)
    })
    sockets.add(onward)
    onward.on('error', () => client.destroy())
    onward.on('close', () => client.destroy())
    client.on('close', () => onward.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    asked,
    get refused() {
      return refused
    },
  }
}
