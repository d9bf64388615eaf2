import type { DatabaseSync } from 'node:sqlite'
import { limitKeyOf } from '../../base/limitKey.ts'
import { preparerFor } from './rows.ts'

interface Change {
  removable: number
  fixed: number
}

/** Who has to make room next, and how much that caller may lose before it is another's turn. */
interface Largest {
  readonly caller: string
  readonly excessBytes: number
}

/**
 * What is kept, in all and of each caller: finished jobs and answers, which can be removed, and what cannot be,
 * unfinished requests and results that are being received or removed already. Callers of one IPv6 network share, as with
 * limits. What is counted within a transaction is written by `flush`, and stands once it is committed.
 */
export class KeptCounts {
  readonly #sql: ReturnType<typeof prepareAll>
  #changes = new Map<string, Change>()
  #jobs: number
  #bytes: number
  #newJobs = 0
  #newBytes = 0

  constructor(db: DatabaseSync) {
    this.#sql = prepareAll(db)
    const [jobs, bytes] = this.#sql.totals.get() as unknown as [number, number]
    this.#jobs = jobs
    this.#bytes = bytes
  }

  /** Jobs when the last transaction was committed. */
  get jobs(): number {
    return this.#jobs
  }

  /** Bytes when the last transaction was committed. */
  get bytes(): number {
    return this.#bytes
  }

  /** Bytes as they will be when this transaction is committed. */
  get bytesNow(): number {
    return this.#bytes + this.#newBytes
  }

  /** Begins a transaction; what another one left without an end is forgotten. */
  begin(): void {
    this.#changes.clear()
    this.#newJobs = 0
    this.#newBytes = 0
  }

  /** Bytes of a caller that can be removed, and such that cannot be. */
  count(caller: string, removable: number, fixed: number): void {
    this.#newBytes += removable + fixed
    const change = this.#changes.get(caller)
    if (!change) this.#changes.set(caller, { removable, fixed })
    else {
      change.removable += removable
      change.fixed += fixed
    }
  }

  countJobs(added: number): void {
    this.#newJobs += added
  }

  flush(): void {
    this.#flushCallers()
    if (this.#newJobs !== 0 || this.#newBytes !== 0) this.#sql.addToTotals.run(this.#newJobs, this.#newBytes)
  }

  committed(): void {
    this.#jobs += this.#newJobs
    this.#bytes += this.#newBytes
    this.#newJobs = 0
    this.#newBytes = 0
  }

  /** The caller who keeps most, among those who have something to remove. */
  largest(): Largest | undefined {
    this.#flushCallers()
    const [first, second] = this.#sql.largestShares.all() as unknown as [share: string, bytes: number][]
    if (!first) return undefined
    const [share, bytes] = first
    const [caller] = this.#sql.largestCaller.get(share) as unknown as [string]
    return { caller, excessBytes: bytes - (second?.[1] ?? 0) }
  }

  #flushCallers(): void {
    for (const [caller, { removable, fixed }] of this.#changes) {
      if (removable === 0 && fixed === 0) continue
      const kept = this.#sql.addToCaller.get(caller, limitKeyOf(caller), removable, fixed)
      const [share, keptRemovable, keptFixed] = kept as unknown as [string, number, number]
      if (keptRemovable === 0 && keptFixed === 0) this.#sql.deleteCaller.run(caller)
      const [bytes] = this.#sql.addToShare.get(share, removable + fixed, removable) as unknown as [number]
      if (bytes === 0) this.#sql.deleteShare.run(share)
    }
    this.#changes.clear()
  }
}

function prepareAll(db: DatabaseSync) {
  const prepare = preparerFor(db)
  return {
    totals: prepare('SELECT jobs, bytes FROM totals WHERE one = 1'),
    addToTotals: prepare('UPDATE totals SET jobs = jobs + ?, bytes = bytes + ? WHERE one = 1'),
    addToCaller: prepare(
      `INSERT INTO kept VALUES (?, ?, ?, ?)
       ON CONFLICT (caller) DO UPDATE SET removable = removable + excluded.removable, fixed = fixed + excluded.fixed
       RETURNING share, removable, fixed`,
    ),
    deleteCaller: prepare('DELETE FROM kept WHERE caller = ?'),
    addToShare: prepare(
      `INSERT INTO shares VALUES (?, ?, ?)
       ON CONFLICT (share) DO UPDATE SET bytes = bytes + excluded.bytes, removable = removable + excluded.removable
       RETURNING bytes`,
    ),
    deleteShare: prepare('DELETE FROM shares WHERE share = ?'),
    largestShares: prepare(
      'SELECT share, bytes FROM shares INDEXED BY shares_by_size WHERE removable > 0 ORDER BY bytes DESC LIMIT 2',
    ),
    largestCaller: prepare(
      `SELECT caller FROM kept INDEXED BY kept_by_share
       WHERE share = ? AND removable > 0 ORDER BY removable DESC LIMIT 1`,
    ),
  }
}
