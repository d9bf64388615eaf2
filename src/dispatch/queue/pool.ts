import { PRIORITIES, type Priority } from '../../base/priority.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { RunningMean } from '../../fleet/load/runningMean.ts'
import { describeKind } from '../judge.ts'
import { shortened, type Requirement } from '../requirement.ts'
import { Account } from './account.ts'
import { DrainRate, RefusedRatio } from './fading.ts'
import type { Lane } from './lane.ts'
import { PriorityClass } from './priorityClass.ts'
import type { Ticket } from './ticket.ts'

/** Requests over which the mean work and time of one are taken. */
const MEAN_REQUESTS = 100
/** Callers without requests that are remembered, about. */
const MOST_IDLE_ACCOUNTS = 500
/** Work over weight of a caller counts in steps of this part of what all places together do at a time. */
const QUANTUM_PLACES = 1 / 4
/** Steps that differ by less than this from what they should be are kept. */
const MOST_QUANTUM_RATIO = 1.5
/** No request is sent away for longer than the time in which this many times what waits is served. */
const MOST_BOOKED_QUEUES = 20

/** Who keeps the pools. */
export interface PoolKeeper {
  readonly weightOf: (caller: string) => number
  /** No request of the pool waits any more. */
  hasEmptied(pool: Pool): void
  /** A request of the pool has ended; it may have been the last one. */
  used(pool: Pool): void
}

/** All requests that ask for the same: who of their callers is next, and what each has had. */
export class Pool {
  readonly requirement: Requirement
  readonly name: string
  readonly classes: Readonly<Record<Priority, PriorityClass>>
  readonly accounts = new Map<string, Account>()
  /** Work over the weights of its waiting callers that it has had, besides what it lost for not waiting meanwhile. */
  virtualWork = 0
  waiting = 0
  running = 0
  /** Sum of the weights of callers that wait. */
  waitingWeight = 0
  /** Requests that its backends have places for, all together; kept up to date from outside. */
  places = 1
  /** Mean seconds of a request, as long as none was seen. */
  assumedSeconds = 1
  /** Monotonic seconds. */
  usedAt = 0
  /** Work a second of a running request, of those that told their work. */
  readonly workRate = new RunningMean(MEAN_REQUESTS)
  readonly drain = new DrainRate()
  readonly #refused = new RefusedRatio()
  readonly #work = new RunningMean(MEAN_REQUESTS)
  readonly #seconds = new RunningMean(MEAN_REQUESTS)
  readonly #keeper: PoolKeeper
  readonly #weightOf: (caller: string) => number
  /** `virtualWork` of the class that was served last. */
  #servedAt = 0
  #quantum = 1
  /** Until when requests were sent away that found the queue full, monotonic seconds. */
  #bookedUntil = -Infinity
  /** Accounts at which those that are idle are looked for next. */
  #mostAccounts = 2 * MOST_IDLE_ACCOUNTS

  constructor(requirement: Requirement, kind: string, keeper: PoolKeeper) {
    const { weightOf } = keeper
    this.#keeper = keeper
    this.requirement = requirement
    this.name = shortened(describeKind(kind))
    this.#weightOf = weightOf
    const [high, normal, low] = PRIORITIES.map((priority) => new PriorityClass(priority)) as [
      PriorityClass,
      PriorityClass,
      PriorityClass,
    ]
    this.classes = { high, normal, low }
  }

  get meanWork(): number {
    return this.#work.value ?? 1
  }

  get meanSeconds(): number {
    return this.#seconds.value ?? this.assumedSeconds
  }

  /** Steps in which callers' work is compared. The same for all that wait: where it changes, they are put in order anew. */
  get quantum(): number {
    return this.#quantum
  }

  /** Takes over what became of the mean work and the places. */
  adjustQuantum(): void {
    const quantum = Math.max(Number.MIN_VALUE, QUANTUM_PLACES * this.places * this.meanWork)
    if (quantum < this.#quantum * MOST_QUANTUM_RATIO && quantum * MOST_QUANTUM_RATIO > this.#quantum) return
    this.#quantum = quantum
    for (const priority of PRIORITIES) this.classes[priority].reorderAll(quantum)
  }

  accountOf(caller: string): Account {
    let account = this.accounts.get(caller)
    if (!account) {
      if (this.accounts.size >= this.#mostAccounts) this.#forgetIdle()
      this.accounts.set(caller, (account = new Account(caller, this.#weightOf)))
    }
    return account
  }

  /** A caller comes with a request: neither it nor its class has a claim on what others had while it did not wait. */
  came(account: Account, priorityClass: PriorityClass): void {
    if (account.waiting === 0) account.virtualWork = Math.max(account.virtualWork, priorityClass.leastVirtualWork)
    if (priorityClass.waiting === 0)
      priorityClass.virtualWork = Math.max(priorityClass.virtualWork, this.#leastOfClasses())
  }

  /** Returns the lane that it is in. */
  add(ticket: Ticket, now: number): Lane {
    const { account, priority } = ticket.seat
    if (this.waiting++ === 0) {
      this.drain.passed(now, false)
      this.adjustQuantum()
    }
    if (account.waiting++ === 0) this.waitingWeight += account.countedWeight = account.weight
    return this.classes[priority].add(ticket, this.quantum)
  }

  /** Returns whether it was there. */
  remove(ticket: Ticket, now: number): boolean {
    const { account, priority } = ticket.seat
    if (!this.classes[priority].remove(ticket, this.quantum)) return false
    this.drain.passed(now, true)
    this.waiting--
    if (--account.waiting === 0) this.waitingWeight = Math.max(0, this.waitingWeight - account.countedWeight)
    if (this.waiting === 0) {
      this.waitingWeight = 0
      this.#keeper.hasEmptied(this)
      this.#keeper.used(this)
    }
    return true
  }

  /** Requests that wait only because all backends that could take them rest. */
  get resting(): number {
    const { high, normal, low } = this.classes
    return high.resting + normal.resting + low.resting
  }

  /** Requests whose backends rest take part again, if that is over at this time (monotonic seconds). */
  wake(now: number): void {
    for (const priorityClass of this.inTurn()) priorityClass.wake(now, this.#quantum)
  }

  /** All that wait, in no particular order. */
  tickets(): Ticket[] {
    return this.inTurn().flatMap((priorityClass) => [...priorityClass.lanes].flatMap((lane) => lane.all()))
  }

  /** Classes with waiting requests, the one whose turn it is first. */
  inTurn(): PriorityClass[] {
    const waiting = PRIORITIES.map((priority) => this.classes[priority]).filter(
      (priorityClass) => priorityClass.waiting > 0,
    )
    return waiting.length < 2 ? waiting : waiting.sort((a, b) => a.virtualWork - b.virtualWork)
  }

  /** A request of this caller gets this much work: it counts against all whose turn it was. Negative: it took less than was counted. */
  charge(account: Account, priorityClass: PriorityClass, work: number, weights: ChargedWeights): void {
    account.virtualWork += work / weights.account
    priorityClass.virtualWork += work / priorityClass.share
    this.virtualWork += work / weights.pool
    if (account.waiting === 0) return
    const { quantum } = this
    for (const priority of PRIORITIES) this.classes[priority].reorder(account, quantum)
  }

  /** A request is served: those that come later begin where it was. */
  serves(account: Account, priorityClass: PriorityClass): void {
    priorityClass.serves(account)
    this.#servedAt = Math.max(this.#servedAt, priorityClass.virtualWork)
  }

  /** A request has ended after this much work and time at a backend, to its end or not. Monotonic seconds. */
  done(work: number, { seconds, now, isWhole }: { seconds: number; now: number; isWhole: boolean }): void {
    if (isWhole) {
      this.#work.add(work)
      this.#seconds.add(seconds)
    }
    const isBusy = this.waiting > 0
    this.drain.passed(now, isBusy)
    if (isBusy) this.drain.done(work, now)
  }

  /** A request has begun or ended at a backend. */
  runs(change: 1 | -1): void {
    this.running += change
    this.#keeper.used(this)
  }

  /** A request of the caller has come that has to wait, if there is room for it. */
  metRoom(account: Account, isRefused: boolean): void {
    account.refused.came(isRefused)
    this.#refused.came(isRefused)
  }

  /**
   * After how many seconds a request of this caller, which is refused now, should come again; it counts on that then.
   *
   * @param isFull the whole queue is, not only the caller's part of it: then it competes with the refused requests of all others
   */
  bookReturn(account: Account, now: number, isFull: boolean): number {
    const mean = this.meanWork
    const perSecond = this.drain.perSecond(now) ?? (this.places * mean) / this.meanSeconds
    const all = (this.waiting * mean) / perSecond
    const latest = now + MOST_BOOKED_QUEUES * all
    if (isFull) {
      // One request is served, and one place is free, after this long; but others may come in between and take it.
      const each = (mean / perSecond) * this.#refused.attempts
      this.#bookedUntil = Math.min(Math.max(this.#bookedUntil, now) + each, latest)
      return wholeSeconds(this.#bookedUntil - now)
    }
    const { weight, waiting } = account
    const allWeights = this.waitingWeight + (waiting > 0 ? 0 : weight)
    const own = ((waiting + 1) * account.meanWork(mean) * allWeights) / (weight * perSecond)
    const each = (Math.min(all, own) / (waiting + 1)) * account.refused.attempts
    account.bookedUntil = Math.min(Math.max(account.bookedUntil, now) + each, latest)
    return wholeSeconds(account.bookedUntil - now)
  }

  /** Whether requests that ask for this may go to the backend. */
  fits(node: TrackedNode): boolean {
    return this.requirement.fits(node)
  }

  #leastOfClasses(): number {
    let least = Infinity
    for (const priority of PRIORITIES) {
      const { waiting, virtualWork } = this.classes[priority]
      if (waiting > 0) least = Math.min(least, virtualWork)
    }
    return least === Infinity ? this.#servedAt : least
  }

  #forgetIdle(): void {
    for (const [caller, account] of this.accounts) {
      if (this.accounts.size <= MOST_IDLE_ACCOUNTS) break
      if (account.waiting === 0 && account.running === 0) this.accounts.delete(caller)
    }
    // As many more may come before all are looked at again.
    this.#mostAccounts = this.accounts.size + MOST_IDLE_ACCOUNTS
  }
}

/** The weights by which work was counted: what is corrected at its end is so by the same. */
export interface ChargedWeights {
  readonly account: number
  readonly pool: number
}

/** As `Retry-After` has them: at least 1 (RFC 9110, 10.2.3). */
function wholeSeconds(seconds: number): number {
  return Math.max(1, Math.ceil(seconds))
}
