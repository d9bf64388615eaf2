import type { JobRecord, JobsQuery } from './ledger.ts'

/** Jobs that one question looks at. Those after them are for the next question, so that none holds others up. */
export const LOOKED_AT = 2000

/** Whether a question asks for this job. */
export function fitsQuery(record: JobRecord, { state, caller, node, container }: JobsQuery): boolean {
  return (
    (state === undefined || record.state === state) &&
    (caller === undefined || record.caller === caller) &&
    (node === undefined || record.node === node) &&
    (container === undefined || record.containers.includes(container))
  )
}

/** The number that a cursor is; `Infinity` where there is none. */
export function numberIn(after: string | undefined): number {
  return after === undefined ? Infinity : Number(after)
}
