import type { Lease } from '../dispatch/index.ts'
import type { TrackedNode } from '../fleet/index.ts'
import type { JobRecord } from '../ledger/index.ts'

/** How a job ended: its result as the bytes that a node wrote, or that we wrote for it. */
export interface LiveJobEnd {
  readonly state: 'success' | 'failed'
  readonly result: Buffer
  readonly intermediate: Buffer | undefined
}

/** An unfinished job, as long as somebody has to look after it. */
export interface LiveJob {
  record: JobRecord
  readonly node: TrackedNode
  /** Its place at the node; `undefined` for a stream, whose place ends with its connection. */
  lease: Lease | undefined
  /** The room that it takes in the ledger until its end, bytes; 0 where the store counts that itself. */
  readonly room: number
  /** Looks in a row at which the node did not know it. */
  unknownLooks: number
  /** When a node last said that it runs, or when we began to look after it: monotonic seconds. */
  knownAt: number
  /** When this run began: monotonic seconds, before the start of this process for a restored one. */
  runStartedAt: number
  /** What the node last told of a running job's intermediate results, where that is short enough to keep. */
  intermediate: Buffer | undefined
  /** A stream whose connection is still open: its end is seen there first. */
  isOpen: boolean
  /** Another run is being arranged. */
  isMoving: boolean
  /** Taken over from a gateway that is gone, while its node does not show this run to us: another run is to follow. */
  isOrphan: boolean
  /** A final state that its node tells without a result, as after `PUT /api/status`. */
  provisional: ProvisionalEnd | undefined
  /** Set when the final state is known, until the ledger has it. */
  end: LiveJobEnd | undefined
}

/**
 * A final state that was set by hand. The job may still run at its node, whose result then counts, with the state that it comes
 * with.
 */
export interface ProvisionalEnd {
  readonly state: LiveJobEnd['state']
  /** When its node told one first: monotonic seconds. */
  readonly since: number
  /** The one that clients are told, as soon as all gateways that share the ledger tell it. */
  readonly told: LiveJobEnd['state'] | undefined
}

/** When and where somebody began to look after a job; times are monotonic seconds. */
interface Begin {
  readonly now: number
  /** For how long this run has been going on. */
  readonly ranSeconds: number
  readonly lease: Lease | undefined
  readonly room: number
  readonly isOpen: boolean
}

export function newLiveJob(record: JobRecord, node: TrackedNode, begin: Begin): LiveJob {
  const { now, ranSeconds, lease, room, isOpen } = begin
  return {
    record,
    node,
    lease,
    room,
    isOpen,
    unknownLooks: 0,
    knownAt: now,
    runStartedAt: now - ranSeconds,
    intermediate: undefined,
    isMoving: false,
    isOrphan: false,
    provisional: undefined,
    end: undefined,
  }
}

/** A job that a node has accepted. */
export interface AcceptedJob {
  readonly record: JobRecord
  readonly request?: Buffer | undefined
  /** The bytes that it was admitted with. */
  readonly room?: number
  readonly lease: Lease
  /** A stream whose pieces are still to come. */
  readonly isOpen?: boolean
}

/**
 * Jobs belong to the address by which a node saw the gateway that sent them; under another one every job is unknown, and none
 * need be lost.
 */
export function isSeenElsewhere({ record: { localAddress }, node, isOrphan }: LiveJob): boolean {
  return isOrphan || (localAddress !== '' && node.localAddress !== undefined && node.localAddress !== localAddress)
}
