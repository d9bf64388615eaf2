/** Carries requests to the rules and answers back, unless told to misbehave. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { writeHead } from './answers.ts'
import type { Answer } from './answers.ts'
import { endpointOf } from './endpoints.ts'
import type { Incoming, Rules } from './endpoints.ts'
import { Exchange } from './exchange.ts'
import type { Connection } from './exchange.ts'
import type { Act, Break, Misbehaviour } from './misbehaviour.ts'
import type { Endpoint, Settings } from './options.ts'
import type { Verdict } from './rateLimit.ts'
import type { JobSubmission } from './submission.ts'

export interface SeenRequest {
  n: number
  endpoint: Endpoint | undefined
  request: IncomingMessage
  ip: string
  body: Buffer
}

const GARBAGE = '\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n'

export class NodeServer {
  readonly #settings: Settings
  readonly #rules: Rules
  readonly #misbehaviour: Misbehaviour
  readonly #seen: (seen: SeenRequest) => void
  requests = 0

  constructor(settings: Settings, rules: Rules, misbehaviour: Misbehaviour, seen: (seen: SeenRequest) => void) {
    this.#settings = settings
    this.#rules = rules
    this.#misbehaviour = misbehaviour
    this.#seen = seen
  }

  handle(request: IncomingMessage, response: ServerResponse, connection: Connection): void {
    const { path, query } = splitUrl(request.url ?? '/')
    const method = request.method ?? 'GET'
    const endpoint = endpointOf(method, path)
    const exchange = new Exchange(++this.requests, endpoint, request, response, connection)
    this.#countDown(exchange)
    const act = this.#misbehaviour.take(endpoint)
    if (act?.act === 'break' && act.when === 'request') return connection.break(act.how ?? 'reset')
    exchange.readBody((body) => {
      const { forwardedFor, contentType } = neededHeaders(request.rawHeaders)
      const ip = plainAddress(request.socket.remoteAddress)
      this.#seen({ n: exchange.n, endpoint, request, ip, body })
      const incoming = { method, path, query, ip, forwardedFor, contentType, body }
      if (act) this.#misbehave(exchange, endpoint, incoming, act)
      else this.#deliver(exchange, ...this.#perform(endpoint, incoming))
    })
  }

  #perform(endpoint: Endpoint | undefined, incoming: Incoming): [Answer | JobSubmission, Verdict | undefined] {
    const verdict = this.#rules.verdict(endpoint, incoming)
    return [this.#rules.answer(endpoint, incoming, verdict), verdict]
  }

  #deliver(exchange: Exchange, answer: Answer | JobSubmission, verdict: Verdict | undefined): void {
    if ('kind' in answer) return this.#stream(exchange, answer, verdict)
    exchange.over()
    writeHead(exchange.response, answer, verdict, answer.body.length)
    exchange.response.end(answer.body, 'latin1')
  }

  #stream(exchange: Exchange, job: JobSubmission, verdict: Verdict | undefined): void {
    const { response, connection } = exchange
    writeHead(response, { status: 200, contentType: 'text/html; charset=utf-8' }, verdict, undefined)
    // The id line is on its way before any container is asked.
    response.write(`${job.id}\n`, 'latin1')
    // Without its store the real one fails here.
    if (this.#rules.isStoreDown) return connection.break('close')
    const how = job.script.dieHow === 'reset' ? 'reset' : 'close'
    const { left } = this.#rules.work.runStream(job, {
      write: (bytes) => {
        if (response.write(bytes, 'latin1')) return undefined
        return new Promise((resolve) => response.once('drain', resolve))
      },
      end: () => {
        exchange.over()
        response.end()
      },
      break: () => connection.break(how),
    })
    exchange.onLeft = left
  }

  #misbehave(exchange: Exchange, endpoint: Endpoint | undefined, incoming: Incoming, act: Act): void {
    const perform = (): [Answer | JobSubmission, Verdict | undefined] => this.#perform(endpoint, incoming)
    const { response, connection } = exchange
    switch (act.act) {
      case 'hang':
        if (act.runs) this.#runUnheard(perform()[0])
        return
      case 'garbage':
        if (act.runs) this.#runUnheard(perform()[0])
        exchange.over()
        connection.socket.end(act.bytes ?? GARBAGE, 'latin1')
        return
      case 'answer':
        if (act.runs) this.#runUnheard(perform()[0])
        exchange.over()
        return writeOther(response, act)
      case 'late': {
        const made = act.runs === false ? undefined : perform()
        const timer = setTimeout(() => this.#deliver(exchange, ...(made ?? perform())), act.seconds * 1000)
        exchange.onLeft = () => clearTimeout(timer)
        return
      }
      case 'drip':
        return drip(exchange, perform()[0], act.seconds)
      case 'huge':
        exchange.over()
        return writeHuge(response, act.bytes)
      case 'script': {
        const [answer, verdict] = perform()
        if ('kind' in answer) Object.assign(answer.script, act.script)
        return this.#deliver(exchange, answer, verdict)
      }
      case 'break': {
        if (act.when === 'head' || act.when === 'body') return breakAmid(exchange, perform(), act.when, act.how)
        if (act.runs) this.#runUnheard(perform()[0])
        return connection.break(act.how ?? 'reset')
      }
    }
  }

  /** A stream that nobody will hear still runs. */
  #runUnheard(answer: Answer | JobSubmission): void {
    if (!('kind' in answer)) return
    this.#rules.work.runStream(answer, { write: () => undefined, end: () => undefined, break: () => undefined })
  }

  /** A real node closes a connection, unannounced, after the answer to so many requests. */
  #countDown({ connection, response }: Exchange): void {
    const { requestsPerConnection } = this.#settings
    if (requestsPerConnection <= 0 || connection.requests < requestsPerConnection) return
    response.on('finish', () => connection.socket.end())
  }
}

function breakAmid(
  exchange: Exchange,
  [answer, verdict]: [Answer | JobSubmission, Verdict | undefined],
  when: 'head' | 'body',
  how: Break = 'close',
): void {
  const { response, connection } = exchange
  const whole = 'kind' in answer ? { status: 200, contentType: 'text/html', body: `${answer.id}\n` } : answer
  writeHead(response, whole, verdict, Math.max(whole.body.length, 2))
  response.flushHeaders()
  const flushed = (): void => connection.break(how)
  // With a body of one byte or none, the promised second never comes.
  if (when === 'head') connection.socket.write('', flushed)
  else response.write(whole.body.slice(0, Math.max(1, whole.body.length >> 1)) || ' ', 'latin1', flushed)
}

function writeOther(response: ServerResponse, act: Extract<Act, { act: 'answer' }>): void {
  const body = Buffer.from(act.body ?? '')
  const usual = {
    'content-type': act.contentType ?? 'application/json',
    'content-length': String(body.length),
    date: new Date().toUTCString(),
    server: 'hypercorn-h11',
  }
  const given = Object.fromEntries(
    Object.entries(act.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  )
  response.writeHead(act.status ?? 200, '', { ...usual, ...given })
  response.end(body)
}

function drip(exchange: Exchange, answer: Answer | JobSubmission, seconds: number): void {
  if ('kind' in answer) return
  const { response } = exchange
  const { body } = answer
  writeHead(response, answer, undefined, body.length)
  response.flushHeaders()
  let sent = 0
  const timer = setInterval(
    () => {
      response.write(body[sent++] ?? '', 'latin1')
      if (sent < body.length) return
      clearInterval(timer)
      exchange.over()
      response.end()
    },
    (seconds * 1000) / Math.max(1, body.length),
  )
  exchange.onLeft = () => clearInterval(timer)
}

function writeHuge(response: ServerResponse, bytes: number): void {
  const block = Buffer.alloc(2 ** 16, 'x')
  let left = bytes
  response.writeHead(200, '', { 'content-type': 'application/json' })
  response.write('"')
  const write = (): void => {
    while (left > 0 && !response.destroyed) {
      const piece = left >= block.length ? block : block.subarray(0, left)
      left -= piece.length
      if (!response.write(piece)) return void response.once('drain', write)
    }
    if (left <= 0) response.end('"')
  }
  write()
}

function splitUrl(url: string): { path: string; query: string } {
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  return {
    path: path.includes('//') ? path.replace(/\/{2,}/g, '/') : path,
    query: mark === -1 ? '' : url.slice(mark + 1),
  }
}

/** Reading them from the raw list is cheaper than having all headers parsed. */
function neededHeaders(raw: readonly string[]): { forwardedFor: string | undefined; contentType: string | undefined } {
  let forwardedFor: string | undefined
  let contentType: string | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const { length } = raw[i]!
    // Of several lines the first counts.
    if (length === 15 && raw[i]!.toLowerCase() === 'x-forwarded-for') forwardedFor ??= raw[i + 1]
    else if (length === 12 && raw[i]!.toLowerCase() === 'content-type') contentType ??= raw[i + 1]
  }
  return { forwardedFor, contentType }
}

export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '')
}
