import type { Fleet } from '../fleet/fleet.ts'
import { verdictOf } from '../dispatch/judge.ts'
import type { Lease } from '../dispatch/lease.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { GatewayFault, type FaultCode } from '../faults.ts'
import type { Reservation } from '../memory/budget.ts'
import { Attempt, type Answer, type AnswerSink } from './attempt.ts'
import { retryAfterSeconds } from '../base/retryAfter.ts'
import type { Elsewhere, Exchange, Tries } from './exchange.ts'
import type { Transport } from './transport.ts'

/**
 * After failures of nodes that may have taken it a request moves on at most this often: a job that brings nodes down must
 * not bring down all of them. Where nothing was sent, and after pushbacks, each node gets its turn.
 */
const MOST_MOVES_ONCE_SENT = 2

export interface Backends {
  readonly fleet: Fleet
  readonly transport: Transport
}

/** What came of an exchange. The lease is still open: whoever takes the result ends it. */
export type Outcome =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly lease: Lease; readonly firstByteSeconds: number }
  | { readonly kind: 'streamed'; readonly lease: Lease; readonly firstByteSeconds: number }
  /** None took it, and these are the words of one. */
  | { readonly kind: 'refused'; readonly answer: Answer; readonly nodeName: string }
  | {
      readonly kind: 'fault'
      readonly fault: GatewayFault
      readonly nodeName: string | undefined
      readonly sent: boolean
    }

export interface TryOptions {
  /** A fresh sink for each try; without one the answer is collected. */
  readonly sink?: (lease: Lease) => AnswerSink
  /** Told of each try as it starts, so that a client's leaving can end it. */
  readonly onAttempt?: (attempt: Attempt) => void
  /** Where collected answers are counted. */
  readonly memory?: Reservation | undefined
}

/** Sends an exchange to one node after the other until one answers, as far as the rule allows. Never throws. */
export async function tryNodes(
  backends: Backends,
  exchange: Exchange,
  tries: Tries,
  options: TryOptions = {},
): Promise<Outcome> {
  let lease = tries.next()
  let lastNode: string | undefined
  while (lease) {
    lastNode = lease.node.name
    const startedAt = performance.now()
    const attempt = new Attempt(options.sink?.(lease), options)
    attempt.acceptsSecondRun = exchange.retry === 'untilAnswered'
    options.onAttempt?.(attempt)
    backends.transport.dispatch(lease.node, exchange.requestFor(lease.node), attempt)
    const result = await attempt.result
    const firstByteSeconds = attempt.answeredAt > 0 ? (attempt.answeredAt - startedAt) / 1000 : 0
    if (result.kind === 'streamed') {
      answered(backends, lease, firstByteSeconds, !lease.hasRefused)
      return { kind: 'streamed', lease, firstByteSeconds }
    }
    if (result.kind === 'answer') {
      const { answer } = result
      const verdict = nextStepAfter(exchange, answer, tries, lease, backends.fleet)
      judged(exchange, lease, answer.status, verdict)
      answered(backends, lease, firstByteSeconds, verdict === 'pass' && !lease.hasRefused)
      if (verdict !== 'pushback' && answer.status >= 500) lease.node.counts.errors++
      if (verdict === 'pass') return { kind: 'answer', answer, lease, firstByteSeconds }
      lease.exchangeEnded('pushback')
      if (verdict === 'pushback' && !exchange.followsPushback) break
      if (verdict === 'rerun' && !isWithinBudget(exchange)) break
    } else {
      failed(backends, lease, result.fault, result.refused)
      tries.lastFault = result.fault
      const { fault } = result
      const canRunTwice = exchange.retry === 'untilAnswered' && !attempt.isStreaming
      if (!mayMoveOn(canRunTwice, tries, fault) || !(fault.fault.nothingSent || isWithinBudget(exchange))) {
        // An answer that was held back says more than the fault of another node.
        if (tries.firstAnswer && fault.fault.source === 'upstream' && !attempt.isStreaming) break
        return { kind: 'fault', fault, nodeName: lastNode, sent: attempt.sent }
      }
    }
    lease = tries.next()
  }
  const end = tries.conclusion()
  if (end instanceof GatewayFault) return { kind: 'fault', fault: end, nodeName: lastNode, sent: false }
  return { kind: 'refused', answer: end.answer, nodeName: end.node.name }
}

/** Takes room for one more run where these are bounded. */
function isWithinBudget({ elsewhere }: Exchange): boolean {
  return elsewhere?.budget?.take() !== false
}

/** Notes what an answer says of the node, besides what it means for the exchange. */
function judged({ model }: Exchange, lease: Lease, status: number, verdict: NextStep): void {
  const itself = verdictOf(lease.node, status, model)
  // A node that is not the one to ask, such as one that does not run the container, was asked all the same.
  lease.judged(verdict === 'pushback' && itself === 'request' ? 'pushback' : itself, status)
}

function answered({ fleet }: Backends, lease: Lease, firstByteSeconds: number, tookWork: boolean): void {
  fleet.answered(lease.node, { tookWork })
  lease.node.responded(firstByteSeconds)
}

function failed({ fleet }: Backends, lease: Lease, fault: GatewayFault, refused: boolean): void {
  // A client that left says nothing about the node; a ledger that cannot write neither.
  const isNodes = fault.fault.source === 'upstream'
  lease.exchangeEnded(isNodes ? 'failure' : 'cancelled')
  noteFailure(fleet, lease.node, fault, refused)
}

/** An answer began: a failure of the node, but no sign that the node is gone. */
const HAS_BEGUN: readonly FaultCode[] = ['ERR_NODE_BROKE', 'ERR_NODE_SLOW']

/** Counts a failure against a node, if it is the node's. */
export function noteFailure(fleet: Fleet, node: TrackedNode, fault: GatewayFault, refused: boolean): void {
  if (fault.fault.source !== 'upstream') return
  node.counts.errors++
  fleet.failed(node, fault.message, { refused, lost: !HAS_BEGUN.includes(fault.code) })
}

/** Faults past which the request may go to another node if it may run twice. Silence is none: the node may be at work. */
const GIVES_NO_ANSWER: readonly FaultCode[] = ['ERR_NODE_RESET', 'ERR_NODE_NONSENSE', 'ERR_NODE_BROKE']

/**
 * Another node only if nothing was sent, or if the client accepts a possible second run.
 *
 * @param canRunTwice false, whatever the client accepts, where it may have seen some of the answer
 */
export function mayMoveOn(canRunTwice: boolean, tries: Tries, fault: GatewayFault): boolean {
  if (fault.fault.source !== 'upstream') return false
  if (fault.fault.nothingSent) return true
  if (!canRunTwice || !GIVES_NO_ANSWER.includes(fault.code)) return false
  return ++tries.failuresOnceSent <= MOST_MOVES_ONCE_SENT
}

/** What an answer means for the exchange: it is passed on, or another node is tried after it. */
type NextStep = ReturnType<Elsewhere['after']> | 'pushback'

/** Judges an answer; notes those that are held back, and how long the node wants to be left alone. */
function nextStepAfter(exchange: Exchange, answer: Answer, tries: Tries, lease: Lease, fleet: Fleet): NextStep {
  const { elsewhere } = exchange
  const verdict = pushesBack(exchange, answer, tries, lease, fleet)
    ? 'pushback'
    : (elsewhere?.after(answer, lease.node) ?? 'pass')
  if (elsewhere && verdict !== 'pass') tries.keepFirst(answer, lease.node)
  return verdict
}

/** Whether this node will not but another may; notes how long it wants to be left alone. */
function pushesBack(exchange: Exchange, answer: Answer, tries: Tries, lease: Lease, fleet: Fleet): boolean {
  if (answer.status === 429) {
    const seconds = retryAfterSeconds(answer.headers)
    const now = fleet.now()
    lease.node.rest(exchange.restKey, now + seconds, now)
    if (exchange.elsewhere && seconds < tries.leastRetrySeconds) {
      const headers = { ...answer.headers, 'retry-after': String(seconds) }
      tries.soonestPushback = { answer: { ...answer, headers }, node: lease.node, seconds }
    }
    tries.leastRetrySeconds = Math.min(tries.leastRetrySeconds, seconds)
    return true
  }
  if (!exchange.followsPushback) return false
  if (answer.status !== 503 && exchange.isPushback?.(answer) !== true) return false
  tries.lastPushback = { answer, node: lease.node }
  return true
}
