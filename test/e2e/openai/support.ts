/** What the tests of the OpenAI-compatible API share: chats, and a service written by hand. */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Gateway } from '../../kit/gateway.ts'
import { openStream, post } from '../../kit/http.ts'
import type { Answer, OpenStream, RequestOptions } from '../../kit/http.ts'
import type { FakeOpenAi } from '../../kit/fakeOpenAi/index.ts'
import type { RecordedRequest } from '../../kit/fakeServer/records.ts'
import { eventually, freePort } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'
import { statsOf } from '../support.ts'

/** What the contract calls "at once", in milliseconds: the bound within which a service must notice, and some more for a busy machine. */
export const AT_ONCE_MS = 10_000

/** A chat request; `sim` tells a fake service what to do. */
export function chat(sim: object = {}, more: object = {}): Record<string, unknown> {
  return { model: 'small-model', messages: [{ role: 'user', content: 'Say it again' }], sim, ...more }
}

export function askChat({ url }: Gateway, body: object = chat(), options: RequestOptions = {}): Promise<Answer> {
  return post(`${url}/v1/chat/completions`, body, options)
}

/** A chat answered with events, once its head is there. */
export function openChat({ url }: Gateway, sim: object = {}, options: RequestOptions = {}): Promise<OpenStream> {
  return openStream(`${url}/v1/chat/completions`, { body: chat(sim, { stream: true }), ...options })
}

/** Waits until so many requests are open at the service, by the gateway's own count. */
export function inFlightIs(gateway: Gateway, service: { address: string }, wanted: number): Promise<boolean> {
  const look = async (): Promise<boolean> => (await statsOf(gateway, service)).in_flight === wanted
  return eventually(look, { withinMs: AT_ONCE_MS, what: `in_flight of ${wanted}` })
}

/** Whether a request to a service was no poll: those come at any time. */
export function isCall({ endpoint }: Pick<RecordedRequest, 'endpoint'>): boolean {
  return endpoint !== 'models' && endpoint !== 'metrics'
}

/** The last request to the service that was not a poll. */
export function lastCall({ requests }: FakeOpenAi): RecordedRequest {
  // Also where a service has its list elsewhere.
  return requests.findLast((request) => isCall(request) && !request.url.endsWith('/models'))!
}

/** A request that nobody has answered yet. */
interface Asked {
  readonly incoming: IncomingMessage
  readonly body: Buffer
  readonly response: ServerResponse
}

/** A service whose answers are left to the test. */
export interface HandService {
  readonly address: string
  readonly url: string
  next(): Promise<Asked>
}

/** Starts a service that is healthy, has `small-model`, and is closed after the test. */
export async function startHandService(t: Cleanup): Promise<HandService> {
  const arrived: Asked[] = []
  const wanted: ((asked: Asked) => void)[] = []
  const server = createServer((incoming, response) => {
    if (incoming.method === 'GET') return void response.end('{"data":[{"id":"small-model"}]}')
    const pieces: Buffer[] = []
    incoming.on('data', (piece: Buffer) => pieces.push(piece))
    incoming.on('end', () => {
      const asked = { incoming, body: Buffer.concat(pieces), response }
      const take = wanted.shift()
      if (take) take(asked)
      else arrived.push(asked)
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = `127.0.0.1:${port}`
  const next = async (): Promise<Asked> => arrived.shift() ?? (await new Promise((resolve) => wanted.push(resolve)))
  return { address, url: `http://${address}`, next }
}
