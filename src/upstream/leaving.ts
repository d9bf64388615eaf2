import type { ServerResponse } from 'node:http'
import { GatewayFault } from '../faults.ts'
import { onHalfClose } from '../http/halfClose.ts'
import type { Attempt } from './attempt.ts'
import { isBetweenChunks, writeLeadingZero } from './chunked.ts'

/**
 * Ends the try that is under way when its client leaves, or the wait for one.
 *
 * A reset is a client that has left. A FIN is either that or a client that only has nothing more to send (half-close), and
 * nothing but sending shows which: the system of a client that has left answers with a reset. So after a FIN bytes that mean
 * nothing are sent: `100 Continue` before the answer, which every client of HTTP/1.1 must pass over (RFC 9110, 15.2), and
 * zeros in front of the next chunk's size within a chunked one. Where neither is possible (HTTP/1.0, an answer that tells its
 * length), a client to which nothing can be sent for a while counts as gone.
 */
export class Leaving {
  readonly #res: ServerResponse
  #attempt: Attempt | undefined
  readonly #controller = new AbortController()
  readonly #onClose: () => void
  readonly #endWatch: () => void
  #probes: Probes | undefined

  constructor(res: ServerResponse) {
    this.#res = res
    // By way of a variable: V8 makes a function that is written as a member's value old at once, and with it the whole
    // request outlives every scavenge.
    const onClose = (): void => {
      if (!res.writableFinished) this.#left()
    }
    this.#onClose = onClose
    res.on('close', onClose)
    const endWatch = onHalfClose(res.req.socket, () => (this.#probes = new Probes(res)))
    this.#endWatch = endWatch
    if (res.destroyed) this.#left()
  }

  /** Aborts, with a fault as its reason, when the client has left. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** From now on this is the try that ends with the client. */
  ends(attempt: Attempt): void {
    this.#attempt = attempt
    if (this.#res.destroyed) this.#left()
  }

  #left(): void {
    const fault = new GatewayFault('ERR_CLIENT_GONE')
    this.#controller.abort(fault)
    this.abort(fault)
  }

  abort(fault: GatewayFault): void {
    this.#attempt?.abort(fault)
  }

  forget(): void {
    this.#res.off('close', this.#onClose)
    this.#endWatch()
    this.#probes?.stop()
  }
}

/**
 * When a client that sent a FIN is probed, ms after the one before. Not at once, so that a quick answer goes out alone; more
 * than once, because only the write after the reset fails; and no more than five times: some clients take no more interim
 * answers (Go).
 */
const PROBE_AFTER_MS = [100, 100, 200, 400, 800]

/** Finds out whether a client that sent a FIN is still there; destroys the response of one that is not. */
class Probes {
  readonly #res: ServerResponse
  readonly #bytesBefore: number
  #timer: NodeJS.Timeout | undefined
  #next = 0

  constructor(res: ServerResponse) {
    this.#res = res
    this.#bytesBefore = res.req.socket.bytesWritten
    this.#wait()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #wait(): void {
    const ms = PROBE_AFTER_MS[this.#next]
    if (ms !== undefined) this.#timer = setTimeout(() => this.#probe(), ms)
  }

  #probe(): void {
    const res = this.#res
    // It waits behind another answer, whose bytes show the same.
    const isQueued = res.socket === null
    if (res.destroyed || (res.writableEnded && !isQueued)) return
    if (!isQueued) {
      this.#next++
      const isLast = this.#next === PROBE_AFTER_MS.length
      const hasMoved = res.req.socket.bytesWritten > this.#bytesBefore
      if (!sendNothing(res) && isLast && !hasMoved) return void res.destroy()
    }
    this.#wait()
  }
}

/** Sends bytes without a meaning; false where there are none. */
function sendNothing(res: ServerResponse): boolean {
  // What waits to be taken does as well.
  if (res.req.socket.writableLength > 0) return true
  if (!res.headersSent) {
    if (res.req.httpVersion === '1.0') return false
    res.writeContinue()
    return true
  }
  if (!isBetweenChunks(res)) return false
  writeLeadingZero(res)
  return true
}
