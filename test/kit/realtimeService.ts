/** An OpenAI-compatible service that speaks WebSocket at `/v1/realtime`, and echoes every message. */
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Cleanup } from './wait.ts'

export interface RealtimeService {
  readonly address: string
  readonly url: string
  /** The requests for an upgrade, as they came. */
  readonly asked: readonly { readonly url: string; readonly headers: IncomingHttpHeaders }[]
  /** Sessions that are open now. */
  readonly sessions: ReadonlySet<WebSocket>
}

export interface RealtimeOptions {
  models?: readonly string[]
  /** Answers requests for an upgrade with this status and JSON body instead. */
  refusal?: { status: number; body: string }
  /** Closes the connection without a word when an upgrade is asked for. */
  hangsUp?: boolean
  /** Keeps its half of a connection open whose other half has ended. */
  ignoresEnd?: boolean
}

export async function startRealtimeService(
  t: Cleanup,
  { models = ['voice'], refusal, hangsUp = false, ignoresEnd = false }: RealtimeOptions = {},
): Promise<RealtimeService> {
  const asked: { url: string; headers: IncomingHttpHeaders }[] = []
  const sockets = new Set<Socket>()
  const list = JSON.stringify({ object: 'list', data: models.map((id) => ({ id, object: 'model' })) })
  const server = createServer((incoming, response) => {
    response.writeHead(incoming.url === '/v1/models' ? 200 : 404, { 'content-type': 'application/json' }).end(list)
  })
  const upgrader = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('realtime') ? 'realtime' : false),
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (incoming, socket, head) => {
    asked.push({ url: incoming.url ?? '', headers: incoming.headers })
    if (hangsUp) return void socket.destroy()
    if (refusal) {
      const head = `HTTP/1.1 ${refusal.status} No\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\n`
      return void socket.end(`${head}Content-Length: ${refusal.body.length}\r\n\r\n${refusal.body}`)
    }
    upgrader.handleUpgrade(incoming, socket, head, (session) => {
      session.on('message', (message, isBinary) => session.send(message, { binary: isBinary }))
      session.on('error', () => undefined)
      session.send(JSON.stringify({ type: 'session.created', event_id: 'e1', session: { type: 'realtime' } }))
      if (ignoresEnd) socket.removeAllListeners('end')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { address, url: `http://${address}`, asked, sessions: upgrader.clients }
}
