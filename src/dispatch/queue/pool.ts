import { PRIORITIES, type Priority } from '../../base/priority.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { RunningMean } from '../../fleet/load/runningMean.ts'
import { describeKind } from '../judge.ts'
import type { Requirement } from '../requirement.ts'
import { Account } from './account.ts'
import { DrainRate } from './fading.ts'
import type { Lane } from './lane.ts'
import { PriorityClass } from './priorityClass.ts'
import type { Ticket } from './ticket.ts'

/** Requests over which the mean work and time of one are taken. */
const MEAN_REQUESTS = 100
/** Callers without requests that are remembered, about. */
const MOST_IDLE_ACCOUNTS = 1000
/** Work over weight of a caller counts in steps of this part of what all places together do at a time. */
const QUANTUM_PLACES = 1 / 4
/** Longest that a refused request is sent away for, seconds. */
const LONGEST_AWAY_SECONDS = 3600

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
  readonly #work = new RunningMean(MEAN_REQUESTS)
  readonly #seconds = new RunningMean(MEAN_REQUESTS)
  readonly #weightOf: (caller: string) => number
  /** `virtualWork` of the class that was served last. */
  #servedAt = 0

  constructor(requirement: Requirement, kind: string, weightOf: (caller: string) => number) {
    this.requirement = requirement
    this.name = describeKind(kind)
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

  /** Steps in which callers' work is compared. */
  get quantum(): number {
    return Math.max(Number.MIN_VALUE, QUANTUM_PLACES * this.places * this.meanWork)
  }

  accountOf(caller: string): Account {
    let account = this.accounts.get(caller)
    if (!account) {
      if (this.accounts.size >= 2 * MOST_IDLE_ACCOUNTS) this.#forgetIdle()
      this.accounts.set(caller, (account = new Account(caller, this.#weightOf)))
    }
    return account
  }

  /** A caller comes with a request: neither it nor its class has a claim on what others had while it did not wait. */
  came(account: Account, of: PriorityClass): void {
    if (account.waiting === 0) account.virtualWork = Math.max(account.virtualWork, of.leastVirtualWork)
    if (of.waiting === 0) of.virtualWork = Math.max(of.virtualWork, this.#leastOfClasses())
  }

  /** Returns the lane that it is in. */
  add(ticket: Ticket, now: number): Lane {
    const { account, priority } = ticket.seat
    if (this.waiting++ === 0) this.drain.passed(now, false)
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
    if (this.waiting === 0) this.waitingWeight = 0
    return true
  }

  /** Requests that wait only because all backends that could take them rest. */
  get resting(): number {
    const { high, normal, low } = this.classes
    return high.resting + normal.resting + low.resting
  }

  /** Classes with waiting requests, the one whose turn it is first. */
  inTurn(): PriorityClass[] {
    const waiting = PRIORITIES.map((priority) => this.classes[priority]).filter((of) => of.waiting > 0)
    return waiting.length < 2 ? waiting : waiting.sort((a, b) => a.virtualWork - b.virtualWork)
  }

  /** A request of this caller gets this much work: it counts against all whose turn it was. Negative: it took less than was counted. */
  charge(account: Account, of: PriorityClass, work: number, weights: ChargedWeights): void {
    account.virtualWork += work / weights.account
    of.virtualWork += work / of.share
    this.virtualWork += work / weights.pool
    if (account.waiting === 0) return
    const { quantum } = this
    for (const priority of PRIORITIES) this.classes[priority].reorder(account, quantum)
  }

  /** A request is served: those that come later begin where it was. */
  serves(account: Account, of: PriorityClass): void {
    of.servedAt = Math.max(of.servedAt, account.virtualWork)
    this.#servedAt = Math.max(this.#servedAt, of.virtualWork)
  }

  /** A request has ended after this much work and time at a backend, to its end or not. Monotonic seconds. */
  done(work: number, { seconds, now, isWhole }: { seconds: number; now: number; isWhole: boolean }): void {
    if (isWhole) {
      this.#work.add(work)
      this.#seconds.add(seconds)
    }
    this.drain.passed(now, this.waiting > 0)
    this.drain.done(work, now)
  }

  /** After how many seconds a request of this caller, which is refused now, should come again; it counts on that then. */
  bookReturn(account: Account, now: number): number {
    const mean = this.meanWork
    const perSecond = this.drain.perSecond(now) ?? (this.places * mean) / this.meanSeconds
    const weight = account.weight
    const allWeights = this.waitingWeight + (account.waiting > 0 ? 0 : weight)
    const own = ((account.waiting + 1) * account.meanWork(mean) * allWeights) / weight
    const wait = Math.min(this.waiting * mean, own) / perSecond
    const each = wait / (account.waiting + 1)
    account.bookedUntil = Math.min(Math.max(account.bookedUntil, now + each) + each, now + LONGEST_AWAY_SECONDS)
    return Math.max(1, Math.ceil(account.bookedUntil - now))
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
      if (this.accounts.size <= MOST_IDLE_ACCOUNTS) return
      if (account.waiting === 0 && account.running === 0) this.accounts.delete(caller)
    }
  }
}

/** The weights by which work was counted: what is corrected at its end is so by the same. */
export interface ChargedWeights {
  readonly account: number
  readonly pool: number
}
