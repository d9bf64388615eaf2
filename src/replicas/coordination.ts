import type { EventEmitter } from 'node:events'

/** A replica as the others see it. */
export interface ReplicaState {
  readonly replica: string
  /** Unfinished jobs that are its own. */
  readonly jobs: number
  /** `leaving`: it drains; `gone`: it is dead, or has ended, and still owns jobs. */
  readonly state: 'alive' | 'leaving' | 'gone'
  /** For how long it has been gone, by the store's clock. */
  readonly goneMs?: number | undefined
}

export interface MembershipEvents {
  /** What is known of all replicas, this one included; at every beat, or when it changes. */
  seen: [replicas: readonly ReplicaState[]]
  /** An unfinished job that was ours is another replica's now, or over. */
  disowned: [id: string]
}

/**
 * Whoever looks after this replica's jobs. Both are awaited: until they have settled the replica is not sure of its jobs. Neither
 * may reject.
 */
export interface JobOwner {
  /** A new life has begun, after the others took this replica for dead: the jobs are to be claimed from the former self. */
  onNewLife(former: string): Promise<void>
  /** The store has lost its latest changes, which it has been told again: what it does not know of our jobs is to be put right. */
  onHistoryLost(): Promise<void>
}

/** Life and death of the gateways that share a ledger. A replica's name is drawn for each life and never used again: it is the fencing token. */
export interface Membership extends EventEmitter<MembershipEvents> {
  /** The name of this replica in its present life. */
  readonly self: string
  /** Whether no other replica can have taken over our jobs: only then may they be read from memory. */
  readonly isSure: boolean
  /** Whether all replicas reach the nodes from one address of one machine: a node that one cannot reach, none can. */
  readonly sharesAddress: boolean
  /** All replicas as they were last seen. */
  readonly replicas: readonly ReplicaState[]
  /** To be called before anything is served. */
  attach(owner: JobOwner): void
  /** The others may claim our jobs from now on. Best effort; never rejects. */
  leave(): Promise<void>
  /** Begins a new life without claiming anything: our jobs are orphans then. Never rejects. */
  resign(): Promise<void>
}

/** What a caller's unfinished jobs take. */
export interface Room {
  readonly jobs: number
  readonly bytes: number
  /** Of room that was taken: the life of this replica in whose name that was, as `SharedRoom.life` told just before. */
  readonly life?: string | undefined
}

export interface RoomLimits {
  /** Unfinished jobs of one caller; 0 is no limit. */
  readonly jobsOfCaller: number
  readonly bytesOfCaller: number
  readonly bytesInAll: number
}

/** Why there is no room, with what is taken already. */
export interface NoRoom {
  readonly reason: 'jobs' | 'bytesOfCaller' | 'bytesInAll'
  /** What the caller's unfinished jobs take, submissions under way included. */
  readonly taken: Room
}

/** Room for unfinished jobs, over all replicas. What a replica holds for submissions under way dies with it. */
export interface SharedRoom {
  /** The life of this replica in whose name room is taken at present. */
  readonly life: string
  /**
   * Takes room for submissions of a caller (its limit key) before anything is sent: all of it, or none. `insert` turns it into
   * that of the recorded jobs, whose end gives it back.
   *
   * @throws GatewayFault ERR_LEDGER while the store is away
   */
  take(key: string, wanted: Room, limits: RoomLimits): Promise<NoRoom | undefined>
  /** Returns what was taken and came to nothing; what a former life took ended with that. Best effort. */
  giveBack(key: string, room: Room): void
}

/** Whose Idempotency-Key it is, and for which path. */
export interface KeyUse {
  readonly caller: string
  readonly path: string
  readonly key: string
}

/** What is to be done about a request with an Idempotency-Key. */
export type KeyTurn =
  /** Run it; then the insert stores the answer, or the key is released. */
  | { readonly kind: 'ours' }
  /** Its answer is kept. */
  | { readonly kind: 'kept' }
  /** Another replica is at it. */
  | { readonly kind: 'busy'; readonly bodyHash: Buffer }

/** Idempotency-Keys over all replicas. A key that a dead replica held is free. */
export interface SharedKeys {
  /** @throws GatewayFault ERR_LEDGER while the store is away */
  reserve(use: KeyUse & { readonly bodyHash: Buffer }): Promise<KeyTurn>
  /** A refused request leaves its key free. Best effort; never rejects. */
  release(use: KeyUse): Promise<void>
}

/** The budget of one caller under one limit. */
export interface SharedBudget {
  /** The limit's setting, which names its budgets. */
  readonly limit: string
  /** The caller's limit key. */
  readonly key: string
  /** Requests in a full budget, and refilled evenly over each minute. */
  readonly perMinute: number
  /** It is charged, too, and so may be in debt. */
  readonly mayOwe?: boolean
}

/** A question for places of one caller under one limit. */
export interface BudgetQuestion extends SharedBudget {
  /** Must be had, all or nothing. */
  readonly wanted: number
  /** May be had in advance: a quarter of what is left beyond `wanted` at most. */
  readonly more: number
}

export interface BudgetGrant {
  /** 0 where `wanted` do not fit. */
  readonly granted: number
  /** How far the budget is used after this, ms of its refill time (GCRA): 0 is full, 60,000 empty, more a debt. */
  readonly usedMs: number
}

/** Smooth limits of requests or tokens a minute, exact over all replicas (GCRA). */
export interface SharedBudgets {
  /** Rejects while the store is away. */
  take(question: BudgetQuestion): Promise<BudgetGrant>
  /** Returns places that were not used. Best effort; never rejects. */
  giveBack(budget: SharedBudget, count: number): Promise<void>
  /** Takes `count` whether or not they fit. Best effort; never rejects. */
  charge(budget: SharedBudget, count: number): Promise<void>
}

/** Small values by name and key that all replicas share. Every call rejects while the store is away. */
export interface SharedValues {
  get(name: string, key: string): Promise<Buffer | undefined>
  /** `ttlMs`: after which it is forgotten. */
  set(name: string, key: string, value: Buffer | string, ttlMs: number): Promise<void>
  delete(name: string, key: string): Promise<void>
  /** Sets a value that stays, unless there is one; returns the one that stands. */
  setOnce(name: string, key: string, value: string): Promise<string>
}

/** What gateways that share a ledger share besides the jobs. */
export interface Coordination {
  readonly membership: Membership
  readonly room: SharedRoom
  readonly keys: SharedKeys
  readonly budgets: SharedBudgets
  readonly values: SharedValues
}
