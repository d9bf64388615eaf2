import type { ServiceTime } from './serviceTime.ts'

/** What a poll showed of a node, and what was known at it. */
export interface PollView {
  /** Pending jobs, ours among them. */
  readonly pending: number
  /** Our own unfinished jobs. */
  readonly own: number
  readonly concurrency: number
  /** Look-ups handed out since the poll before. */
  readonly lookups: number
  readonly secondsSincePoll: number
}

/** What went in by look-ups and is no longer there at the next poll has been served in between. A coarse measure of the
 * service time, only for nodes of which our own jobs tell little. An empty poll teaches nothing: a black hole would seem ever
 * faster. */
export class PollLearning {
  /** Below this much evidence from our own jobs it is needed. */
  readonly #neededBelowJobs: number
  /** Unseen jobs that the last poll showed, and how many of them it takes to have been running. */
  #unseen = 0
  #unseenRunning = 0

  constructor(neededBelowJobs: number) {
    this.#neededBelowJobs = neededBelowJobs
  }

  polled(service: ServiceTime, now: number, { pending, own, concurrency, lookups, secondsSincePoll }: PollView): void {
    const unseen = Math.max(0, pending - own)
    const running = pending > 0 ? (Math.min(pending, concurrency) * unseen) / pending : 0
    const ended = lookups + this.#unseen - unseen
    if (service.ownEvidenceJobs(now) < this.#neededBelowJobs && lookups > 0 && pending > 0) {
      service.servedOthers((secondsSincePoll * (running + this.#unseenRunning)) / 2)
      if (ended > 0) service.completedUnseen(now, ended)
    }
    this.#unseen = unseen
    this.#unseenRunning = running
  }
}
