import { connect, type Socket } from 'node:net'

/** When to stop: after so many seconds or so many requests, whichever comes first. */
export interface LoadEnd {
  readonly seconds?: number
  readonly requests?: number
}

export interface LoadResult {
  readonly requests: number
  /** Answers other than 200, and connections that broke. */
  readonly errors: number
  readonly seconds: number
  /** Of each request, ms, in no order. */
  readonly latenciesMs: readonly number[]
}

/**
 * Posts one body over and over on keep-alive connections, each of which sends again as soon as its answer is complete.
 * Bare sockets and one prepared request: this costs a fraction of what any proxy does, so it is not what is measured.
 */
export async function load(url: string, body: string, connections: number, end: LoadEnd): Promise<LoadResult> {
  const { hostname, port, pathname } = new URL(url)
  const request = Buffer.from(
    `POST ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\n` +
      `Accept: */*\r\nUser-Agent: bench\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  const run = new Run(end)
  await Promise.all(Array.from({ length: connections }, () => new Connection(run, request).run(Number(port), hostname)))
  return run.result()
}

/** What the connections of one run share. */
class Run {
  readonly #startedAt = performance.now()
  readonly #endsAt: number
  readonly #latenciesMs: number[] = []
  #left: number
  errors = 0

  constructor({ seconds = Infinity, requests = Infinity }: LoadEnd) {
    this.#endsAt = this.#startedAt + seconds * 1000
    this.#left = requests
  }

  /** Whether another request is to be sent; if so, it counts. */
  takesAnother(now: number): boolean {
    return now < this.#endsAt && this.#left-- > 0
  }

  answered(ms: number): void {
    this.#latenciesMs.push(ms)
  }

  result(): LoadResult {
    return {
      requests: this.#latenciesMs.length,
      errors: this.errors,
      seconds: (performance.now() - this.#startedAt) / 1000,
      latenciesMs: this.#latenciesMs,
    }
  }
}

/** A broken connection is opened again, but not for ever. */
const MOST_ERRORS = 1000
const END_OF_HEAD = Buffer.from('\r\n\r\n')
const NOTHING: Buffer = Buffer.alloc(0)

class Connection {
  readonly #run: Run
  readonly #request: Buffer
  readonly #done = Promise.withResolvers<void>()
  #unread: Buffer = NOTHING
  #sentAt = 0

  constructor(run: Run, request: Buffer) {
    this.#run = run
    this.#request = request
  }

  /** Resolves after the last answer. */
  run(port: number, host: string): Promise<void> {
    const socket = connect({ port, host, noDelay: true })
    let isOver = false
    const over = (): void => {
      isOver = true
      socket.destroy()
      this.#done.resolve()
    }
    socket.on('connect', () => this.#send(socket, over))
    socket.on('data', (chunk) => this.#read(chunk, socket, over))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (isOver) return
      this.#unread = NOTHING
      if (++this.#run.errors > MOST_ERRORS) this.#done.reject(new Error('too many connections broke'))
      else void this.run(port, host)
    })
    return this.#done.promise
  }

  #send(socket: Socket, over: () => void): void {
    this.#sentAt = performance.now()
    if (this.#run.takesAnother(this.#sentAt)) socket.write(this.#request)
    else over()
  }

  #read(chunk: Buffer, socket: Socket, over: () => void): void {
    const bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    const length = lengthOfAnswer(bytes)
    if (length === undefined || bytes.length < length) {
      this.#unread = bytes
      return
    }
    this.#unread = NOTHING
    this.#run.answered(performance.now() - this.#sentAt)
    if (bytes.toString('latin1', 9, 12) !== '200') this.#run.errors++
    this.#send(socket, over)
  }
}

/** Head and body; `undefined` while the head is incomplete. */
function lengthOfAnswer(bytes: Buffer): number | undefined {
  const endOfHead = bytes.indexOf(END_OF_HEAD)
  if (endOfHead < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, endOfHead))?.[1]
  if (length === undefined) throw new Error('an answer came without its length')
  return endOfHead + END_OF_HEAD.length + Number(length)
}
