import { ADVANCE_SHARE, type Refill } from '../base/refill.ts'
import { admitted, refused, type Verdict } from '../http/budgets.ts'
import type { BudgetGrant } from './coordination.ts'

/** Requests that wait for the store's word. */
export interface Waiting {
  readonly count: number
  readonly resolve: (verdict: Verdict) => void
}

/** Part of the shared budget that must be free by what is known, for places to be asked for in advance: fewer are never granted. */
const LEAST_FREE = 1 / ADVANCE_SHARE

/** What a gateway knows and holds of one caller's shared budget. */
export class CallerPlaces {
  /** Places that were granted and not used yet. */
  held = 0
  /** In the order in which they came. */
  waiting: Waiting[] = []
  /** A question to the store is under way. */
  isAsking = false
  readonly #refill: Refill
  readonly #restMs: number
  /** How far the shared budget was used when the store last answered, ms of its refill time, and when that was. */
  #usedMs = 0
  #knownAt = -Infinity
  #lastHitAt = -Infinity
  /** Requests since `#windowAt`, and in the window before that one. */
  #hits = 0
  #hitsBefore = 0
  #windowAt = -Infinity
  /** Until then as many requests as this, or more, need not be asked for. */
  #fullCount = Infinity
  #fullUntil = -Infinity

  /** `restMs`: how long the windows are in which requests are counted, and after which a caller rests. */
  constructor(refill: Refill, restMs: number) {
    this.#refill = refill
    this.#restMs = restMs
  }

  /** Counts requests, whatever becomes of them. */
  hit(now: number, count: number): void {
    this.#turnWindow(now)
    this.#hits += count
    this.#lastHitAt = now
  }

  /** Uses places that are held. Whoever waits comes first. */
  take(count: number): boolean {
    if (this.held < count || this.waiting.length > 0) return false
    this.held -= count
    return true
  }

  /** Answers those who wait, in order, as far as the places go. */
  serve(now: number): void {
    let served = 0
    for (const { count, resolve } of this.waiting) {
      if (this.held < count) break
      this.held -= count
      served++
      resolve(this.admitted(now))
    }
    this.waiting.splice(0, served)
  }

  /** Places to ask for in advance: those who wait are asked for already. */
  inAdvance(now: number): number {
    const waiting = this.waiting.reduce((sum, { count }) => sum + count, 0)
    return Math.max(0, this.#recent(now) - waiting)
  }

  /** Whether more places should be asked for before they are needed. */
  isRunningLow(now: number): boolean {
    return !this.isAsking && this.held * 2 < this.#recent(now) && this.#refill.free(this.#usedAt(now)) >= LEAST_FREE
  }

  /** Places to ask for, so that as many of those who wait as should fit are admitted, but at least the first; `most`: no more fit. */
  wanted(now: number, most: number): number {
    const within = this.held + Math.min(most, this.#refill.free(this.#usedAt(now)))
    let sum = 0
    for (const { count } of this.waiting) {
      if (sum > 0 && sum + count > within) break
      sum += count
    }
    return Math.max(0, sum - this.held)
  }

  learn({ granted, usedMs }: BudgetGrant, now: number): void {
    this.held += granted
    this.#usedMs = usedMs
    this.#knownAt = now
  }

  /** As many of the held places were given back to the store. */
  returned(count: number): void {
    this.held -= count
    this.#usedMs -= count * this.#refill.requestMs
  }

  /** Pays a charge from the places that are held; returns what is left of it for the store to charge. */
  pay(count: number): number {
    const paid = Math.min(this.held, count)
    this.held -= paid
    return count - paid
  }

  /** The store was told to charge `count`, or to take back as many where it is below 0. */
  changed(count: number, now: number): void {
    this.#usedMs = Math.max(0, this.#refill.charged(this.#usedAt(now), count))
    this.#knownAt = now
  }

  fullFrom(count: number, until: number): void {
    this.#fullCount = count
    this.#fullUntil = until
  }

  isFullFor(count: number, now: number): boolean {
    return now < this.#fullUntil && count >= this.#fullCount && this.waiting.length === 0
  }

  /** Places that are held beyond any need. */
  unused(now: number): number {
    return Math.max(0, this.held - 2 * this.#recent(now))
  }

  isResting(now: number): boolean {
    return now - this.#lastHitAt >= this.#restMs
  }

  admitted(now: number): Verdict {
    return admitted(this.#refill, this.#usedWithoutHeld(now))
  }

  refused(now: number, count: number): Verdict {
    return refused(this.#refill, this.#usedWithoutHeld(now), count)
  }

  /** Requests of the last moments: about as many are to be expected in the next. */
  #recent(now: number): number {
    this.#turnWindow(now)
    return Math.max(this.#hits, this.#hitsBefore)
  }

  #usedAt(now: number): number {
    return Math.max(0, this.#usedMs - (now - this.#knownAt))
  }

  /** To the caller, places in advance are free. */
  #usedWithoutHeld(now: number): number {
    return Math.max(0, this.#usedAt(now) - this.held * this.#refill.requestMs)
  }

  #turnWindow(now: number): void {
    const age = now - this.#windowAt
    if (age < this.#restMs) return
    this.#hitsBefore = age < 2 * this.#restMs ? this.#hits : 0
    this.#hits = 0
    this.#windowAt = now
  }
}
