/** One address behind which several servers answer in turn, as a load balancer's, on a real socket. */
import { createServer as createHttpServer, request } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { freePort } from './wait.ts'
import type { Cleanup } from './wait.ts'

export interface RoundRobin {
  readonly address: string
}

interface Backend {
  readonly host: string
  readonly port: number
}

/** Each request, or each connection, goes to the next of the backends. */
export async function startRoundRobin(
  t: Cleanup,
  backends: readonly Backend[],
  each: 'request' | 'connection',
): Promise<RoundRobin> {
  let turn = 0
  const next = (): Backend => backends[turn++ % backends.length]!
  const sockets = new Set<Socket>()
  const server: Server =
    each === 'request'
      ? createHttpServer((incoming, response) => forward(incoming, response, next()))
      : createServer((socket) => tunnel(socket, next()))
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { address: `127.0.0.1:${port}` }
}

function forward(incoming: IncomingMessage, response: ServerResponse, { host, port }: Backend): void {
  const { method, url, headers } = incoming
  const outgoing = request({ host, port, method, path: url, headers, agent: false }, (answer) => {
    // Of its own connection, not of the client's.
    delete answer.headers.connection
    delete answer.headers['keep-alive']
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  outgoing.on('error', () => response.destroy())
  incoming.pipe(outgoing)
}

function tunnel(socket: Socket, backend: Backend): void {
  const inner = connect(backend)
  for (const side of [socket, inner]) side.on('error', () => undefined)
  socket.on('close', () => inner.destroy())
  inner.on('close', () => socket.destroy())
  socket.pipe(inner).pipe(socket)
}
