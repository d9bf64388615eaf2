import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { Logger } from '../base/logger.ts'
import type { JobOwner, Membership, MembershipEvents, ReplicaState } from './coordination.ts'
import { Observer, type SeenReplica } from './observer.ts'

/** Beats within the time after which a silent replica is dead. */
const BEATS_PER_TIMEOUT = 5
/** Share of that time, counted from a beat, within which no other replica can have buried this one. */
const SURE_SHARE = 0.8
/** A beat that is not answered for this long is lost, ms; two of them, and the store is asked over a new connection. */
const MAX_BEAT_MS = 2000
const SILENT_BEATS = 2
const RETRY_MS = 500

interface BeatReport {
  /** Our own number. */
  readonly number: number
  readonly replicas: readonly SeenReplica[]
}

/** What a life needs of the store. */
export interface LifeStore {
  /** Rejects with the code FENCED if the replica was buried. */
  beat(replica: string, isLeaving: boolean, deadlineMs: number): Promise<BeatReport>
  /** Buries a replica that has not moved on from this number; one that is known to be over without a number. */
  bury(replica: string, number?: string): Promise<void>
  /** Writes again what was written of late; rejects while that cannot be done. */
  writeAgain(): Promise<void>
  /** The store does not answer over its present connection. */
  renewConnection(): void
}

export interface LifeOptions {
  readonly store: LifeStore
  readonly logger: Logger
  /** After this time without a beat a replica is dead, ms. */
  readonly timeoutMs: number
  /** Monotonic milliseconds. */
  readonly now?: () => number
  /** Until a beat that failed, or that left something to put right, is tried again, where that is sooner than its turn. */
  readonly retryMs?: number
}

/** Where a replica stood when it sent something: by it the answer shows whether the store has lost what it acknowledged before. */
export interface Mark {
  readonly replica: string
  readonly number: number
  readonly sentAt: number
}

/** What is to be put right before we are sure of our jobs. */
type Unsettled = { readonly kind: 'newLife'; readonly former: string } | { readonly kind: 'history' }

/**
 * The life of this replica in a store in which each one has a number that grows: its beats, and what it sees of the others. No clock
 * but its own monotonic one is trusted: a replica whose number stands still for the whole time in which we looked is dead, and buried
 * unless its number has moved by then. One that learns that it was buried begins a new life under another name.
 */
export class ReplicaLife extends EventEmitter<MembershipEvents> implements Membership {
  readonly #store: LifeStore
  readonly #logger: Logger
  readonly #timeoutMs: number
  readonly #now: () => number
  readonly #retryMs: number
  readonly #observer: Observer
  readonly sharesAddress = false
  #self = newName()
  #owner: JobOwner | undefined
  #replicas: readonly ReplicaState[] = []
  /** The highest number of ours that the store has acknowledged. */
  #acknowledged = 0
  /** When the last beat was sent that was acknowledged in this life. */
  #beatAt = -Infinity
  /** The same in any life, unless something has happened since by which the store may be another one. */
  #storeSeenAt = -Infinity
  /** Counts the connections to the store. */
  #connections = 0
  /** Whether the store has all that it acknowledged to us of late. */
  #isHistoryWhole = true
  /** Counts how often it had not. */
  #losses = 0
  #unsettled: Unsettled[] = []
  #settling: Promise<void> | undefined
  #beating: Promise<void> | undefined
  #silentBeats = 0
  #isLeaving = false
  #isOver = false
  #timer: NodeJS.Timeout | undefined

  constructor({ store, logger, timeoutMs, now = () => performance.now(), retryMs = RETRY_MS }: LifeOptions) {
    super()
    this.#store = store
    this.#logger = logger
    this.#timeoutMs = timeoutMs
    this.#now = now
    this.#retryMs = retryMs
    this.#observer = new Observer(timeoutMs, now)
  }

  get self(): string {
    return this.#self
  }

  get isSure(): boolean {
    const isYoung = this.#now() - this.#beatAt < SURE_SHARE * this.#timeoutMs
    return isYoung && this.#unsettled.length === 0 && !this.#isOver
  }

  get replicas(): readonly ReplicaState[] {
    return this.#replicas
  }

  /**
   * Whether what the store tells may be told: a short while ago it took a beat. One that does not is perhaps a former master,
   * which does not know what the present one does; and one that has lost its latest changes is told of them first.
   */
  get isStoreTrusted(): boolean {
    return this.#isHistoryWhole && this.#now() - this.#storeSeenAt < SURE_SHARE * this.#timeoutMs
  }

  /** The same, after a beat where it is needed. Never rejects. */
  async trustsStore(): Promise<boolean> {
    if (!this.isStoreTrusted) await this.beat()
    return this.isStoreTrusted
  }

  /** The store is reached over a new connection: it may be another one than before, which a beat shows. */
  reconnected(): void {
    this.#connections++
    this.#storeSeenAt = -Infinity
    void this.beat()
  }

  attach(owner: JobOwner): void {
    this.#owner = owner
  }

  async leave(): Promise<void> {
    this.#isLeaving = true
    // One that is under way does not say so yet.
    await this.#beating
    await this.beat()
  }

  async resign(): Promise<void> {
    const former = this.#begin()
    this.#unsettled = []
    await this.#store.bury(former).catch(() => {})
    await this.beat()
  }

  /** An unfinished job that was ours is not any more. */
  disown(id: string): void {
    this.emit('disowned', id)
  }

  /** Beats now, and from now on in turn. Settles when this beat is over; never rejects. */
  beat(): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
      this.#plan()
    })
    return this.#beating
  }

  /** Before something is sent in our name. */
  mark(): Mark {
    return { replica: this.#self, number: this.#acknowledged, sentAt: this.#now() }
  }

  /** After it was acknowledged with our number. */
  acknowledge(number: number, { replica, number: before }: Mark): void {
    if (replica !== this.#self) return
    if (number > before) this.#acknowledged = Math.max(this.#acknowledged, number)
    else this.#historyLost(number)
  }

  /** Ends this life: others may take the jobs over at once. */
  async end(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    await this.#beating
    await this.#store.bury(this.#self).catch(() => {})
  }

  /** Takes a new name; returns the former one. */
  #begin(): string {
    const former = this.#self
    this.#self = newName()
    this.#acknowledged = 0
    this.#beatAt = -Infinity
    return former
  }

  #plan(): void {
    if (this.#isOver) return
    clearTimeout(this.#timer)
    const pauseMs = this.#timeoutMs / BEATS_PER_TIMEOUT
    const isDue = this.#unsettled.length > 0 || this.#beatAt === -Infinity
    this.#timer = setTimeout(() => void this.beat(), isDue ? Math.min(this.#retryMs, pauseMs) : pauseMs).unref()
  }

  async #beat(): Promise<void> {
    const mark = this.mark()
    const connections = this.#connections
    const deadlineMs = Math.min(MAX_BEAT_MS, (2 * this.#timeoutMs) / BEATS_PER_TIMEOUT)
    try {
      const report = await this.#store.beat(mark.replica, this.#isLeaving, deadlineMs)
      this.#silentBeats = 0
      if (mark.replica !== this.#self) return
      this.acknowledge(report.number, mark)
      this.#beatAt = mark.sentAt
      if (connections === this.#connections) this.#storeSeenAt = mark.sentAt
      const others = report.replicas.filter(({ replica }) => replica !== this.#self)
      for (const { replica, number } of this.#observer.silent(others, mark.sentAt)) this.#bury(replica, number)
      this.#tell(report.replicas)
      if (this.#unsettled.length > 0) void this.#settle()
    } catch (error) {
      this.#storeSeenAt = -Infinity
      await this.#failed(error as Error & { code?: string }, mark.replica)
    }
  }

  async #failed({ code }: { code?: string }, replica: string): Promise<void> {
    if (code === 'SILENT' && ++this.#silentBeats >= SILENT_BEATS) {
      this.#silentBeats = 0
      this.#store.renewConnection()
    }
    if (code !== 'FENCED' || replica !== this.#self) return
    const former = this.#begin()
    // What was to be put right in the former life is part of what the new one finds out.
    this.#unsettled = [...this.#unsettled, { kind: 'newLife', former }]
    this.#logger.warn('replicas: this gateway was taken for dead and begins anew', { former, replica: this.#self })
    await this.#beat()
  }

  #historyLost(number: number): void {
    this.#acknowledged = number
    this.#isHistoryWhole = false
    this.#losses++
    if (this.#unsettled.some(({ kind }) => kind === 'history')) return
    this.#logger.warn('replicas: the ledger has lost its latest changes, which are written again')
    this.#unsettled = [...this.#unsettled, { kind: 'history' }]
    void this.#settle()
  }

  /** Puts right what is unsettled, in the order in which it came up; what fails waits for the next beat. */
  #settle(): Promise<void> {
    this.#settling ??= this.#settleAll().finally(() => (this.#settling = undefined))
    return this.#settling
  }

  async #settleAll(): Promise<void> {
    for (;;) {
      const [next] = this.#unsettled
      // Without a beat of this life nothing can be claimed.
      if (!next || this.#beatAt === -Infinity || this.#isOver) return
      const { self } = this
      try {
        if (next.kind === 'newLife') await this.#owner?.onNewLife(next.former)
        else {
          const losses = this.#losses
          await this.#store.writeAgain()
          if (losses === this.#losses) this.#isHistoryWhole = true
          await this.#owner?.onHistoryLost()
          // Lost once more meanwhile: all of it again, after the next beat.
          if (losses !== this.#losses) return
        }
      } catch {
        return
      }
      // Another life may have begun meanwhile: then the claims of this one were in vain.
      if (self === this.#self) this.#unsettled = this.#unsettled.filter((each) => each !== next)
      else return
    }
  }

  #bury(replica: string, number: string | undefined): void {
    this.#logger.warn('replicas: a gateway is silent and counts as dead', { replica })
    this.#store.bury(replica, number).catch(() => {})
  }

  #tell(seen: readonly SeenReplica[]): void {
    this.#replicas = seen.map(({ replica, jobs, state, goneMs }) => ({ replica, jobs, state, goneMs }))
    this.emit('seen', this.#replicas)
  }
}

function newName(): string {
  return randomBytes(8).toString('hex')
}
