/** Carrying out a misdeed, whatever the server. */
import type { ServerResponse } from 'node:http'
import type { Exchange } from './exchange.ts'
import type { Act, Break } from './misbehaviour.ts'

/** An answer that is ready: what was asked for has taken effect, or will as it is delivered. */
export interface Prepared {
  deliver(): void
  /** Lets take effect what only takes effect on the way out, and says nothing. */
  runUnheard(): void
  /** Writes the head of the answer for a body of that length. */
  writeHead(length: number): void
  /** The body (latin1); of a stream, its beginning. */
  body: string
  isStream: boolean
  /** Changes what the request itself tells the server to do. */
  rewrite(script: Record<string, unknown>): void
}

const GARBAGE = '\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n'

/** Does to the request what it is told. `prepare` acts on the request and is called once at most. */
export function misbehave(exchange: Exchange, act: Act, prepare: () => Prepared): void {
  const { response, connection } = exchange
  switch (act.act) {
    case 'hang':
      if (act.runs) prepare().runUnheard()
      return
    case 'garbage':
      if (act.runs) prepare().runUnheard()
      exchange.over()
      connection.socket.end(act.bytes ?? GARBAGE, 'latin1')
      return
    case 'answer':
      if (act.runs) prepare().runUnheard()
      exchange.over()
      return writeOther(response, act)
    case 'late': {
      const prepared = act.runs === false ? undefined : prepare()
      const timer = setTimeout(() => (prepared ?? prepare()).deliver(), act.seconds * 1000)
      exchange.onLeft = () => clearTimeout(timer)
      return
    }
    case 'drip':
      return drip(exchange, prepare(), act.seconds)
    case 'huge':
      exchange.over()
      return writeHuge(response, act.bytes)
    case 'script': {
      const prepared = prepare()
      prepared.rewrite(act.script)
      return prepared.deliver()
    }
    case 'break':
      if (act.when === 'head' || act.when === 'body') return breakAmid(exchange, prepare(), act.when, act.how)
      if (act.runs) prepare().runUnheard()
      return connection.break(act.how ?? 'reset')
  }
}

function breakAmid(exchange: Exchange, prepared: Prepared, when: 'head' | 'body', how: Break = 'close'): void {
  const { response, connection } = exchange
  const { body } = prepared
  // Of a body of one byte or none, two are promised, and the second never comes.
  prepared.writeHead(Math.max(body.length, 2))
  response.flushHeaders()
  const flushed = (): void => connection.break(how)
  if (when === 'head') connection.socket.write('', flushed)
  else response.write(body.slice(0, Math.max(1, body.length >> 1)) || ' ', 'latin1', flushed)
}

function writeOther(response: ServerResponse, act: Extract<Act, { act: 'answer' }>): void {
  const body = Buffer.from(act.body ?? '')
  const usual = {
    'content-type': act.contentType ?? 'application/json',
    'content-length': String(body.length),
    date: new Date().toUTCString(),
  }
  const given = Object.fromEntries(
    Object.entries(act.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  )
  response.writeHead(act.status ?? 200, '', { ...usual, ...given })
  response.end(body)
}

function drip(exchange: Exchange, prepared: Prepared, seconds: number): void {
  const { response } = exchange
  const { body } = prepared
  prepared.writeHead(body.length)
  response.flushHeaders()
  let sent = 0
  const writeNext = (): void => {
    response.write(body[sent++] ?? '', 'latin1')
    if (sent < body.length) return
    clearInterval(timer)
    exchange.over()
    response.end()
  }
  const timer = setInterval(writeNext, (seconds * 1000) / Math.max(1, body.length))
  exchange.onLeft = () => clearInterval(timer)
}

function writeHuge(response: ServerResponse, bytes: number): void {
  const block = Buffer.alloc(2 ** 16, 'x')
  let left = bytes
  response.writeHead(200, '', { 'content-type': 'application/json' })
  response.write('"')
  const writeOn = (): void => {
    while (left > 0 && !response.destroyed) {
      const piece = left >= block.length ? block : block.subarray(0, left)
      left -= piece.length
      if (!response.write(piece)) return void response.once('drain', writeOn)
    }
    if (left <= 0) response.end('"')
  }
  writeOn()
}
