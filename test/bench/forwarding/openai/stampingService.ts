/**
 * An OpenAI-compatible service whose events tell when they were written. Prints its port; ends when its stdin is closed.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stampMs } from '../stamp.ts'
import { eventAt, EVENTS_PER_SECOND, MODEL } from './protocol.ts'

const EVENT_MS = 1000 / EVENTS_PER_SECOND

const choice = { index: 0, message: { role: 'assistant', content: 'y'.repeat(500) }, finish_reason: 'stop' }
const usage = { prompt_tokens: 100, completion_tokens: 100, total_tokens: 200 }
const completion = { id: 'chatcmpl-1', object: 'chat.completion', created: 1_700_000_000, model: MODEL }
const ANSWER = Buffer.from(JSON.stringify({ ...completion, choices: [choice], usage }))
const MODELS = JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model' }] })
/** nginx holds events back unless it is told not to. */
const EVENTS = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
const JSON_TYPE = { 'content-type': 'application/json' }

/** The streams of each millisecond of the period, so that events are spread over all of it. */
const slots = Array.from({ length: EVENT_MS }, () => new Set<ServerResponse>())
let opened = 0
let next = Math.ceil(performance.now())

/** Each slot in its turn; after a delay all that are due. */
function tick(): void {
  for (const now = performance.now(); next <= now; next++) {
    for (const response of slots[next % slots.length]!) response.write(eventAt(stampMs()))
  }
  setTimeout(tick, Math.max(0, next - performance.now()))
}

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => {
    if (request.method === 'GET') response.writeHead(200, JSON_TYPE).end(MODELS)
    else if (Buffer.concat(pieces).includes('"stream":true')) stream(response)
    else response.writeHead(200, { ...JSON_TYPE, 'content-length': ANSWER.length }).end(ANSWER)
  })
})

function stream(response: ServerResponse): void {
  const slot = slots[opened++ % slots.length]!
  response.writeHead(200, EVENTS).flushHeaders()
  slot.add(response)
  response.on('close', () => slot.delete(response))
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
tick()
