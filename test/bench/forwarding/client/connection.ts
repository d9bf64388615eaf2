import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Where a client connects to, and which of the loopback addresses it comes from. */
export interface ServerAddress {
  readonly hostname: string
  readonly port: number
  readonly localAddress?: string
}

/** Receives an answer. Status 0: the connection broke first. `ms` counts from the sending of the request. */
export type Answered = (status: number, body: Buffer, ms: number) => void

export function addressOf(url: string, localAddress?: string): ServerAddress {
  const { hostname, port } = new URL(url)
  return { hostname, port: Number(port), ...(localAddress !== undefined && { localAddress }) }
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const NOTHING: Buffer = Buffer.alloc(0)

/**
 * One keep-alive connection of the load generator, one request at a time. A bare socket and prepared requests cost a fraction
 * of what any proxy does, so the generator is not what is measured. A closed connection is opened again by the next request.
 */
export class Connection {
  readonly #address: ServerAddress
  #socket: Socket | undefined
  #unread: Buffer = NOTHING
  #answered: Answered | undefined
  #askedAt = 0

  constructor(address: ServerAddress) {
    this.#address = address
  }

  async open(): Promise<void> {
    await once(this.#connect(), 'connect')
  }

  ask(request: Buffer, answered: Answered): void {
    this.#answered = answered
    this.#askedAt = performance.now()
    const socket = this.#socket ?? this.#connect()
    socket.write(request)
  }

  close(): void {
    this.#answered = undefined
    this.#socket?.destroy()
  }

  #connect(): Socket {
    const { hostname, port, localAddress } = this.#address
    const socket = connect({ port, host: hostname, noDelay: true, ...(localAddress !== undefined && { localAddress }) })
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      this.#answer(0, NOTHING)
    })
    return socket
  }

  #read(chunk: Buffer): void {
    const bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    const bodyStart = bytes.indexOf(END_OF_HEAD) + END_OF_HEAD.length
    if (bodyStart < END_OF_HEAD.length || bytes.length < bodyStart + bodyLength(bytes, bodyStart)) {
      this.#unread = bytes
      return
    }
    this.#answer(Number(bytes.toString('latin1', 9, 12)), bytes.subarray(bodyStart))
  }

  #answer(status: number, body: Buffer): void {
    this.#unread = NOTHING
    const answered = this.#answered
    this.#answered = undefined
    answered?.(status, body, performance.now() - this.#askedAt)
  }
}

function bodyLength(bytes: Buffer, bodyStart: number): number {
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, bodyStart))?.[1]
  if (length === undefined) throw new Error('an answer came without its length')
  return Number(length)
}
