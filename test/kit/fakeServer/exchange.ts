/** One request on its way through a simulated server, and the connection it came on. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Break } from './misbehaviour.ts'

export class Connection {
  readonly socket: Socket
  requests = 0
  /** Exchanges whose answer has not ended: their client has left if the connection closes now. */
  readonly open = new Set<Exchange>()

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Ends the connection from this side: nobody has left. */
  break(how: Break): void {
    this.open.clear()
    if (how === 'reset') this.socket.resetAndDestroy()
    // What was written before is still sent.
    else this.socket.destroySoon()
  }
}

export class Exchange {
  /** Counts from 1 within a server. */
  n = 0
  endpoint: string | undefined
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly connection: Connection
  /** Counts the requests of its connection, from 1. */
  readonly nth: number
  /** What to do if the client leaves before the end of the answer. */
  onLeft: (() => void) | undefined

  constructor(request: IncomingMessage, response: ServerResponse, connection: Connection) {
    this.request = request
    this.response = response
    this.connection = connection
    this.nth = connection.requests
    connection.open.add(this)
  }

  /** To be called as the answer ends, or when nothing more is owed. */
  over(): void {
    this.connection.open.delete(this)
  }

  /** Reads the body to its end; never calls back if the client leaves amid it. */
  readBody(done: (body: Buffer) => void): void {
    let first: Buffer | undefined
    let more: Buffer[] | undefined
    this.request.on('data', (piece: Buffer) => {
      if (!first) first = piece
      else (more ??= [first]).push(piece)
    })
    this.request.on('end', () => done(more ? Buffer.concat(more) : (first ?? NOTHING)))
  }
}

const NOTHING = Buffer.alloc(0)
