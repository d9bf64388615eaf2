import { GatewayFault, type FaultCode } from '../faults.ts'
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
  readonly tried = new Set<TrackedNode>()
  /** Those of them to which nothing was sent when they were asked last; undefined where there are none. */
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
    this.#exchange = exchange
    this.#dispatcher = dispatcher
    this.#patience = patience
  }

  /**
   * Takes a place at the next backend; `undefined` where nobody is left.
   *
   * @throws the signal's reason
   */
  async acquire(signal: AbortSignal): Promise<Lease | undefined> {
    if (this.#hasTriedMost) return undefined
    const askedAt = performance.now()
    try {
      const lease = await this.#dispatcher.acquire(this, signal)
      this.tried.add(lease.node)
      this.unreached?.delete(lease.node)
      this.#asked = lease.node
      this.attempts++
      if (lease.routing !== undefined) (this.#routings ??= new Map()).set(lease.node, lease.routing)
      return lease
    } catch (error) {
      if (!(error instanceof NoBackendAvailable)) throw error
      if (error.cooldownSeconds > 0) this.#mayReturnIn(Math.ceil(error.cooldownSeconds))
      return undefined
    } finally {
      this.queueSeconds += (performance.now() - askedAt) / 1000
    }
  }

  /** Why a node was chosen when it was asked last, where answers tell: see `Lease.routing`. */
  routingOf(node: TrackedNode): string | undefined {
    return this.#routings?.get(node)
  }

  /** Whether it is worth waiting for a place: backends that could take it probably restart. */
  get mayWait(): boolean {
    return !this.#hasTriedMost && this.#secondsLeft > 0 && this.#dispatcher.mayReturn(this)
  }

  /**
   * Waits until one of these is back. Returns whether it is worth asking for a place again.
   *
   * @throws the signal's reason
   */
  async untilReturned(signal: AbortSignal): Promise<boolean> {
    const askedAt = performance.now()
    try {
      return await this.#dispatcher.untilReturned(this, this.#secondsLeft, signal)
    } finally {
      tellWait('place', askedAt)
      this.queueSeconds += (performance.now() - askedAt) / 1000
    }
  }

  get #hasTriedMost(): boolean {
    return this.tried.size >= (this.#exchange.retry.elsewhere?.maxTries ?? Infinity)
  }

  get #secondsLeft(): number {
    return (this.#patience ??= new Patience()).secondsLeft(this.#dispatcher.fleet.now())
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
   * Whether another backend is tried after a fault: only if nothing was sent, or if the client accepts a possible second run.
   *
   * @param isStreaming the client may have seen some of the answer: whatever it accepts, it is not run a second time
   */
  mayFollowFault(fault: GatewayFault, isStreaming = false): boolean {
    this.#lastFault = fault
    if (fault.fault.source !== 'upstream') return false
    if (fault.fault.nothingSent) {
      if (this.#asked) (this.unreached ??= new Set()).add(this.#asked)
      return true
    }
    if (!this.#exchange.retry.mayRunTwice || isStreaming || !GIVES_NO_ANSWER.includes(fault.code)) return false
    return ++this.#failuresOnceSent <= MOST_MOVES_ONCE_SENT && this.#isWithinBudget()
  }

  /** What the client hears after a fault that ends the tries: an answer that was held back says more than the fault of another node. */
  conclusionAfter(fault: GatewayFault, isStreaming: boolean): GatewayFault | Held {
    return this.#firstAnswer && fault.fault.source === 'upstream' && !isStreaming ? this.conclusion() : fault
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
