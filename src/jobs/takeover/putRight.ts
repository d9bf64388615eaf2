import type { Logger } from '../../base/index.ts'
import type { SharedLedger } from '../../ledger/index.ts'
import type { LiveJobs } from '../liveJobs.ts'

/** Jobs that are put right at once. */
const AT_ONCE = 150

export interface Books {
  readonly shared: SharedLedger
  readonly live: LiveJobs
  readonly logger: Logger
}

/**
 * Puts jobs right that we follow and that the ledger may not call ours: those of another gateway are let go, and those that it
 * has lost are recorded again, though without their requests, so that they cannot be run again.
 */
export async function putRight(books: Books, ids: readonly string[]): Promise<void> {
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => putOneRight(books, id)))
  }
}

async function putOneRight({ shared, live, logger }: Books, id: string): Promise<void> {
  const job = live.find(id)
  const owner = await shared.ownerOf(id)
  if (!job || live.find(id) !== job || owner === shared.coordination.membership.self) return
  if (owner !== undefined) return live.disown(id)
  if (await shared.find(id)) {
    // It is over. Our own word on that is on its way, or another's stands.
    if (!job.end) live.disown(id)
    return
  }
  logger.warn('a job that the ledger has lost is recorded again', { job: id })
  await shared.insert([{ record: job.record }])
}

/** Follows what the ledger calls ours and we did not know of, such as a job whose insert was not acknowledged. */
export async function takeUpOurs({ shared, live, logger }: Books): Promise<void> {
  const ours = (await shared.unfinished()).filter(({ record }) => !live.find(record.id))
  if (ours.length === 0) return
  logger.warn('jobs that the ledger calls ours are taken up', { jobs: ours.length })
  for (const { record } of ours) live.adopt(record)
}
