import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Upgrade } from '../http/upgrades.ts'
import { headersForClient } from './headers.ts'
import { FrameWalk, goingAway } from './webSocketFrames.ts'

/** After which time a silent connection is probed by TCP, ms: a peer that vanished without a word is found out. */
const PROBE_AFTER_MS = 30_000
/** How long an end may take to close once the other is gone, ms. */
const LINGER_MS = 2000

/** Connections of clients that speak another protocol with a backend, byte by byte. */
export class Tunnels {
  readonly #open = new Set<Tunnel>()

  /** Switches a client over to a backend that has agreed. Resolves when the connection has ended, however that happens. */
  async join(res: ServerResponse, upgrade: Upgrade, answer: SwitchedAnswer): Promise<void> {
    const tunnel = new Tunnel(upgrade, answer.backend)
    this.#open.add(tunnel)
    upgrade.isSwitched = true
    res.statusCode = 101
    upgrade.socket.write(headOf(answer), 'latin1')
    await tunnel.ended
    this.#open.delete(tunnel)
  }

  /** Ends all of them: with a close frame where one may come next, else with a cut. */
  close(): void {
    for (const tunnel of this.#open) tunnel.close()
  }
}

/** A backend's agreement to switch protocols. */
export interface SwitchedAnswer {
  readonly headers: IncomingHttpHeaders
  readonly backend: Duplex
  readonly nodeName: string
  /** Why it was chosen, where answers tell: see `Lease.routing`. */
  readonly routing: string | undefined
  readonly requestId: string
  /** How long the request waited for places at backends. */
  readonly queueSeconds: number
}

class Tunnel {
  readonly ended: Promise<void>
  readonly #client: Duplex
  readonly #backend: Duplex
  readonly #fromClient = new FrameWalk()
  readonly #fromBackend = new FrameWalk()

  constructor({ socket, head }: Upgrade, backend: Duplex) {
    this.#client = socket
    this.#backend = backend
    this.ended = Promise.race([endOf(socket), endOf(backend)])
    for (const end of [socket, backend]) {
      if (!('setKeepAlive' in end)) continue
      end.setTimeout(0)
      end.setNoDelay(true)
      end.setKeepAlive(true, PROBE_AFTER_MS)
    }
    if (head.length > 0) socket.unshift(head)
    socket.on('data', (chunk: Buffer) => this.#fromClient.take(chunk))
    backend.on('data', (chunk: Buffer) => this.#fromBackend.take(chunk))
    socket.pipe(backend)
    backend.pipe(socket)
    for (const [one, other] of [
      [socket, backend],
      [backend, socket],
    ] as const) {
      one.on('close', () => endSoon(other))
      // WebSockets have no half-closed state (RFC 6455, 7.1.1): an end that ignores the other's FIN is cut off.
      one.on('end', () => {
        destroyLater(one)
        destroyLater(other)
      })
    }
  }

  close(): void {
    this.#client.unpipe(this.#backend)
    this.#backend.unpipe(this.#client)
    // Keep reading and discard the data: otherwise the FIN of the peer would not be noticed.
    this.#client.resume()
    this.#backend.resume()
    sayGoodbye(this.#client, this.#fromBackend, { masked: false })
    sayGoodbye(this.#backend, this.#fromClient, { masked: true })
  }
}

function endOf(end: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (end.destroyed) return resolve()
    end.on('error', () => end.destroy())
    end.on('close', () => resolve())
  })
}

/** Sends what was written, then FIN. */
function endSoon(end: Duplex): void {
  if (end.destroyed) return
  end.end()
  destroyLater(end)
}

/** By then its peer has read what was still to be sent: `pipe` holds back all but a last piece. */
function destroyLater(end: Duplex): void {
  const timer = setTimeout(() => end.destroy(), LINGER_MS)
  timer.unref()
  end.on('close', () => clearTimeout(timer))
}

function sayGoodbye(end: Duplex, sent: FrameWalk, kind: { readonly masked: boolean }): void {
  if (end.destroyed) return
  if (sent.isBetweenFrames) end.write(goingAway(kind))
  endSoon(end)
}

/** The head of the answer, which no response of Node's can write: it would end the connection. */
function headOf({ headers, nodeName, routing, requestId, queueSeconds }: SwitchedAnswer): string {
  const out = headersForClient(headers)
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    `Upgrade: ${headers.upgrade ?? 'websocket'}`,
  ]
  for (const [name, value] of Object.entries(out)) {
    for (const one of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${one}`)
  }
  lines.push(`X-Infernet-Node: ${nodeName}`, `X-Request-Id: ${requestId}`)
  lines.push(`X-Queue-Ms: ${Math.round(queueSeconds * 1000)}`)
  if (routing !== undefined) lines.push(`X-Routing-Reason: ${routing}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
