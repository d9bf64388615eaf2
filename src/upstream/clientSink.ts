import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GatewayFault } from '../faults.ts'
import type { AnswerSink, Flow } from './answer.ts'
import { ChunkedBody } from './chunked.ts'
import { headersForClient } from './headers.ts'

/** Looks at an answer in passing. All of it is optional. */
export interface StreamTap {
  /** Whether an answer with this head is streamed; anything else is collected. Default: all are. */
  takes?(status: number, headers: IncomingHttpHeaders): boolean
  /**
   * Gets every piece before the client does and says what may go on now. A promise holds the stream, and its head, until it
   * is settled; if it rejects, the client gets the fault instead. Pieces of the list are written one by one, and the first
   * of a promise's reaches the client's reader alone.
   */
  gate?(chunk: Buffer): readonly Buffer[] | Promise<readonly Buffer[]>
  /** After the last piece: what a gate still holds. */
  rest?(): readonly Buffer[]
  /** Sees every piece that goes on. */
  watch?(chunk: Buffer): void
}

export interface ClientSinkOptions {
  readonly res: ServerResponse
  readonly nodeName: string
  /** Why the node was chosen, where answers tell: see `Lease.routing`. */
  readonly routing: string | undefined
  readonly tap: StreamTap
  /** Ends the try at the node; the fault is what the client gets if nothing was written yet. */
  readonly abort: (error: unknown) => void
}

/**
 * A reader needs this long to wake and take what was written, ms. What is written sooner is read together with it, even if
 * it was a write of its own: an asyncio client on a busy machine did so in 44 of 100 cases, with this pause in 3.
 */
const READING_MS = 5

/** Streams an answer to a client, with backpressure, keeping pieces apart as they came. A broken answer stays broken. */
export class ClientSink implements AnswerSink {
  readonly #options: ClientSinkOptions
  #flow: Flow | undefined
  #head: (() => void) | undefined
  #body: ChunkedBody | undefined
  /** Pieces that wait behind a held one, in order. */
  #held: Promise<void> | undefined
  /** Why a held piece may not go on. */
  #refusal: { readonly error: unknown } | undefined
  #isPaused = false
  #isEnding = false
  /** Bytes of the answer that are still to come; where it does not say how many, Infinity. */
  #bytesLeft = Infinity

  constructor(options: ClientSinkOptions) {
    this.#options = options
  }

  begin(status: number, headers: IncomingHttpHeaders, flow: Flow): boolean {
    const { res, tap, nodeName, routing } = this.#options
    if (tap.takes && !tap.takes(status, headers)) return false
    this.#flow = flow
    if (headers['content-length'] !== undefined) this.#bytesLeft = Number(headers['content-length'])
    // By way of a variable, for the sake of the young generation: see the forwarder.
    const head = (): void => {
      this.#head = undefined
      const out = headersForClient(headers, res)
      out['x-infernet-node'] = nodeName
      if (routing !== undefined) out['x-routing-reason'] = routing
      res.writeHead(status, out)
      this.#body = new ChunkedBody(res)
    }
    this.#head = head
    if (!tap.gate) {
      head()
      // The head must not wait for a slow first piece, yet should share its packet with a quick one.
      setImmediate(() => {
        if (!res.writableEnded && !res.destroyed) res.flushHeaders()
      })
    }
    return true
  }

  piece(chunk: Buffer): void {
    const { tap } = this.#options
    this.#bytesLeft -= chunk.length
    if (!tap.gate) return this.#write(chunk)
    if (this.#held) {
      this.#hold(this.#held.then(() => this.#pass(chunk)))
      return
    }
    const passed = this.#pass(chunk)
    if (passed) this.#hold(passed)
  }

  end(): void | Promise<void> {
    this.#isEnding = true
    if (this.#held) return this.#held.then(() => this.#finish())
    this.#finish()
  }

  broke(_fault: GatewayFault): void | Promise<void> {
    // What the node had sent before still reaches the client; then a cut is the only honest end.
    if (this.#held) return this.#held.then(() => this.#cut())
    this.#cut()
  }

  #cut(): void {
    const { res } = this.#options
    if (!res.headersSent) return
    // To an HTTP/1.0 client the end of the connection is the end of the answer: only a reset says otherwise.
    if (res.req.httpVersion === '1.0') res.socket?.resetAndDestroy()
    res.destroy()
  }

  /** @throws what a gate rejected with: there is nobody left to abort */
  #finish(): void {
    const { res, tap } = this.#options
    if (this.#refusal) throw this.#refusal.error
    if (res.destroyed || res.writableEnded) return
    this.#head?.()
    for (const chunk of tap.rest?.() ?? []) this.#write(chunk)
    this.#body?.end()
  }

  #pass(chunk: Buffer): Promise<void> | undefined {
    const open = this.#options.tap.gate?.(chunk) ?? [chunk]
    return open instanceof Promise ? open.then((pieces) => this.#writeApart(pieces)) : this.#writeAll(open)
  }

  #hold(held: Promise<void>): void {
    this.#pause()
    const mine = held.then(
      () => {
        if (this.#held !== mine) return
        this.#held = undefined
        this.#resumeWhenDrained()
      },
      (error: unknown) => {
        // First no longer held, so that the fault can become the answer.
        this.#held = undefined
        this.#refusal = { error }
        this.#options.abort(error)
      },
    )
    this.#held = mine
  }

  /** Settles when the first has surely been read before the others, and whatever comes after them, are written. */
  async #writeApart([first, ...others]: readonly Buffer[]): Promise<void> {
    if (!first) return
    await this.#writeFlushed(first)
    await sleep(READING_MS)
    await this.#writeAll(others)
  }

  /** Writes one by one, each flushed before the next, so that they stay pieces of their own. */
  #writeAll(pieces: readonly Buffer[]): Promise<void> | undefined {
    if (pieces.length === 0) return undefined
    if (pieces.length === 1) {
      this.#write(pieces[0] as Buffer)
      return undefined
    }
    return (async () => {
      for (const piece of pieces) await this.#writeFlushed(piece)
    })()
  }

  #write(chunk: Buffer): void {
    const { res, tap } = this.#options
    if (res.destroyed) return
    this.#head?.()
    tap.watch?.(chunk)
    if (this.#body?.write(chunk) === false && !this.#isEnding) {
      this.#pause()
      this.#body.onceDrained(() => this.#resumeWhenDrained())
    }
  }

  /** Settles once the piece has left, or its client has. */
  #writeFlushed(chunk: Buffer): Promise<void> {
    const { res, tap } = this.#options
    if (res.destroyed) return Promise.resolve()
    this.#head?.()
    tap.watch?.(chunk)
    return new Promise((resolve) => {
      const settle = (): void => {
        res.off('close', settle)
        resolve()
      }
      // Node never calls back for what was written while an earlier answer of the connection was still under way.
      res.once('close', settle)
      this.#body?.write(chunk, settle)
    })
  }

  #pause(): void {
    // All has come but its end: paused, it would be taken for broken off if the node closes the connection now.
    if (this.#isPaused || this.#bytesLeft <= 0) return
    this.#isPaused = true
    this.#flow?.pause()
  }

  #resumeWhenDrained(): void {
    if (!this.#isPaused || this.#held || this.#body?.needsDrain) return
    this.#isPaused = false
    this.#flow?.resume()
  }
}
