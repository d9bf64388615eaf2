import cluster, { type Worker as ClusterWorker } from 'node:cluster'
import { once } from 'node:events'
import type { Logger } from '../base/logger.ts'
import { Channel } from './channel.ts'
import type { FromPrimary, FromWorker, Start, Subject } from './messages.ts'
import type { Reporter } from './reports.ts'

/** A worker that lived for less died at once: something is wrong with it, ms. */
const STEADY_MS = 10_000
/** Pause before the next one where workers keep dying at once; doubled each time, ms. */
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000
/** A worker has this long besides the time in which it drains, such as to end what it has open; after that it hangs, ms. */
const LATE_MS = 5000

/** Pings in a row without an answer at which a worker hangs. They are counted, not timed: while this process stands still, none is sent. */
const UNANSWERED_PINGS = 6

/** `failed`: it cannot start; `retiring`: it ends with its last request; `draining`: the whole gateway ends. */
type Phase = 'starting' | 'failed' | 'serving' | 'retiring' | 'draining'

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

/** One worker process as the primary sees it. */
export class Hand implements Reporter {
  readonly number: number
  readonly channel: Channel<FromWorker, FromPrimary>
  /** Where it listens. Rejects where it cannot start. */
  readonly listening: Promise<{ host: string; port: number }>
  readonly ended: Promise<Exit>
  readonly startedAt = performance.now()
  phase: Phase = 'starting'
  readonly #process: ClusterWorker
  readonly #listening = Promise.withResolvers<{ host: string; port: number }>()
  #unanswered = 0

  constructor(start: Start, onMessage: (hand: Hand, message: FromWorker) => void) {
    this.#process = cluster.fork()
    this.number = this.#process.id
    this.listening = this.#listening.promise
    this.listening.catch(() => {})
    this.channel = new Channel<FromWorker, FromPrimary>(this.#process.process, (message) => {
      if (message.kind === 'listening') this.#serves(message)
      else if (message.kind === 'failed') this.#fails(message)
      else if (message.kind === 'pong') this.#unanswered = 0
      else onMessage(this, message)
    })
    // A worker that dies while something is sent to it is heard of by its end.
    this.#process.on('error', () => {})
    this.ended = once(this.#process, 'exit').then(([code, signal]) => {
      const exit = { code: code as number | null, signal: signal as string | null }
      this.#listening.reject(new Error(`worker ${this.number} ended before it served (${describeExit(exit)})`))
      return exit
    })
    void this.channel.tell({ kind: 'start', start })
  }

  get pid(): number | undefined {
    return this.#process.process.pid
  }

  ask(number: number, subject: Subject): void {
    void this.channel.tell({ kind: 'report', number, subject })
  }

  retire(): void {
    this.phase = 'retiring'
    void this.channel.tell({ kind: 'retire' })
  }

  drain(): void {
    this.phase = 'draining'
    void this.channel.tell({ kind: 'drain' })
  }

  kill(): void {
    this.phase = 'draining'
    this.killAsDead()
  }

  /** Like a death of its own: it is replaced. */
  killAsDead(): void {
    this.#unanswered = 0
    this.#process.process.kill('SIGKILL')
  }

  /** Asks for a sign of life; false where the last ones were not answered. */
  ping(): boolean {
    if (this.#unanswered >= UNANSWERED_PINGS) return false
    this.#unanswered++
    void this.channel.tell({ kind: 'ping' })
    return true
  }

  /** Whether it is to be asked and told what concerns those that serve. */
  get isServing(): boolean {
    return this.phase === 'serving' || this.phase === 'retiring'
  }

  #serves(where: { host: string; port: number }): void {
    if (this.phase === 'starting') this.phase = 'serving'
    this.#listening.resolve(where)
  }

  #fails({ message, stack }: { message: string; stack: string | undefined }): void {
    this.phase = 'failed'
    const error = new Error(message)
    if (stack !== undefined) error.stack = stack
    this.#listening.reject(error)
  }
}

export interface CrewOptions {
  readonly size: number
  /** A worker whose event loop stands still for longer than this hangs, ms. */
  readonly hangMs: number
  readonly logger: Logger
  readonly start: Omit<Start, 'isReplacement' | 'texts'>
  /** What each worker gets to know that is started from now on. */
  readonly texts: Start['texts']
  readonly onMessage: (hand: Hand, message: FromWorker) => void
  /** A worker has been forked: its ledger can be attached. */
  readonly onForked: (hand: Hand) => void
  readonly onEnded: (hand: Hand) => void
}

/** The workers: as many as are wanted, those that die are replaced. */
export class Crew {
  readonly #options: CrewOptions
  readonly #hands = new Set<Hand>()
  /** Deaths at once in a row. */
  #earlyDeaths = 0
  #isDraining = false
  #isRotating = false

  readonly #watching: NodeJS.Timeout

  constructor(options: CrewOptions) {
    this.#options = options
    this.#watching = setInterval(() => this.#watch(), options.hangMs / UNANSWERED_PINGS).unref()
    process.on('exit', this.#leaveNone)
  }

  get hands(): ReadonlySet<Hand> {
    return this.#hands
  }

  get serving(): Hand[] {
    return [...this.#hands].filter((hand) => hand.isServing)
  }

  /** Starts all; rejects if one of them cannot start. */
  async start(): Promise<{ host: string; port: number }> {
    const hands = Array.from({ length: this.#options.size }, () => this.#fork(false))
    const [where] = await Promise.all(hands.map(({ listening }) => listening))
    // Also one that has died since it listened.
    for (const hand of hands) this.#replaceWhenDead(hand)
    return where!
  }

  /** Replaces the workers in turn. Each ends with its last request, when its successor listens. */
  async rotate(): Promise<void> {
    const { logger } = this.#options
    if (this.#isRotating) return logger.warn('the workers are being replaced already')
    this.#isRotating = true
    try {
      for (const old of [...this.#hands].filter(({ phase }) => phase === 'serving')) {
        const next = this.#fork(true)
        await next.listening
        this.#replaceWhenDead(next)
        if (this.#isDraining) return
        // It died meanwhile, and has been replaced for that.
        if (!this.#hands.has(old)) {
          next.retire()
          continue
        }
        logger.info('a worker retires', { worker: old.number, successor: next.number })
        old.retire()
      }
      logger.info('all workers have been replaced')
    } catch (error) {
      logger.error('workers are not replaced: a new one could not start', { error: (error as Error).message })
    } finally {
      this.#isRotating = false
    }
  }

  /** Lets all finish within this time; resolves when they have ended. One that hangs is ended. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true
    for (const hand of this.#hands) hand.drain()
    const timer = setTimeout(() => {
      for (const hand of this.#hands) {
        this.#options.logger.error('a worker does not end and is killed', { worker: hand.number, pid: hand.pid })
        hand.kill()
      }
    }, timeoutMs + LATE_MS)
    await this.#allEnded()
    clearTimeout(timer)
  }

  /** Ends all at once. */
  async kill(): Promise<void> {
    this.#isDraining = true
    for (const hand of this.#hands) hand.kill()
    await this.#allEnded()
  }

  async #allEnded(): Promise<void> {
    await Promise.all([...this.#hands].map(({ ended }) => ended))
    clearInterval(this.#watching)
    process.off('exit', this.#leaveNone)
  }

  /** A worker that hangs does not see that this process has ended. */
  readonly #leaveNone = (): void => {
    for (const hand of this.#hands) hand.kill()
  }

  /** One that hangs keeps the connections that it is given, and its jobs, from all others. */
  #watch(): void {
    for (const hand of this.#hands) {
      if (!hand.isServing || hand.ping()) continue
      this.#options.logger.error('a worker hangs and is killed', { worker: hand.number, pid: hand.pid })
      hand.killAsDead()
    }
  }

  #fork(isReplacement: boolean): Hand {
    const { start, texts, onMessage, onForked, onEnded, logger } = this.#options
    const hand = new Hand({ ...start, isReplacement, texts }, onMessage)
    this.#hands.add(hand)
    onForked(hand)
    logger.debug('a worker was started', { worker: hand.number, pid: hand.pid })
    void hand.ended.then((exit) => {
      this.#hands.delete(hand)
      onEnded(hand)
      if (hand.phase === 'retiring' || hand.phase === 'draining')
        logger.debug('a worker has ended', { worker: hand.number })
      else if (hand.phase !== 'failed') logger.error('a worker died', { worker: hand.number, ...exit })
    })
    return hand
  }

  #replaceWhenDead(hand: Hand): void {
    void hand.ended.then(() => {
      if (this.#isDraining || hand.phase === 'retiring') return
      const livedMs = performance.now() - hand.startedAt
      if (livedMs >= STEADY_MS) this.#earlyDeaths = 0
      else this.#earlyDeaths++
      this.#replace()
    })
  }

  #replace(): void {
    const doublings = this.#earlyDeaths - 2
    const pauseMs = doublings < 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** doublings, LONGEST_PAUSE_MS)
    const begin = (): void => {
      if (this.#isDraining) return
      const hand = this.#fork(true)
      hand.listening.catch((error: Error) => {
        if (hand.phase === 'failed') this.#options.logger.error('a worker cannot start', { error: error.message })
      })
      this.#replaceWhenDead(hand)
    }
    if (pauseMs === 0) begin()
    else setTimeout(begin, pauseMs)
  }
}

function describeExit({ code, signal }: Exit): string {
  return signal ?? `code ${code}`
}
