import type { Socket } from 'node:net'
import type { ConnectionRecord } from './interimAnswers.ts'

/** Two idle times that differ by no more than this factor are one time-out of the backend. */
const SAME = 0.8
/** Closes at one moment are a restart of the backend, whatever they have in common, ms. */
const MOMENT_MS = 100
/** Shorter idle times say nothing, ms. */
const LEAST_IDLE_MS = 100
/** How long before the backend we close, at most, ms. */
const MARGIN_MS = 500

/** Errors of connections that had carried answers and were closed before any byte of the next one. */
const reuseRaces = new WeakSet<Error>()

/** Whether the backend closed a connection that had been idle while a request was on its way to it. */
export function isReuseRace(error: unknown): boolean {
  return error instanceof Error && reuseRaces.has(error)
}

/** Watches a connection for closes by the backend; `onIdleClose` is called with the time that it had been idle, ms. */
export function watchCloses(socket: Socket, record: ConnectionRecord, onIdleClose: (idleMs: number) => void): void {
  let isNoted = false
  const note = (): void => {
    if (isNoted) return
    isNoted = true
    onIdleClose(record.idleMs())
  }
  // A FIN; our own closes end with no such event.
  socket.once('end', note)
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (record.isReuseUnanswered) reuseRaces.add(error)
    if (error.code === 'ECONNRESET') note()
  })
}

/** Learns after which time a backend closes idle connections, so that ours are closed before. */
export class IdleLimit {
  /** Idle connections are closed by us after this time, ms. */
  ms: number
  #lastIdleMs = 0
  #lastAt = -Infinity

  constructor(ms: number) {
    this.ms = ms
  }

  /** The backend closed a connection that had been idle for `idleMs`. Returns whether the limit has changed. */
  closed(idleMs: number): boolean {
    if (idleMs < LEAST_IDLE_MS) return false
    const now = performance.now()
    const isOtherMoment = now - this.#lastAt > MOMENT_MS
    const isSame = Math.min(idleMs, this.#lastIdleMs) >= SAME * Math.max(idleMs, this.#lastIdleMs)
    this.#lastAt = now
    this.#lastIdleMs = idleMs
    const limit = Math.max(idleMs / 2, idleMs - MARGIN_MS)
    if (!(isOtherMoment && isSame) || limit >= this.ms) return false
    this.ms = limit
    return true
  }
}
