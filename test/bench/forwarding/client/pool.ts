import { Connection, type Answered, type ServerAddress } from './connection.ts'

export interface Answer {
  /** 0 where the connection broke. */
  readonly status: number
  readonly body: Buffer
}

/**
 * As many connections as there are requests under way at once. Free ones are used in turn, so that none of them idles for long
 * enough to be closed by the server.
 */
export class ConnectionPool {
  readonly #address: ServerAddress
  readonly #all: Connection[] = []
  #free: Connection[] = []

  constructor(address: ServerAddress) {
    this.#address = address
  }

  /** Opens some before they are needed. */
  async open(count: number): Promise<void> {
    const some = Array.from({ length: count }, () => this.#add())
    await Promise.all(some.map((connection) => connection.open()))
    this.#free.push(...some)
  }

  ask(request: Buffer, answered: Answered): void {
    const connection = this.#free.shift() ?? this.#add()
    connection.ask(request, (status, body, ms) => {
      this.#free.push(connection)
      answered(status, body, ms)
    })
  }

  request(request: Buffer): Promise<Answer> {
    return new Promise((resolve) => this.ask(request, (status, body) => resolve({ status, body })))
  }

  close(): void {
    for (const connection of this.#all) connection.close()
    this.#free = []
  }

  #add(): Connection {
    const connection = new Connection(this.#address)
    this.#all.push(connection)
    return connection
  }
}
