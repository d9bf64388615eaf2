/** Backends that answer what a scenario wants, many at one server: `/n0/info`, `/n1/info` … */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cleanups } from '../../../kit/cleanups.ts'

interface Request {
  /** Which of the backends. */
  readonly node: number
  readonly method: string
  /** Path and query behind the backend's own. */
  readonly url: string
  readonly body: Buffer
}

/** Body of the answer, or undefined for 404. */
export type Answering = (request: Request) => string | Buffer | undefined

export const CONTAINER = 'echo'

export function infoOf(ids: readonly string[], image = 'image', chain = false): string {
  return JSON.stringify({
    version: '1.4.0',
    containers: ids.map((id) => ({ id, description: 'what it does', external: true, image })),
    pending: { offchain: 0, onchain: 0 },
    chain: { enabled: chain, address: '' },
  })
}

/** Starts them; returns the URL of each. */
export async function startBackends(cleanups: Cleanups, count: number, answering: Answering): Promise<string[]> {
  const server = createServer((incoming, response) => void answer(incoming, response, answering))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return Array.from({ length: count }, (_, n) => `http://127.0.0.1:${port}/n${n}`)
}

async function answer(incoming: IncomingMessage, response: ServerResponse, answering: Answering): Promise<void> {
  const pieces: Buffer[] = []
  try {
    for await (const piece of incoming) pieces.push(piece as Buffer)
  } catch {
    // The gateway was ended.
    return
  }
  const [, node = '', url = ''] = /^\/n(\d+)(.*)$/.exec(incoming.url ?? '') ?? []
  const body = answering({ node: Number(node), method: incoming.method ?? '', url, body: Buffer.concat(pieces) })
  if (body === undefined) response.statusCode = 404
  response.end(body ?? '{}')
}
