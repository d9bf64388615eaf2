import type { Fleet } from '../fleet/fleet.ts'
import type { Asked, Trial } from '../fleet/load/outliers/outliers.ts'
import { CHAIN_NODE, type Requirement } from './requirement.ts'
import type { TrackedNode } from '../fleet/node.ts'
import { isPushback, isRefusal } from './refusal.ts'

/**
 * What an answer says of the backend.
 * - `served`: it did what it was asked.
 * - `refused`: see `isRefusal`.
 * - `request`: it is about the request itself, such as 400.
 * - `pushback`: it wants no more for now, or is not the one to ask.
 */
export type Verdict = 'served' | 'refused' | 'request' | 'pushback'

/**
 * What an answer says of the backend by its status.
 *
 * @param model the request's model, by the name that the service itself lists
 */
export function verdictOf(node: TrackedNode, status: number, model?: string): Verdict {
  if (status < 400) return 'served'
  if (isRefusal(status, node, model)) return 'refused'
  return isPushback(status) ? 'pushback' : 'request'
}

/** A request on its way, as answers to it are judged. Its tries share it. */
export interface AskedOfNodes extends Asked<TrackedNode> {
  readonly requirement: Requirement
}

/** Statuses with which something in front of a backend says that it is not there: the next poll will tell. */
const NOT_THERE: readonly number[] = [502, 504]

/** The kind of work for which backends are compared: the requirement itself where it has no name. */
export function comparedKindOf({ workKind, key }: Requirement): string {
  return workKind ?? key
}

/** The same, for calls of one path alone: a service may lack one path of a model that it has, which says nothing of the others. */
export function kindAtPath(requirement: Requirement, path: string): string {
  return `${comparedKindOf(requirement)}\n${path}`
}

/** Takes note of an answer for the comparison of backends. */
export function judge(
  fleet: Fleet,
  node: TrackedNode,
  asked: AskedOfNodes,
  { verdict, status, trial }: { verdict: Verdict; status: number; trial: Trial<TrackedNode> | undefined },
): void {
  const now = fleet.now()
  if (verdict === 'refused') {
    if (NOT_THERE.includes(status)) fleet.pollSoon(node)
    const hasSiblings = (): boolean => hasSibling(fleet, node, asked.requirement)
    fleet.outliers.refused(asked, node, now, { status, hasSiblings, trial })
  } else if (verdict !== 'pushback') {
    fleet.outliers.answered(asked, node, now, verdict === 'served', trial)
  }
}

function hasSibling(fleet: Fleet, node: TrackedNode, requirement: Requirement): boolean {
  for (const other of fleet.nodes.values())
    if (other !== node && other.isReachable && requirement.fits(other)) return true
  return false
}

/** A kind of work, for people: `container a`, `model m (/chat/completions)`. */
export function describeKind(kind: string): string {
  const [name = '', path] = kind.split('\n')
  const colon = name.indexOf(':')
  const [type, rest] = [name.slice(0, colon), name.slice(colon + 1)]
  const where = path === undefined ? '' : ` (${path})`
  if (type === 'model') return `model ${rest}${where}`
  if (type === 'containers') return `${rest.includes(',') ? 'containers' : 'container'} ${rest.replaceAll(',', ', ')}`
  if (type === 'hash' || kind === CHAIN_NODE.key) return 'subscriptions'
  return kind
}
