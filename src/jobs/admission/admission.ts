import { GatewayFault } from '../../faults.ts'
import type { Room } from '../../replicas/index.ts'

/** Part of the ledger that the unfinished requests of one caller may take. */
const CALLERS_PART = 1 / 4

/** How many jobs of a caller may be unfinished. */
export interface JobsBound {
  /** Where it is set, for messages. */
  readonly setting: string
  /** 0 is no limit. */
  readonly most: number
}

/** What may be unfinished at a time. */
export interface AdmissionLimits {
  /** Unfinished jobs that a caller may have. */
  readonly jobsOf: (caller: string) => JobsBound
  /** What the ledger may keep, bytes. */
  readonly maxBytes: number
}

/**
 * Room for unfinished jobs, by what limits count a caller under: how many each caller may have, and what they may take of the
 * ledger, where they cannot be removed to make room. Submissions under way count as well as recorded jobs.
 */
export interface Admission {
  /**
   * Takes room for submissions of a caller before anything is sent: all of it, or none. Returns what is to be given back.
   *
   * @throws GatewayFault ERR_TOO_MANY_JOBS, ERR_TOO_MANY_BYTES where the caller has too much, ERR_BODY_TOO_LARGE for more than a
   * caller may ever have, ERR_LEDGER_FULL where all callers together have too much
   */
  take(caller: string, wanted: Room): Room | Promise<Room>
  /** Returns room of submissions that came to nothing: what `take` returned, or a part of it. */
  giveBack(caller: string, room: Room): void
  /**
   * Recorded jobs were taken up, or ended where the numbers are below 0. For jobs of this process alone: a store that is shared
   * counts what is recorded there itself.
   */
  count(caller: string, change: Room): void
}

/** Bytes of the ledger that one caller's unfinished requests may take. */
export function callersBytes(maxBytes: number): number {
  return Math.floor(maxBytes * CALLERS_PART)
}

export function tooManyJobs({ setting, most: limit }: JobsBound, unfinished: number): GatewayFault {
  return new GatewayFault('ERR_TOO_MANY_JOBS', `Too many unfinished jobs: ${setting} allows ${limit}`, {
    params: { setting, limit, unfinished },
  })
}

export function tooLarge(limit: number, requested: number): GatewayFault {
  return new GatewayFault(
    'ERR_BODY_TOO_LARGE',
    `The requests of one call may take ${limit} bytes of the ledger, a quarter of STATE_MAX_BYTES`,
    { params: { limit, requested } },
  )
}

export function tooManyBytes(limit: number, unfinished: number, requested: number): GatewayFault {
  return new GatewayFault(
    'ERR_TOO_MANY_BYTES',
    `The unfinished requests of one caller may take ${limit} bytes, a quarter of STATE_MAX_BYTES`,
    { params: { limit, unfinished, requested } },
  )
}
