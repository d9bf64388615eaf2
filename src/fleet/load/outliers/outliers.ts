import type { PolicyConstants } from '../constants.ts'
import { KindOutliers } from './kindOutliers.ts'
import { describeOutlier } from './reason.ts'
import { Runs, type Run } from './runs.ts'
import type { Suspect } from './suspect.ts'

/** Kinds of work with refusals that are kept at once, and entries of backends at all kinds together. */
const MOST_KINDS = 1000
const MOST_SUSPECTS = 20_000
/** Kinds with longer names are made up by clients; the rule does not apply to them, so that what is kept stays small. */
const LONGEST_KIND = 1000
/** Statuses that speak of one kind of work alone. */
const HAS_IT_NOT: readonly unknown[] = [404, 501]
/** How often what has become old is let go of, in half-lives of what siblings answered. */
const TIDY_HALF_LIVES = 0.3

/** A request as the rule sees it. The tries of one request share it. */
export interface Asked<B = unknown> {
  /** What it asks for; backends are compared with those that get the same. */
  readonly kind: string
  /** Who asks: the name behind the key, else the address. */
  readonly caller: string
  /** What its earlier refusals belong to. */
  run?: Run<Suspect<B>>
}

/** A backend that is set aside for one kind of work. */
export interface Avoided {
  readonly kind: string
  /** Such as "answers 500 to 94 % where its siblings answer 1 %". */
  readonly reason: string
  /** When a request may try it, monotonic seconds. */
  readonly until: number
}

/** Why a backend gets a kind of work again. */
export type FreedBy = 'trial' | 'siblings' | 'age'

export interface OutlierEvents<B> {
  setAside(backend: B, avoided: Avoided): void
  freed(backend: B, kind: string, by: FreedBy): void
}

/** A request that tries out a backend whose time is over. */
export interface Trial<B> {
  readonly suspect: Suspect<B>
  readonly number: number
}

/** How a backend refused a request. */
export interface Refusal<B extends object> {
  readonly status: number
  /** Whether any other backend could have taken the request; without one there is no rule. Asked only where it matters. */
  readonly hasSiblings: () => boolean
  /** The trial that the request was, if any. */
  readonly trial?: Trial<B> | undefined
}

/**
 * Backends that answer, but badly. One that refuses at once is always idle, so it looks best: it is compared with its
 * siblings over the same time, and on strong evidence it is set aside. Kept per backend and kind of work, and only as long
 * as some backend refused that kind lately. All times (`now`) are seconds of one monotonic clock that the caller reads.
 */
export class Outliers<B extends object> {
  readonly #constants: PolicyConstants
  readonly #events: OutlierEvents<B>
  readonly #kinds = new Map<string, KindOutliers<B>>()
  readonly #runs: Runs<Suspect<B>>
  /** Those set aside, by backend. */
  readonly #asideOf = new Map<B, Map<string, Suspect<B>>>()
  #suspects = 0
  #tidiedAt = -Infinity

  constructor(constants: PolicyConstants, events: OutlierEvents<B>) {
    this.#constants = constants
    this.#events = events
    this.#runs = new Runs(constants.refusalRunSeconds)
  }

  /** Kinds of work that anything is reckoned of. */
  get kinds(): number {
    return this.#kinds.size
  }

  /** Whether any backend is set aside for anything. */
  get isActive(): boolean {
    return this.#asideOf.size > 0
  }

  /** Reckons again for a choice. Undefined where no backend is set aside for this kind, as most often. */
  choice(kind: string, now: number): KindOutliers<B> | undefined {
    if (this.#asideOf.size === 0) return undefined
    const record = this.#kinds.get(kind)
    if (record === undefined || record.aside.size === 0) return undefined
    for (const suspect of record.aside) this.#reconsider(record, suspect, now)
    return record.aside.size > 0 ? record : undefined
  }

  /** A request goes to this backend. Returns what it tries out; then {@link trialEnded} has to be called once. */
  started(kind: string, backend: B, now: number): Trial<B> | undefined {
    const suspect = this.#asideOf.get(backend)?.get(kind)
    if (suspect === undefined || !suspect.aside.mayTry(now)) return undefined
    return { suspect, number: suspect.aside.trialStarted() }
  }

  /** The trial's request is over, whatever it showed. */
  trialEnded(trial: Trial<B>): void {
    trial.suspect.aside.trialEnded(trial.number)
  }

  /**
   * An answer that is no refusal and no pushback.
   *
   * @param isServed false for an answer about the request itself, such as 400: it settles no trial
   */
  answered(asked: Asked<B>, backend: B, now: number, isServed: boolean, trial?: Trial<B>): void {
    if (this.#kinds.size === 0) return
    const record = this.#kinds.get(asked.kind)
    if (record === undefined) return
    if (isServed) this.#runs.served(asked.kind, asked.caller)
    const suspect = record.find(backend) ?? this.#add(record, backend)
    if (suspect === undefined) record.answeredByOther(now)
    else {
      suspect.expire(now)
      suspect.answered(now, 0)
      if (trial?.suspect === suspect && suspect.aside.isAside && isServed) {
        suspect.trialServed(now)
        this.#free(record, suspect, now, 'trial')
      } else {
        suspect.absolve(now)
        if (suspect.aside.isAside && !suspect.hasWindow) this.#free(record, suspect, now, 'siblings')
      }
    }
    if (isServed) this.#siblingServed(record, backend, now)
    this.#tidy(now)
  }

  /**
   * What a sibling serves right after a backend has refused completes the evidence: that backend may look slower than one that is
   * known to be fast, and get no further request that could.
   */
  #siblingServed(record: KindOutliers<B>, backend: B, now: number): void {
    const { suspected } = record
    if (!suspected || suspected.backend === backend) return
    if (now - suspected.lastRefusalAt > this.#constants.refusalRunSeconds) record.suspected = undefined
    else if (this.#isToBlame(suspected, now, () => true)) this.#setAside(record, suspected, now)
  }

  /** A refusal. */
  refused(asked: Asked<B>, backend: B, now: number, { status, hasSiblings, trial }: Refusal<B>): void {
    if (asked.kind.length > LONGEST_KIND) return
    const record = this.#recordOf(asked.kind, now)
    const suspect = record.find(backend) ?? this.#add(record, backend)
    if (suspect === undefined) return
    suspect.expire(now)
    suspect.answered(now, 1)
    const { run, counts } = this.#runs.refused(asked.kind, asked.caller, suspect, now, asked.run)
    asked.run = run
    if (counts) {
      suspect.blame(now, status)
      record.suspected = suspect
      const isTrial = trial?.suspect === suspect && suspect.aside.isAside
      if (isTrial || this.#isToBlame(suspect, now, hasSiblings)) this.#setAside(record, suspect, now)
    }
    this.#tidy(now)
  }

  /** For which kinds the backend is set aside, and why. */
  avoided(backend: B, now: number): Avoided[] {
    const found = this.#asideOf.get(backend)
    return found === undefined ? [] : [...found].map(([kind, suspect]) => avoidedOf(kind, suspect, now))
  }

  /** Whether the backend is set aside for one of the kinds that `isMeant` picks; also while a trial is due. */
  isAside(backend: B, isMeant: (kind: string) => boolean): boolean {
    const found = this.#asideOf.get(backend)
    return found !== undefined && [...found.keys()].some(isMeant)
  }

  /** The backend is gone, or another now. */
  forget(backend: B): void {
    for (const record of this.#kinds.values()) {
      this.#suspects -= record.size
      record.forget(backend)
      this.#suspects += record.size
    }
    this.#asideOf.delete(backend)
  }

  #isToBlame(suspect: Suspect<B>, now: number, hasSiblings: () => boolean): boolean {
    // What was under way when it was set aside tells nothing new.
    if (suspect.aside.isAside) return false
    const { asideOdds, associatedAsideOdds } = this.#constants
    const odds = suspect.logOdds(now)
    const isEnough =
      odds > Math.log(asideOdds) || (odds > Math.log(associatedAsideOdds) && this.#isAsideForItself(suspect.backend))
    return isEnough && hasSiblings()
  }

  /** Whether the backend is set aside for some kind on full evidence, and not merely because it does not have that kind. */
  #isAsideForItself(backend: B): boolean {
    const others = this.#asideOf.get(backend)
    if (others === undefined) return false
    return [...others.values()].some((other) => !other.isByAssociation && !HAS_IT_NOT.includes(other.status?.most))
  }

  /** Frees a backend at once whose siblings turn out to refuse as well. */
  #reconsider(record: KindOutliers<B>, suspect: Suspect<B>, now: number): void {
    if (suspect.isStale(now)) return this.#free(record, suspect, now, 'age')
    const { asideOdds, associatedAsideOdds, freeOdds } = this.#constants
    const least = suspect.isByAssociation ? (freeOdds * associatedAsideOdds) / asideOdds : freeOdds
    const isOut = suspect.isByAssociation && !this.#isAsideForItself(suspect.backend)
    if (isOut || suspect.logOdds(now) < Math.log(least)) this.#free(record, suspect, now, 'siblings')
  }

  #setAside(record: KindOutliers<B>, suspect: Suspect<B>, now: number): void {
    const { backend, aside } = suspect
    const isProven = suspect.logOdds(now) > Math.log(this.#constants.asideOdds)
    if (!aside.isAside || isProven) suspect.isByAssociation = !isProven
    aside.begin(now)
    record.setAside(suspect)
    const others = this.#asideOf.get(backend) ?? new Map<string, Suspect<B>>()
    this.#asideOf.set(backend, others.set(record.kind, suspect))
    this.#events.setAside(backend, avoidedOf(record.kind, suspect, now))
  }

  #free(record: KindOutliers<B>, suspect: Suspect<B>, now: number, by: FreedBy): void {
    const { backend, aside } = suspect
    if (aside.isAside) aside.end(now, { isUndone: by === 'siblings' })
    record.freed(suspect)
    this.#notAside(backend, record.kind)
    this.#events.freed(backend, record.kind, by)
  }

  #notAside(backend: B, kind: string): void {
    const others = this.#asideOf.get(backend)
    others?.delete(kind)
    if (others?.size === 0) this.#asideOf.delete(backend)
  }

  #recordOf(kind: string, now: number): KindOutliers<B> {
    let record = this.#kinds.get(kind)
    if (record === undefined) {
      if (this.#kinds.size >= MOST_KINDS) this.#makeRoom(now)
      record = new KindOutliers(kind, this.#constants)
      this.#kinds.set(kind, record)
    }
    return record
  }

  #add(record: KindOutliers<B>, backend: B): Suspect<B> | undefined {
    if (this.#suspects >= MOST_SUSPECTS) return undefined
    this.#suspects++
    return record.add(backend)
  }

  #makeRoom(now: number): void {
    this.#tidiedAt = -Infinity
    this.#tidy(now)
    if (this.#kinds.size < MOST_KINDS) return
    const idle = [...this.#kinds.values()].find(({ aside }) => aside.size === 0)
    const oldest = idle ?? this.#kinds.values().next().value
    if (oldest) this.#drop(oldest, now)
  }

  #tidy(now: number): void {
    if (now - this.#tidiedAt < TIDY_HALF_LIVES * this.#constants.siblingHalfLifeSeconds) return
    this.#tidiedAt = now
    for (const record of this.#kinds.values()) {
      for (const suspect of record.aside) if (suspect.isStale(now)) this.#free(record, suspect, now, 'age')
      if (record.expire(now)) this.#drop(record, now)
    }
  }

  #drop(record: KindOutliers<B>, now: number): void {
    for (const suspect of [...record.aside]) this.#free(record, suspect, now, 'age')
    this.#suspects -= record.size
    this.#kinds.delete(record.kind)
  }
}

function avoidedOf<B>(kind: string, suspect: Suspect<B>, now: number): Avoided {
  return { kind, reason: describeOutlier(suspect), until: Math.max(suspect.aside.until, now) }
}
