/** Raw HTTP clients for tests: every byte and header as it came, any of the loopback addresses as the caller. */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { Agent, IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** An object or array is sent as JSON, a string or bytes as they are. */
export type Body = Buffer | string | object

export interface RequestOptions {
  method?: string
  headers?: Record<string, string | string[]>
  body?: Body | undefined
  /** Whose address the server sees, e.g. `127.0.0.2`: the whole of 127.0.0.0/8 is ours on Linux. */
  localAddress?: string
  /** Without one, each request has a connection of its own that closes after it. */
  agent?: Agent
  /** Milliseconds until the request is given up with an error; default 20,000. */
  timeoutMs?: number
  signal?: AbortSignal
}

export interface Answer {
  /** The path that was asked for, without its query. */
  path: string
  status: number
  statusMessage: string
  headers: IncomingMessage['headers']
  rawHeaders: string[]
  body: Buffer
  text: string
  /** The body read as JSON. Throws with the body in the message where it is none. */
  json<T = unknown>(): T
}

/** Milliseconds after which a request that nobody answers is an error. */
const TIMEOUT_MS = 20_000

/** Sends one request and reads the whole answer, whatever its status. Rejects when the connection breaks. */
export async function request(url: string | URL, options: RequestOptions = {}): Promise<Answer> {
  const response = await send(url, options)
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece as Buffer)
  // A premature close ends the iteration without an error where no length was announced.
  if (!response.complete) throw new Error('the answer broke off before its end')
  const body = Buffer.concat(pieces)
  return {
    path: new URL(url).pathname,
    status: response.statusCode ?? 0,
    statusMessage: response.statusMessage ?? '',
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
    text: body.toString(),
    json: <T>() => readJson<T>(body),
  }
}

/** `request` for the usual case: a JSON body by POST. */
export function post(url: string | URL, body: Body, options: RequestOptions = {}): Promise<Answer> {
  return request(url, { method: 'POST', ...options, body })
}

interface Piece {
  /** Milliseconds since the request was sent. */
  atMs: number
  bytes: Buffer
}

/** An answer read piece by piece as it arrives. */
export interface OpenStream {
  status: number
  headers: IncomingMessage['headers']
  rawHeaders: string[]
  /** What has arrived so far. */
  readonly pieces: readonly Piece[]
  /** What has arrived so far as one text. */
  readonly text: string
  /** The next piece, `undefined` at the proper end. Rejects if the connection was broken. */
  next(): Promise<Piece | undefined>
  /** Reads until the text so far satisfies the condition. Rejects at the end or on a break. */
  until(condition: (text: string) => boolean): Promise<string>
  /** Resolves at the end: `complete` is false if the connection was broken. */
  ended: Promise<{ complete: boolean; atMs: number }>
  /** Leaves, as a client that goes away does. */
  destroy(): void
}

/** Sends a request and returns as soon as the answer's headers are there. */
export async function openStream(url: string | URL, options: RequestOptions = {}): Promise<OpenStream> {
  const startMs = performance.now()
  const response = await send(url, { method: 'POST', ...options })
  const pieces: Piece[] = []
  let read = 0
  let over: { complete: boolean; atMs: number } | undefined
  let wake: (() => void)[] = []
  const tell = (): void => {
    const waiting = wake
    wake = []
    for (const resume of waiting) resume()
  }
  const ended = new Promise<{ complete: boolean; atMs: number }>((resolve) => {
    response.on('close', () => {
      over = { complete: response.complete, atMs: performance.now() - startMs }
      resolve(over)
      tell()
    })
  })
  response.on('error', () => undefined)
  response.on('data', (bytes: Buffer) => {
    pieces.push({ atMs: performance.now() - startMs, bytes })
    tell()
  })
  const change = (): Promise<void> => new Promise((resolve) => wake.push(resolve))
  const textSoFar = (): string => Buffer.concat(pieces.map((piece) => piece.bytes)).toString()
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    pieces,
    ended,
    get text() {
      return textSoFar()
    },
    async next() {
      while (read >= pieces.length) {
        if (over?.complete) return undefined
        if (over) throw new Error('the answer broke off before its end')
        await change()
      }
      return pieces[read++]
    },
    async until(condition) {
      for (;;) {
        const text = textSoFar()
        if (condition(text)) return text
        if (over) throw new Error(`the stream ended with: ${text}`)
        await change()
      }
    },
    destroy: () => response.destroy(),
  }
}

/** A TCP connection of one's own, for what no HTTP client would send. */
export interface RawConnection {
  socket: Socket
  /** Everything received so far (latin1: one character a byte). */
  readonly received: string
  send(bytes: string | Buffer): void
  /** Resolves when the bytes so far satisfy the condition; rejects when the peer closes first. */
  until(condition: (received: string) => boolean, withinMs?: number): Promise<string>
  /** Resolves with all that was received when the peer has closed. */
  closed(withinMs?: number): Promise<string>
}

/** Opens a raw connection, closed after the test if `t` is given. */
export async function openRaw(
  url: string | URL,
  options: { localAddress?: string; t?: { after(fn: () => void): void } } = {},
): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 80),
    ...(options.localAddress ? { localAddress: options.localAddress } : {}),
  })
  let received = ''
  socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')))
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  options.t?.after(() => socket.destroy())
  const settles = (condition: () => boolean, withinMs: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer)
        socket.off('data', look).off('close', look)
        if (error) reject(error)
        else resolve(received)
      }
      const look = (): void => {
        if (condition()) finish()
        else if (socket.closed) finish(new Error(`closed after: ${received}`))
      }
      const timer = setTimeout(() => finish(new Error(`not within ${withinMs} ms; got: ${received}`)), withinMs)
      socket.on('data', look).on('close', look)
      look()
    })
  return {
    socket,
    get received() {
      return received
    },
    send: (bytes) => void socket.write(bytes),
    until: (condition, withinMs = TIMEOUT_MS) => settles(() => condition(received), withinMs),
    closed: (withinMs = TIMEOUT_MS) => settles(() => socket.closed, withinMs),
  }
}

function send(url: string | URL, options: RequestOptions): Promise<IncomingMessage> {
  const { body, method = 'GET', headers = {}, agent, localAddress, signal, timeoutMs = TIMEOUT_MS } = options
  const bytes = bodyBytes(body)
  const isJson = body !== undefined && typeof body === 'object' && !Buffer.isBuffer(body)
  const named = new Set(Object.keys(headers).map((name) => name.toLowerCase()))
  const defaults: Record<string, string> = {}
  if (isJson && !named.has('content-type')) defaults['Content-Type'] = 'application/json'
  if (bytes && !named.has('content-length') && !named.has('transfer-encoding')) {
    defaults['Content-Length'] = String(bytes.length)
  }
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(url, {
      method,
      headers: { ...defaults, ...headers },
      agent: agent ?? false,
      ...(localAddress ? { localAddress } : {}),
      ...(signal ? { signal } : {}),
    })
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    outgoing.on('response', (response) => {
      clearTimeout(timer)
      resolve(response)
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    outgoing.end(bytes)
  })
}

function bodyBytes(body: Body | undefined): Buffer | undefined {
  if (body === undefined) return undefined
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}

function readJson<T>(body: Buffer): T {
  try {
    return JSON.parse(body.toString()) as T
  } catch {
    throw new Error(`not JSON: ${body.toString().slice(0, 500)}`)
  }
}
