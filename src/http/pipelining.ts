import type { Socket } from 'node:net'

/**
 * Requests that one connection may send at once without waiting for an answer (RFC 9112, 9.3.2). Clients that pipeline at all
 * send a few; Node parses all of a chunk, some 2,000 short requests, before any of them can be answered.
 */
const MOST_AT_ONCE = 100

/** How deep connections pipeline. Only requests behind an unanswered one are counted, so that others cost nothing. */
export class Pipelining {
  #turn = 0
  #isTurnOpen = false
  readonly #counts = new WeakMap<Socket, { turn: number; requests: number }>()

  /** Counts a request behind an unanswered one; true where it is one too many in this turn of the event loop. */
  isTooDeep(socket: Socket): boolean {
    if (!this.#isTurnOpen) {
      this.#isTurnOpen = true
      setImmediate(() => this.#endTurn())
    }
    const count = this.#counts.get(socket)
    if (count?.turn !== this.#turn) {
      this.#counts.set(socket, { turn: this.#turn, requests: 1 })
      return false
    }
    return ++count.requests > MOST_AT_ONCE
  }

  #endTurn(): void {
    this.#isTurnOpen = false
    this.#turn++
  }
}
