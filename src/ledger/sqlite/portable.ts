import type { IdempotencyRecord, JobRecord } from '../ledger.ts'
import type { PortableState, Reqnum } from '../portable.ts'
import { ANSWERS, bufferOf, JOBS } from './columns.ts'
import type { CallStore } from './wire.ts'

/** Rows of a page. Answers hold the bodies of what clients were told, some of them long. */
const JOBS_A_PAGE = 500
const ANSWERS_A_PAGE = 100
const REQNUMS_A_PAGE = 1000

/** All that a SQLite ledger holds, page by page. */
export class SqlitePortableState implements PortableState {
  readonly #call: CallStore

  constructor(call: CallStore) {
    this.#call = call
  }

  async *jobs(): AsyncGenerator<readonly JobRecord[]> {
    for (let after = 0; ;) {
      const rows = await this.#call('jobsAfter', after, JOBS_A_PAGE)
      if (rows.length === 0) return
      yield rows.map(([, ...row]) => JOBS.itemOf(row))
      after = rows.at(-1)![0]
    }
  }

  async *answers(): AsyncGenerator<readonly IdempotencyRecord[]> {
    for (let after = 0; ;) {
      const rows = await this.#call('answersAfter', after, ANSWERS_A_PAGE)
      if (rows.length === 0) return
      yield rows.map(([, ...row]) => ANSWERS.itemOf(row))
      after = rows.at(-1)![0]
    }
  }

  async *reqnums(): AsyncGenerator<readonly Reqnum[]> {
    for (let after = ''; ;) {
      const rows = await this.#call('reqnumsAfter', after, REQNUMS_A_PAGE)
      if (rows.length === 0) return
      yield rows.map(([worker, last]) => ({ worker, last }))
      after = rows.at(-1)![0]
    }
  }

  async request(id: string): Promise<Buffer | undefined> {
    const bytes = await this.#call('request', id)
    return bytes ? bufferOf(bytes) : undefined
  }

  async setReqnums(reqnums: readonly Reqnum[]): Promise<void> {
    await Promise.all(reqnums.map(({ worker, last }) => this.#call('setReqnum', worker, last)))
  }
}
