/** A service that keeps responses: it knows those that it made, and no others. */
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { freePort } from '../../kit/wait.ts'
import type { Cleanup } from '../../kit/wait.ts'

/** How it says that it does not have the response that a request builds on. */
export type LacksPrevious = 'as vLLM' | 'as OpenAI'

export interface ResponsesService {
  readonly address: string
  readonly url: string
  /** Ids of the responses that it has, each with the number of turns before it. */
  readonly responses: Map<string, number>
  /** Method and path of each call but polls. */
  readonly calls: string[]
  /** Refuses connections until it is told to listen again. */
  refuse(): Promise<void>
}

let made = 0

export async function startResponsesService(
  t: Cleanup,
  { lacks = 'as vLLM', statusOfForeign = 404 }: { lacks?: LacksPrevious; statusOfForeign?: number } = {},
): Promise<ResponsesService> {
  const responses = new Map<string, number>()
  const calls: string[] = []

  function create(text: string, response: ServerResponse): void {
    const { previous_response_id: previous, stream } = JSON.parse(text) as {
      previous_response_id?: string | null
      stream?: boolean
    }
    const turns = previous ? responses.get(previous) : 0
    if (turns === undefined) {
      const error = { message: `Previous response with id '${previous}' not found.`, type: 'invalid_request_error' }
      const code = lacks === 'as OpenAI' ? 'previous_response_not_found' : 404
      return send(response, lacks === 'as OpenAI' ? 400 : 404, { error: { ...error, code } })
    }
    const id = `resp_${(++made).toString(16).padStart(32, '0')}`
    responses.set(id, turns + 1)
    const whole = {
      id,
      object: 'response',
      status: 'completed',
      model: 'm',
      output: [{ id: 'msg_1' }],
      turns: turns + 1,
    }
    if (!stream) return send(response, 200, { background: false, ...whole })
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const type of ['response.created', 'response.completed']) {
      response.write(`event: ${type}\ndata: ${JSON.stringify({ type, response: whole })}\n\n`)
    }
    response.end()
  }

  const server = createServer((incoming, response) => {
    const { method = '', url = '' } = incoming
    const pieces: Buffer[] = []
    incoming.on('data', (piece: Buffer) => pieces.push(piece))
    incoming.on('end', () => {
      if (url === '/v1/models') return send(response, 200, { data: [{ id: 'm' }] })
      calls.push(`${method} ${url}`)
      if (method === 'POST' && url === '/v1/responses') return create(Buffer.concat(pieces).toString(), response)
      const [, id = '', part = ''] = /^\/v1\/responses\/([^/?]+)([^?]*)/.exec(url) ?? []
      const turns = responses.get(id)
      if (turns === undefined) {
        return send(response, statusOfForeign, {
          error: { message: `Response with id '${id}' not found.`, code: null },
        })
      }
      if (method === 'DELETE') responses.delete(id)
      if (method === 'DELETE') return send(response, 200, { id, object: 'response', deleted: true })
      if (part === '/input_items') return send(response, 200, { object: 'list', data: [{ id: 'msg_0', turns }] })
      return send(response, 200, {
        id,
        object: 'response',
        status: part === '/cancel' ? 'cancelled' : 'completed',
        output: [],
        turns,
      })
    })
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const refuse = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = `127.0.0.1:${port}`
  return { address, url: `http://${address}`, responses, calls, refuse }
}

function send(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
