import type { Lease } from '../dispatch/lease.ts'
import { verdictOf, type Verdict } from '../dispatch/judge.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { WorkOutcome } from '../fleet/load/work.ts'
import type { TrackedNode } from '../fleet/node.ts'
import type { FaultCode, GatewayFault } from '../faults.ts'
import type { AcceptedWork } from './exchange.ts'
import type { AnswerStep } from './retryState.ts'

/*
 * What the end of an attempt means: for the backend's counts, health and load, for the comparison with its siblings, and for
 * the lease. Nobody else decides that.
 */

/** How an attempt ended. */
export type AttemptEnd = FaultEnd | AnswerEnd

export interface FaultEnd {
  readonly kind: 'fault'
  readonly fault: GatewayFault
  /** Nothing listens at the backend's address. */
  readonly refused: boolean
}

export interface AnswerEnd {
  readonly kind: 'answer'
  readonly status: number
  /** What the answer means for the exchange: only one that is passed on can have taken work. */
  readonly step: AnswerStep
  /** From sending to the first byte of the answer. */
  readonly firstByteSeconds: number
  readonly work?: AcceptedWork | undefined
  /** The model, by the name that services list it under. */
  readonly model?: string | undefined
}

/** 101 Switching Protocols */
const SWITCHED = 101

/** An answer began: a failure of the node, but no sign that the node is gone. */
const HAS_BEGUN: readonly FaultCode[] = ['ERR_NODE_BROKE', 'ERR_NODE_SLOW']

/** An attempt has ended: takes note of all that this says, and ends the lease, or at least its exchange where work goes on. */
export function settle(lease: Lease, end: AttemptEnd): void {
  const { fleet, node } = lease
  if (end.kind === 'fault') {
    noteFault(fleet, node, end)
  } else {
    const verdict = lease.verdict ?? judgeAnswer(lease, end)
    noteAnswer(fleet, node, end, verdict)
  }
  settlePart(lease, end)
}

/**
 * One call that carried the work of several leases has ended: it counts once for its backend, and as one word on each kind of
 * work among them. Each lease then ends by `settlePart`.
 */
export function settleCall(leases: readonly Lease[], end: AttemptEnd): void {
  const [first] = leases
  if (!first) return
  const { fleet, node } = first
  if (end.kind === 'fault') noteFault(fleet, node, end)
  else noteAnswer(fleet, node, end, verdictOf(node, end.status))
}

/** What became of one of the leases of a call. */
export function settlePart(lease: Lease, end: AttemptEnd): void {
  const goesOn = end.kind === 'answer' && end.work === 'goesOn' && end.step === 'pass' && isAccepted(end.status)
  release(lease, goesOn ? undefined : outcomeOf(end))
}

/** Work that a backend may have accepted, and that nobody here will follow: when it ends, nobody hears. */
export function abandon(lease: Lease): void {
  release(lease, 'cancelled')
}

/**
 * One answer says one thing of its backend for each kind of work among the leases of a call, however many these are. Told of
 * those whose items it is about: a call may have accepted some and refused others for reasons of their own.
 */
export function judgeCall(leases: readonly Lease[], status: number): void {
  const byKind = new Map<string | undefined, Lease>()
  for (const lease of leases) {
    if (lease.isTrial || !byKind.has(lease.kind)) byKind.set(lease.kind, lease)
  }
  for (const lease of byKind.values()) lease.judged(verdictOf(lease.node, status), status)
}

/** An answer that is streamed has begun: what its head says must not wait for its end. */
export function noteHead(lease: Lease, status: number, model: string | undefined): void {
  const { fleet, node } = lease
  const verdict = verdictOf(node, status, model)
  lease.judged(verdict, status)
  // Where the node is ejected or on trial, that would else last as long as the answer does. A trusted one is not told
  // of yet: one that breaks off each answer would then never fail several times in a row.
  const wasTrusted = node.load.admits(fleet.now())
  if (status === SWITCHED || (verdict !== 'refused' && !wasTrusted)) fleet.answered(node, { tookWork: true })
}

function judgeAnswer(lease: Lease, { status, step, model }: AnswerEnd): Verdict {
  const itself = verdictOf(lease.node, status, model)
  // A node that is not the one to ask, such as one that does not run the container, was asked all the same.
  const verdict = step === 'pushback' && itself === 'request' ? 'pushback' : itself
  lease.judged(verdict, status)
  return verdict
}

function noteAnswer(
  fleet: Fleet,
  node: TrackedNode,
  { status, step, firstByteSeconds }: AnswerEnd,
  verdict: Verdict,
): void {
  fleet.answered(node, { tookWork: step === 'pass' && verdict !== 'refused' })
  node.responded(firstByteSeconds)
  if (status >= 500 && step !== 'pushback') node.counts.errors++
}

/** A client that left says nothing about the node; a ledger that cannot write neither. */
function noteFault(fleet: Fleet, node: TrackedNode, { fault, refused }: FaultEnd): void {
  if (fault.fault.source !== 'upstream') return
  node.counts.errors++
  fleet.failed(node, fault.message, { refused, lost: !HAS_BEGUN.includes(fault.code) })
}

/** Ends the exchange, and the work unless that goes on. */
function release(lease: Lease, outcome: WorkOutcome | undefined): void {
  lease.exchangeEnded()
  if (outcome) lease.workEnded(outcome)
}

function outcomeOf(end: AttemptEnd): WorkOutcome {
  if (end.kind === 'fault') return end.fault.fault.source === 'upstream' ? 'failure' : 'cancelled'
  const { status, step, work } = end
  // How long a client keeps a connection says nothing of how fast the node works.
  if (status === SWITCHED) return 'cancelled'
  // A refusal, such as a 4xx, took no service: it must not make the node look fast.
  return step === 'pass' && status < 400 && work === undefined ? 'success' : 'pushback'
}

/** Whether an answer accepts the work that it was asked for: where this goes on, its end is then for whoever has the answer. */
export function isAccepted(status: number): boolean {
  return status >= 200 && status <= 299
}
