import type { IdempotencyRecord, JobRecord } from './ledger.ts'

/** The number of the last ticket for a worker. */
export interface Reqnum {
  readonly worker: string
  readonly last: number
}

/**
 * What moving a ledger into another store needs besides the ledger itself. Nothing else may use the store meanwhile: pages are read
 * one after the other, and what changes in between may be met twice or not at all. Expired jobs and answers may be among them.
 */
export interface PortableState {
  /** All jobs in pages, those of one caller in the order in which they came. */
  jobs(): AsyncIterable<readonly JobRecord[]>
  answers(): AsyncIterable<readonly IdempotencyRecord[]>
  reqnums(): AsyncIterable<readonly Reqnum[]>
  /** The request of an unfinished job, whoever looks after it. */
  request(id: string): Promise<Buffer | undefined>
  /** The next number for a worker is greater than this one from now on. */
  setReqnums(reqnums: readonly Reqnum[]): Promise<void>
}
