/** A TCP proxy in front of a server, between which and its clients a test cuts, silences and slows the network. */
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { freePort } from './wait.ts'
import type { Cleanup } from './wait.ts'

/** What does not come through: nothing at all, or only what the server answers. */
type Silence = 'both' | 'answers'

export interface FaultyProxy {
  readonly port: number
  /** `127.0.0.1:port` */
  readonly address: string
  /** Connections that clients have at present. */
  readonly connections: number
  /** Bytes that were passed to the server so far. */
  readonly bytesIn: number
  /** Resets all connections, and each new one, until `mend`; those of one client alone where its address is given. */
  cut(from?: string): void
  /** Resets the present connections; new ones are passed on. */
  drop(): void
  /** Keeps all connections, and new ones, and passes nothing, until `mend`: what is held comes then. */
  silence(what?: Silence): void
  /** Passes everything this much later, each way, until `mend`. */
  delay(ms: number): void
  /** Resets the present connections; new ones lead to another port. */
  retarget(port: number): void
  /** All is well again. */
  mend(): void
}

interface FaultyProxyOptions {
  /** The server sees each client's own address. Default false: it sees 127.0.0.1, as behind a NAT. */
  keepsAddresses?: boolean
}

/** Starts a proxy to this port of this machine, closed after the test. */
export async function startFaultyProxy(
  t: Cleanup,
  target: number,
  { keepsAddresses = false }: FaultyProxyOptions = {},
): Promise<FaultyProxy> {
  const proxy = new Proxy(await freePort(), target, keepsAddresses)
  t.after(() => proxy.close())
  await proxy.listen()
  return proxy
}

/** What all connections of a proxy have in common. */
interface Network {
  isSilent: { inwards: boolean; outwards: boolean }
  delayMs: number
  bytesIn: number
}

class Proxy implements FaultyProxy {
  readonly port: number
  readonly #network: Network = { isSilent: { inwards: false, outwards: false }, delayMs: 0, bytesIn: 0 }
  readonly #links = new Set<Link>()
  readonly #server: Server
  readonly #keepsAddresses: boolean
  #target: number
  /** Whose connections are cut: of all, or of these addresses. */
  #cut: 'all' | Set<string> = new Set()

  constructor(port: number, target: number, keepsAddresses: boolean) {
    this.port = port
    this.#target = target
    this.#keepsAddresses = keepsAddresses
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => this.#open(client))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get connections(): number {
    return this.#links.size
  }

  get bytesIn(): number {
    return this.#network.bytesIn
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve))
  }

  close(): void {
    this.#server.close()
    this.drop()
  }

  cut(from?: string): void {
    if (from === undefined) this.#cut = 'all'
    else if (this.#cut !== 'all') this.#cut.add(from)
    for (const link of this.#links) if (this.#isCut(link.from)) link.reset()
  }

  drop(): void {
    for (const link of this.#links) link.reset()
  }

  silence(what: Silence = 'both'): void {
    this.#network.isSilent = { inwards: what === 'both', outwards: true }
    for (const link of this.#links) link.flow()
  }

  delay(ms: number): void {
    this.#network.delayMs = ms
  }

  retarget(port: number): void {
    this.#target = port
    this.drop()
  }

  mend(): void {
    this.#cut = new Set()
    this.#network.isSilent = { inwards: false, outwards: false }
    this.#network.delayMs = 0
    for (const link of this.#links) link.flow()
  }

  #isCut(from: string): boolean {
    return this.#cut === 'all' || this.#cut.has(from)
  }

  #open(client: Socket): void {
    const from = client.remoteAddress ?? ''
    client.on('error', () => undefined)
    if (this.#isCut(from)) return void client.resetAndDestroy()
    const to = { port: this.#target, host: '127.0.0.1', ...(this.#keepsAddresses && { localAddress: from }) }
    const link = new Link(from, { client, server: connect({ ...to, allowHalfOpen: true }) }, this.#network)
    this.#links.add(link)
    client.once('close', () => this.#links.delete(link))
  }
}

/** One connection of a client, and the one to the server that belongs to it. */
class Link {
  /** The client's address. */
  readonly from: string
  readonly #client: Socket
  readonly #server: Socket
  readonly #network: Network
  readonly #inwards: Way
  readonly #outwards: Way

  constructor(from: string, { client, server }: { client: Socket; server: Socket }, network: Network) {
    this.from = from
    this.#client = client
    this.#server = server
    this.#network = network
    this.#inwards = new Way(client, server, 'inwards', network)
    this.#outwards = new Way(server, client, 'outwards', network)
    for (const side of [client, server]) {
      side.setNoDelay(true)
      side.on('error', () => undefined)
      side.on('close', () => this.#pass())
    }
  }

  /** To be called after the network has changed. */
  flow(): void {
    this.#inwards.flow()
    this.#outwards.flow()
    this.#pass()
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.destroy()
  }

  /** A side that has gone takes the other one with it, unless the network keeps that from it. */
  #pass(): void {
    const { inwards, outwards } = this.#network.isSilent
    if (this.#client.destroyed && !inwards) this.#server.destroy()
    if (this.#server.destroyed && !outwards) this.#client.destroy()
  }
}

/** One direction of a connection. */
class Way {
  readonly #from: Socket
  readonly #to: Socket
  readonly #direction: 'inwards' | 'outwards'
  readonly #network: Network
  /** What is under way, oldest first; `undefined` is the end. */
  readonly #held: { dueAt: number; piece: Buffer | undefined }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, direction: 'inwards' | 'outwards', network: Network) {
    this.#from = from
    this.#to = to
    this.#direction = direction
    this.#network = network
    from.on('data', (piece) => this.#take(piece))
    from.on('end', () => this.#take(undefined))
    to.on('drain', () => this.flow())
    to.on('close', () => clearTimeout(this.#timer))
    this.flow()
  }

  flow(): void {
    if (this.#network.isSilent[this.#direction]) return void this.#from.pause()
    while (this.#held.length > 0 && !this.#to.writableNeedDrain) {
      const { dueAt, piece } = this.#held[0]!
      const waitMs = dueAt - performance.now()
      if (waitMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined
          this.flow()
        }, waitMs)
        break
      }
      this.#held.shift()
      if (this.#to.destroyed) continue
      if (piece === undefined) this.#to.end()
      else this.#to.write(piece)
    }
    if (this.#to.writableNeedDrain) this.#from.pause()
    else this.#from.resume()
  }

  #take(piece: Buffer | undefined): void {
    if (this.#direction === 'inwards') this.#network.bytesIn += piece?.length ?? 0
    this.#held.push({ dueAt: performance.now() + this.#network.delayMs, piece })
    this.flow()
  }
}
