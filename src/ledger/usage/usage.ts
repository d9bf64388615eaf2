import { utcDayOf } from '../../base/utcDay.ts'

/** What requests took. */
export interface UsageCounts {
  readonly requests: number
  /** All of the prompts, cached or not. */
  readonly promptTokens: number
  readonly completionTokens: number
  /** Those of the prompts that came from a prefix cache. */
  readonly cachedTokens: number
}

/** What one caller used of one model on one day. */
export interface UsageRow extends UsageCounts {
  /** UTC days since 1970-01-01. */
  readonly day: number
  readonly caller: string
  readonly model: string
}

/** Rows to add at once: a process numbers its own from 1. */
export interface UsageBatch {
  /** The process that adds it; a name that is never used again. */
  readonly writer: string
  /** Grows from one batch of the writer to the next. */
  readonly number: number
  readonly rows: readonly UsageRow[]
}

/**
 * Usage by caller, model and day. It is kept for USAGE_DAYS days, and at most MOST_USAGE_ROWS rows a day: what comes beyond is
 * counted under OTHER_USAGE. No count is lost by that.
 */
export interface UsageStore {
  /**
   * Adds all rows of a batch, or none, durably. After a rejection the same batch may be added again: it counts once.
   *
   * @throws GatewayFault ERR_LEDGER
   */
  add(batch: UsageBatch): Promise<void>
  /**
   * The rows of a day, in no particular order.
   *
   * @throws GatewayFault ERR_LEDGER
   */
  read(day: number): Promise<UsageRow[]>
}

/** Days for which usage is kept, besides the present one. */
export const USAGE_DAYS = 400
/** Rows of one day. */
export const MOST_USAGE_ROWS = 10_000
/** Of these, rows that name caller and model. The rest is for callers' other models. */
export const NAMED_USAGE_ROWS = 9000
/** Models of one caller on one day: a service that takes any model lets a client make them up. */
export const MODELS_OF_CALLER = 200
/** Stands for models, or callers, that have no row of their own. */
export const OTHER_USAGE = '(other)'
/** Characters of a model's name. */
export const MAX_USAGE_MODEL = 200

/** The first day for which usage is kept; `ms` since 1970. */
export function firstUsageDay(ms: number): number {
  return utcDayOf(ms) - USAGE_DAYS
}

/** How many rows there are already. */
export interface UsageSizes {
  readonly ofDay: number
  readonly ofCaller: number
}

/**
 * The row in which usage is counted that has none yet: its own, or one that stands for others.
 *
 * @param hasOther whether the caller has a row for its other models
 */
export function newUsageRow(
  caller: string,
  model: string,
  { ofDay, ofCaller }: UsageSizes,
  hasOther: () => boolean,
): readonly [caller: string, model: string] {
  if (ofDay < NAMED_USAGE_ROWS && ofCaller < MODELS_OF_CALLER) return [caller, model]
  // One row is left for all callers.
  if (hasOther() || ofDay < MOST_USAGE_ROWS - 1) return [caller, OTHER_USAGE]
  return [OTHER_USAGE, OTHER_USAGE]
}
