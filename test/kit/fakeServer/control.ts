/**
 * Commands for a simulated server from other processes, over a port of their own:
 * `POST /command` (a Command), `GET /counts`, `GET /jobs`, `GET /requests`, and `GET /events`: all events as they come, one JSON a line.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What can be controlled: a fake node or service. */
export interface Controlled {
  host: string
  requests: readonly unknown[]
  command(command: never): Promise<void>
  counts(): Promise<unknown>
  jobs?(): Promise<unknown>
  on(name: string, listener: (what: unknown) => void): unknown
  off(name: string, listener: (what: unknown) => void): unknown
}

export async function controlServer(
  controlled: Controlled,
  eventNames: readonly string[],
  port: number,
): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    answer(controlled, eventNames, request, response).catch((error: unknown) =>
      say(response, { error: String(error) }, 500),
    )
  })
  server.listen(port, controlled.host)
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

async function answer(
  controlled: Controlled,
  eventNames: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'POST /command': {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece as Buffer)
      await controlled.command(JSON.parse(Buffer.concat(pieces).toString()) as never)
      return say(response, {})
    }
    case 'GET /counts':
      return say(response, await controlled.counts())
    case 'GET /jobs':
      return say(response, (await controlled.jobs?.()) ?? [])
    case 'GET /requests':
      return say(response, controlled.requests)
    case 'GET /events':
      return tellEvents(controlled, eventNames, response)
    default:
      return say(response, { error: 'no such question' }, 404)
  }
}

function say(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

function tellEvents(controlled: Controlled, eventNames: readonly string[], response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  response.flushHeaders()
  const listeners = eventNames.map((name) => {
    const listener = (what: unknown): void => void response.write(`${JSON.stringify({ name, what })}\n`)
    controlled.on(name, listener)
    return { name, listener }
  })
  response.on('close', () => {
    for (const { name, listener } of listeners) controlled.off(name, listener)
  })
}
