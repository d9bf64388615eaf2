import { once } from 'node:events'
import type { Server, ServerResponse } from 'node:http'
import { Server as NetServer } from 'node:net'

/** Where to listen, and whether other processes may do so too. */
interface Place {
  readonly port: number
  readonly host: string
  readonly reusePort: boolean
}

/** Resolves when the server listens; rejects where it cannot. */
export async function listen(server: Server, { port, host, reusePort }: Place): Promise<void> {
  server.listen({ port, host, reusePort })
  await once(server, 'listening')
}

/**
 * Takes no new connections; resolves when all that are open have ended. Each ends with its next answer, which tells the client so. One
 * on which nothing is asked ends when its idle time is over, as it was announced: a request may be on its way.
 */
export async function closeForNew(server: Server): Promise<void> {
  const endConnection = (_req: unknown, res: ServerResponse): void => void (res.shouldKeepAlive = false)
  server.prependListener('request', endConnection)
  server.prependListener('checkContinue', endConnection)
  const ended = once(server, 'close')
  // That of HTTP closes idle connections at once.
  NetServer.prototype.close.call(server)
  await ended
}
