import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayFault, type FaultCode } from '../faults.ts'
import type { Priority } from '../base/priority.ts'
import { nextTurn } from '../base/turns.ts'
import { tellWait } from '../base/waits.ts'
import type { Dispatcher } from '../dispatch/dispatcher.ts'
import { NoBackendAvailable } from '../dispatch/noBackend.ts'
import { comparedKindOf, type AskedOfNodes } from '../dispatch/judge.ts'
import type { Lease } from '../dispatch/lease.ts'
import type { Prompt } from '../dispatch/warmCaches/prompt.ts'
import type { WorkRequest } from '../dispatch/workRequest.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { Answer } from './answer.ts'
import type { Elsewhere, Exchange } from './exchange.ts'
import { Patience } from './patience.ts'

/**
 * After failures of nodes that may have taken it a request moves on at most this often: a job that brings nodes down must
 * not bring down all of them. Where nothing was sent, and after pushbacks, each node gets its turn.
 */
const MOST_MOVES_ONCE_SENT = 2

/** Faults past which the request may go to another node if it may run twice. Silence is none: the node may be at work. */
const GIVES_NO_ANSWER: readonly FaultCode[] = ['ERR_NODE_RESET', 'ERR_NODE_NONSENSE', 'ERR_NODE_BROKE']

/** Faults by which waiting in the queue ends. */
const QUEUE_FAULTS: readonly FaultCode[] = ['ERR_QUEUE_FULL', 'ERR_QUEUE_TIMEOUT']

/** Least time between two tries at backends that are away, ms. */
const PAUSE_MS = 100

/** What an answer means for the exchange: it is passed on, or it is held back and another node may be tried. */
export type AnswerStep = ReturnType<Elsewhere['after']> | 'pushback'

/** An answer that was held back. */
interface Held {
  readonly answer: Answer
  readonly node: TrackedNode
}

/**
 * An exchange on its way: who was tried, what came of it, and so whether another backend is tried. The one retry rule, by which
 * single requests, batches and failover go; what differs between them is in the exchange's `RetryPolicy`.
 */
export class RetryState implements WorkRequest {
  readonly asked: AskedOfNodes
  readonly cooldownKey: string
  readonly session: string | undefined
  readonly prompt: Prompt | undefined
  readonly cost: number | undefined
  readonly priority: Priority | undefined
  turn: WorkRequest['turn']
  readonly tried = new Set<TrackedNode>()
  /**
   * Those of them that may be asked again once they are back: nothing was sent when they were asked last, or it is to be sent a second
   * time (`#replay`). Undefined where there are none.
   */
  unreached: Set<TrackedNode> | undefined
  /** Places that were taken for it so far. */
  attempts = 0
  /** How long it waited for places so far. */
  queueSeconds = 0
  /** How long the last backend took: from sending to the end of its answer, or to its fault. */
  serviceSeconds = 0
  readonly #exchange: Exchange
  readonly #dispatcher: Dispatcher
  #patience: Patience | undefined
  /** A backend could take it, but had no place when it was asked for one last. */
  #isQueued = false
  /** The only backend that could take it, where that reset the request: to be sent it again if it has gone away. */
  #lost: TrackedNode | undefined
  /** It was sent again, or will be, after its backend went away: that happens once. */
  #isReplayed = false
  /** When it met a backend last that was away, monotonic ms. */
  #vainAt = -Infinity
  /** Who was asked last. */
  #asked: TrackedNode | undefined
  /** Least `Retry-After` of those that pushed back with 429, or still cool down after that, whole seconds, at least 1. */
  #leastRetrySeconds = Infinity
  /** Where a node's own words go on: the 429 with the least `Retry-After`, which is at least 1 in it. */
  #soonestPushback: (Held & { seconds: number }) | undefined
  /** Where a node's own words go on: the first answer that was held back. */
  #firstAnswer: Held | undefined
  /** The last pushback that was not a 429: a node's own answer. */
  #lastPushback: Held | undefined
  #lastFault: GatewayFault | undefined
  /** Failures of nodes that may have taken it. */
  #failuresOnceSent = 0
  /** Why nodes were chosen, where answers tell. */
  #routings: Map<TrackedNode, string> | undefined

  constructor(exchange: Exchange, dispatcher: Dispatcher, patience?: Patience) {
    const { requirement, caller, kind = comparedKindOf(requirement), cooldownKey } = exchange
    this.asked = { requirement, caller, kind }
    this.cooldownKey = cooldownKey
    this.session = exchange.session
    this.prompt = exchange.prompt
    this.cost = exchange.cost
    this.priority = exchange.priority
    this.#exchange = exchange
    this.#dispatcher = dispatcher
    this.#patience = patience
  }

  /** A place at the next backend, at once. Where there is none, `mayWait` says whether there may be one later. */
  take(): Lease | undefined {
    this.#isQueued = false
    if (this.#hasTriedMost) return undefined
    try {
      const lease = this.#dispatcher.take(this)
      if (lease) return this.#taken(lease)
      this.#isQueued = true
    } catch (error) {
      this.#noteNoBackend(error)
    }
    return undefined
  }

  /** Whether it is worth waiting, after `take`: all backends are busy, or those that could take it have gone away lately. */
  get mayWait(): boolean {
    if (this.#isQueued) return true
    return !this.#hasTriedMost && this.#secondsLeft > 0 && (this.#lost !== undefined || this.#isAwaited)
  }

  /**
   * Waits for a place, after `take`: in the queue, or for a backend that is away; `undefined` where none came.
   *
   * @throws GatewayFault ERR_QUEUE_FULL or ERR_QUEUE_TIMEOUT
   * @throws the signal's reason
   */
  async acquire(signal: AbortSignal): Promise<Lease | undefined> {
    const startedAt = performance.now()
    try {
      while (this.mayWait) {
        const lease = this.#isQueued ? await this.#fromQueue(signal) : await this.#fromAway(signal)
        if (lease) return lease
      }
      return undefined
    } finally {
      tellWait('place', startedAt)
      this.queueSeconds += (performance.now() - startedAt) / 1000
    }
  }

  async #fromQueue(signal: AbortSignal): Promise<Lease | undefined> {
    this.#isQueued = false
    try {
      return this.#taken(await this.#dispatcher.acquire(this, signal))
    } catch (error) {
      this.#noteNoBackend(error)
      return undefined
    }
  }

  /** Waits until a backend is back. Those that it met while they were away are left alone for a moment first. */
  async #fromAway(signal: AbortSignal): Promise<Lease | undefined> {
    const { fleet, restarts, queue } = this.#dispatcher
    const patience = this.#itsPatience
    let giveRoomBack: (() => void) | undefined
    patience.began(fleet.now())
    try {
      await this.#judgeLoss(signal)
      if (!this.#isAwaited) return undefined
      giveRoomBack = queue?.waitElsewhere(this)
      const pauseMs = this.#vainAt + PAUSE_MS - performance.now()
      if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      if (!(await restarts.untilReturned(this, this.#secondsLeft, signal))) return undefined
      // It may be what has brought the backend down: those that were never sent go first.
      if (this.#isReplayed) await nextTurn()
    } finally {
      patience.ended(fleet.now())
      giveRoomBack?.()
    }
    const lease = this.take()
    if (!lease) this.#vainAt = performance.now()
    return lease
  }

  /** Finds out whether the backend that reset the request has gone away: then it gets it again, behind all others. */
  async #judgeLoss(signal: AbortSignal): Promise<void> {
    const lost = this.#lost
    this.#lost = undefined
    if (lost && (await this.#dispatcher.fleet.returns.isAway(lost, signal))) this.#replay(lost)
  }

  #replay(node: TrackedNode): void {
    this.#isReplayed = true
    this.turn = undefined
    ;(this.unreached ??= new Set()).add(node)
  }

  #taken(lease: Lease): Lease {
    this.tried.add(lease.node)
    this.unreached?.delete(lease.node)
    this.#asked = lease.node
    this.attempts++
    if (lease.routing !== undefined) (this.#routings ??= new Map()).set(lease.node, lease.routing)
    return lease
  }

  #noteNoBackend(error: unknown): void {
    if (!(error instanceof NoBackendAvailable)) throw error
    if (error.cooldownSeconds > 0) this.#mayReturnIn(Math.ceil(error.cooldownSeconds))
  }

  /** Why a node was chosen when it was asked last, where answers tell: see `Lease.routing`. */
  routingOf(node: TrackedNode): string | undefined {
    return this.#routings?.get(node)
  }

  get #hasTriedMost(): boolean {
    return this.tried.size >= (this.#exchange.retry.elsewhere?.maxTries ?? Infinity)
  }

  get #isAwaited(): boolean {
    const { restarts } = this.#dispatcher
    return restarts.awaited(this).length > 0 || restarts.returned(this) !== undefined
  }

  get #secondsLeft(): number {
    return this.#itsPatience.secondsLeft(this.#dispatcher.fleet.now())
  }

  get #itsPatience(): Patience {
    return (this.#patience ??= new Patience(this.#dispatcher.restarts.outageWaitSeconds))
  }

  /** Whether there is another backend to send it to, busy or not. */
  get #hasOther(): boolean {
    if (this.#hasTriedMost) return false
    const { requirement } = this.asked
    const { fleet } = this.#dispatcher
    const now = fleet.now()
    for (const node of fleet.nodes.values()) {
      const isThere = requirement.isFollowUp === true ? node.isReachable : node.takesWork
      const isFree = isThere && !this.tried.has(node) && node.cooldownSeconds(this.cooldownKey, now) === 0
      if (isFree && requirement.fits(node)) return true
    }
    return false
  }

  /** Judges an answer that was collected; notes those that are held back, and how long the node wants to be left alone. */
  stepAfter(answer: Answer, node: TrackedNode): AnswerStep {
    const { elsewhere } = this.#exchange.retry
    const step = this.#pushesBack(answer, node) ? 'pushback' : (elsewhere?.after(answer, node) ?? 'pass')
    if (elsewhere && step !== 'pass') this.#keepFirst({ answer, node })
    return step
  }

  /** Whether another backend is tried after an answer that was held back. Takes room for one more run where these are bounded. */
  mayFollow(step: AnswerStep): boolean {
    if (step === 'pushback') return this.#exchange.retry.followsPushback
    return step !== 'rerun' || this.#isWithinBudget()
  }

  /**
   * Whether the tries go on after a fault: only if nothing was sent, or if the client accepts a possible second run. Where no other
   * backend is left, nothing is taken from the budget for that: they end then, or go on once the same one is back.
   *
   * @param isStreaming the client may have seen some of the answer: whatever it accepts, it is not run a second time
   * @param wasSent whether the backend may have seen the request, though nothing was sent in the end
   */
  mayFollowFault(fault: GatewayFault, { isStreaming = false, wasSent = false } = {}): boolean {
    this.#lastFault = fault
    if (fault.fault.source !== 'upstream') return false
    const asked = this.#asked
    const { nothingSent } = fault.fault
    if (nothingSent) this.#vainAt = performance.now()
    if (nothingSent && !wasSent) {
      if (asked) (this.unreached ??= new Set()).add(asked)
      return true
    }
    if (!this.#exchange.retry.mayRunTwice || isStreaming) return false
    if (!nothingSent && !GIVES_NO_ANSWER.includes(fault.code)) return false
    if (++this.#failuresOnceSent > MOST_MOVES_ONCE_SENT) return false
    if (this.#hasOther) return this.#isWithinBudget()
    if (this.#isReplayed || !asked) return true
    // What takes no connection any more has gone away for certain.
    if (nothingSent) this.#replay(asked)
    else if (fault.code === 'ERR_NODE_RESET') this.#lost = asked
    return true
  }

  /** What the client hears after a fault that ends the tries: an answer that was held back says more than the fault of another node. */
  conclusionAfter(fault: GatewayFault, isStreaming: boolean): GatewayFault | Held {
    return this.#firstAnswer && fault.fault.source === 'upstream' && !isStreaming ? this.conclusion() : fault
  }

  /** What the client hears after a fault that ended its wait: an answer that was held back says more than that there was no place. */
  conclusionAfterWait(fault: GatewayFault): GatewayFault | Held {
    const hasAnswer = this.#firstAnswer !== undefined || this.#lastPushback !== undefined
    return hasAnswer && QUEUE_FAULTS.includes(fault.code) ? this.conclusion() : fault
  }

  /** What the client hears when no node is left: a fault of ours, or a node's own refusal. */
  conclusion(): GatewayFault | Held {
    const first = this.#firstAnswer
    if (this.#lastFault && this.#saysLittle(first)) return this.#lastFault
    if (first && first.answer.status !== 429) return first
    // One that was not asked, since it cools down, may want less patience than those that were.
    const soonest = this.#soonestPushback
    if (soonest && soonest.seconds <= this.#leastRetrySeconds) return soonest
    if (this.#leastRetrySeconds < Infinity) {
      return new GatewayFault('ERR_NODE_BUSY', undefined, {
        headers: { 'Retry-After': String(this.#leastRetrySeconds) },
      })
    }
    return this.#lastPushback ?? this.#lastFault ?? this.#exchange.noNode()
  }

  /** Whether this node will not but another may; notes how long it wants to be left alone. */
  #pushesBack(answer: Answer, node: TrackedNode): boolean {
    if (answer.status === 429) {
      this.#coolDown(answer, node)
      return true
    }
    const { retry } = this.#exchange
    if (!retry.followsPushback) return false
    if (answer.status !== 503 && retry.isPushback?.(answer) !== true) return false
    this.#lastPushback = { answer, node }
    return true
  }

  #coolDown(answer: Answer, node: TrackedNode): void {
    const seconds = node.pushedBack(this.cooldownKey, answer.headers, this.#dispatcher.fleet.now())
    if (this.#exchange.retry.elsewhere && seconds < this.#leastRetrySeconds) {
      const headers = { ...answer.headers, 'retry-after': String(seconds) }
      this.#soonestPushback = { answer: { ...answer, headers }, node, seconds }
    }
    this.#mayReturnIn(seconds)
  }

  #mayReturnIn(seconds: number): void {
    this.#leastRetrySeconds = Math.min(this.#leastRetrySeconds, seconds)
  }

  #isWithinBudget(): boolean {
    return this.#exchange.retry.elsewhere?.budget?.take() !== false
  }

  /** Keeps the first answer that was held back, or the first that says more. */
  #keepFirst(held: Held): void {
    if (!this.#firstAnswer || this.#saysLittle(this.#firstAnswer)) this.#firstAnswer = held
  }

  #saysLittle(held: Held | undefined): boolean {
    return held !== undefined && this.#exchange.retry.elsewhere?.saysLittle?.(held.answer.status) === true
  }
}
