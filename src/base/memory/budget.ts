/** One caller may hold this part of the budget. */
const CALLER_SHARE = 4
/** Bound for the gateway's own calls of one purpose, bytes; less where a caller's share is less. */
const MAX_OWN_BYTES = 32_000_000

/** What is used up: one caller's share, the whole budget, or the gateway's own account. */
export type Scope = 'caller' | 'budget' | 'own'

/** What the gateway makes calls of its own for. Each has a bound of its own, so that backends which abuse one stop no other. */
export type Purpose = 'polls' | 'resources' | 'jobs'

/** Why there is no room, in words for the client. */
export interface Refusal {
  readonly scope: Scope
  readonly message: string
  readonly params?: Record<string, unknown>
}

/** Whom bytes are counted for. */
interface Account {
  /** Why so many more bytes have no room; `undefined` where they have. */
  refusalFor(asker: Reservation, bytes: number): Refusal | undefined
  /** Counts a change in what a reservation holds. */
  count(holder: Reservation, bytes: number): void
  /** A reservation is over. */
  close(): void
}

/**
 * Bounds the request bodies and collected answers that are in memory at once, in total and for each caller. Calls of the
 * gateway's own are bounded apart, so that callers cannot starve them.
 */
export class MemoryBudget {
  readonly totalBytes: number
  /** What one caller may hold. */
  readonly callerBytes: number
  readonly refusals: Record<Scope, number> = { caller: 0, budget: 0, own: 0 }
  /** @internal */
  readonly callers = new Map<string, CallerAccount>()
  readonly #own: Readonly<Record<Purpose, OwnAccount>>
  /** What all callers hold; only their accounts write it. */
  usedBytes = 0

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes
    this.callerBytes = Math.floor(totalBytes / CALLER_SHARE)
    const own = (): OwnAccount => new OwnAccount(this, Math.min(this.callerBytes, MAX_OWN_BYTES))
    this.#own = { polls: own(), resources: own(), jobs: own() }
  }

  /** What the gateway's own calls hold. */
  get ownBytes(): number {
    return this.#own.polls.bytes + this.#own.resources.bytes + this.#own.jobs.bytes
  }

  /** An empty reservation for a caller. It must be released. */
  open(caller: string): Reservation {
    let account = this.callers.get(caller)
    if (!account) {
      account = new CallerAccount(this, caller)
      this.callers.set(caller, account)
    }
    account.holders++
    return new Reservation(account)
  }

  /** An empty reservation for a call of the gateway's own. It must be released. */
  openOwn(purpose: Purpose): Reservation {
    return new Reservation(this.#own[purpose])
  }
}

/** Room in memory that one request, or one call, holds until it is released. */
export class Reservation {
  /** What it holds at present. */
  bytes = 0
  #isOver = false
  readonly #account: Account

  /** @internal Use `MemoryBudget.open`. */
  constructor(account: Account) {
    this.#account = account
  }

  /** Takes more room. Where there is none it takes nothing, and returns why. */
  grow(bytes: number): Refusal | undefined {
    if (this.#isOver) return undefined
    const refusal = this.#account.refusalFor(this, bytes)
    if (!refusal) this.#count(bytes)
    return refusal
  }

  /** Takes more room even where there is none: for a few bytes that must not be lost. */
  growAnyway(bytes: number): void {
    if (!this.#isOver) this.#count(bytes)
  }

  /** Gives a part back. */
  shrink(bytes: number): void {
    if (!this.#isOver) this.#count(-bytes)
  }

  /** Gives everything back. Calling it again, and everything else after it, has no effect. */
  release(): void {
    if (this.#isOver) return
    this.#count(-this.bytes)
    this.#isOver = true
    this.#account.close()
  }

  #count(bytes: number): void {
    if (bytes === 0) return
    this.bytes += bytes
    this.#account.count(this, bytes)
  }
}

/** One caller's share of the budget, known only as long as it is in use. */
class CallerAccount implements Account {
  /** Open reservations. */
  holders = 0
  #bytes = 0
  readonly #budget: MemoryBudget
  readonly #caller: string

  constructor(budget: MemoryBudget, caller: string) {
    this.#budget = budget
    this.#caller = caller
  }

  refusalFor(_asker: Reservation, bytes: number): Refusal | undefined {
    const { callerBytes, totalBytes, usedBytes, refusals } = this.#budget
    if (this.#bytes + bytes > callerBytes) {
      refusals.caller++
      return {
        scope: 'caller',
        message: `You have too much in flight: ${callerBytes} bytes of request bodies and answers are allowed at once`,
        params: { max_bytes: callerBytes },
      }
    }
    if (usedBytes + bytes > totalBytes) {
      refusals.budget++
      return { scope: 'budget', message: 'The gateway is holding as many request bodies and answers as it may' }
    }
    return undefined
  }

  count(_holder: Reservation, bytes: number): void {
    this.#bytes += bytes
    this.#budget.usedBytes += bytes
  }

  close(): void {
    if (--this.holders === 0) this.#budget.callers.delete(this.#caller)
  }
}

/** The gateway's own calls. */
class OwnAccount implements Account {
  bytes = 0
  readonly #budget: MemoryBudget
  readonly #limitBytes: number
  /** Those that hold something, oldest first. */
  readonly #holders = new Set<Reservation>()

  constructor(budget: MemoryBudget, limitBytes: number) {
    this.#budget = budget
    this.#limitBytes = limitBytes
  }

  /**
   * The oldest call may always go on: otherwise calls that compete for the last room could give up in turns for ever. It is
   * bounded by what any call may collect.
   */
  refusalFor(asker: Reservation, bytes: number): Refusal | undefined {
    if (this.bytes + bytes <= this.#limitBytes) return undefined
    const [oldest = asker] = this.#holders
    if (oldest === asker) return undefined
    this.#budget.refusals.own++
    return { scope: 'own', message: 'The gateway is reading as many answers as it may' }
  }

  count(holder: Reservation, bytes: number): void {
    this.bytes += bytes
    if (holder.bytes > 0) this.#holders.add(holder)
    else this.#holders.delete(holder)
  }

  close(): void {
    // `count` has taken the holder out already.
  }
}
