/** What the tests from outside share: how they read answers, figures and logs, and a node whose streams a test writes by hand. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { Gateway, LogLine } from '../kit/gateway.ts'
import { infoText } from '../kit/builders/infos.ts'
import { request } from '../kit/http.ts'
import type { Answer } from '../kit/http.ts'
import { freePort } from '../kit/wait.ts'
import type { Cleanup } from '../kit/wait.ts'

/** Fails unless the answer is an error of that status in the shape of its path, and of that code where one is given. Returns its text. */
export function assertError(answer: Answer, status: number, code?: string): string {
  assert.equal(answer.status, status, answer.text)
  assert.match(answer.headers['content-type'] ?? '', /^application\/json\b/)
  const [, first, second = ''] = answer.path.toLowerCase().replace(/^\/+/, '/').split('/')
  if (first === 'v1' && second.startsWith('messages')) return anthropicMessage(answer)
  if (first === 'v1' || first === 'openai') return openAiMessage(answer, code)
  const { error, params = {}, ...more } = answer.json<{ error?: unknown; params?: unknown }>()
  assert.equal(typeof error, 'string')
  assert.equal(typeof params, 'object')
  assert.deepEqual(more, {})
  return error as string
}

const OPENAI_TYPES: Record<number, string> = { 401: 'authentication_error', 429: 'rate_limit_error' }

function openAiMessage(answer: Answer, wantedCode?: string): string {
  const { error, ...more } = answer.json<{ error: Record<string, unknown> }>()
  const { message, type, param, code, ...others } = error
  assert.deepEqual([more, others, param], [{}, {}, null])
  assert.ok(typeof message === 'string' && message !== '')
  const { status } = answer
  assert.equal(type, OPENAI_TYPES[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error'))
  if (wantedCode === undefined) assert.match(String(code), /^[a-z_]+$/)
  else assert.equal(code, wantedCode)
  return message
}

const ANTHROPIC_TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
}

function anthropicMessage(answer: Answer): string {
  const { type, error, ...more } = answer.json<{ type: unknown; error: Record<string, unknown> }>()
  const { message, type: kind, ...others } = error
  assert.deepEqual([type, more, others], ['error', {}, {}])
  assert.ok(typeof message === 'string' && message !== '')
  const { status } = answer
  assert.equal(kind, ANTHROPIC_TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'))
  return message
}

export interface NodeStats {
  name: string
  healthy: boolean
  in_flight: number
  pending: number
  request_count: number
  error_count: number
}

/** What `/stats` says of one node. */
export async function statsOf(gateway: Gateway, node: { address: string }): Promise<NodeStats> {
  const { services } = (await request(`${gateway.url}/stats`)).json<{ services: NodeStats[] }>()
  const found = services.find(({ name }) => name === node.address)
  assert.ok(found, `${node.address} is not in /stats`)
  return found
}

/** The lines that the log holds for one request. */
export function linesOf(gateway: Gateway, requestId: string): LogLine[] {
  return gateway.logs.filter((line) => line['requestId'] === requestId)
}

/** A node whose answers to submissions and streams are left to the test. */
export interface HandNode {
  readonly address: string
  /** The next submission or stream that nobody has taken yet; its answer is still to be written. */
  next(): Promise<ServerResponse>
}

/** Starts a node that is healthy, runs the container `echo`, and is closed after the test. */
export async function startHandNode(t: Cleanup): Promise<HandNode> {
  const arrived: ServerResponse[] = []
  const wanted: ((response: ServerResponse) => void)[] = []
  const info = infoText()
  const server = createServer((incoming, response) => {
    incoming.resume()
    if (incoming.method !== 'POST') return void response.end(incoming.url === '/info' ? info : '[]')
    incoming.on('end', () => {
      const take = wanted.shift()
      if (take) take(response)
      else arrived.push(response)
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    address: `127.0.0.1:${port}`,
    next: async () => arrived.shift() ?? (await new Promise((resolve) => wanted.push(resolve))),
  }
}
