import type { LiveJob } from '../liveJobs.ts'
import type { NodeJob } from './readAnswer.ts'

/** Jobs accepted within this time of one another are compared, seconds. */
const SAME_TIME_SECONDS = 1
/** Between the two looks that must agree, seconds; a look comes once a second, a little early or late. */
const CONFIRMED_AFTER_SECONDS = 0.9
/** A node's record of a job that still runs expires after 15 minutes, and the job is known again at its end: older jobs prove nothing. */
const OLDEST_EVIDENCE_SECONDS = 600
/** Answers in a row that know every job after which the address counts as one node again: ten minutes of work. */
const CALM_AFTER_ANSWERS = 600

/** What one answer tells of one job; `told` is undefined where the node did not know it. */
export interface Sighting {
  readonly job: LiveJob
  readonly told: NodeJob | undefined
}

/**
 * Notices that several nodes answer in turn at one address, as behind a load balancer, where a job that is unknown to
 * one of them runs at another. Signs of that are
 *
 * - a job that is known again after it was unknown;
 * - a job that is unknown in two looks a second apart, although one accepted up to a second before it runs.
 *
 * A node that restarts shows neither: it forgets every running job from before one moment, for good. Finished jobs
 * survive a restart, so they are no evidence.
 */
export class AnswersInTurn {
  #isSeen = false
  #calmAnswers = 0
  readonly #unknown = new WeakSet<LiveJob>()
  /** Since when a job is unknown although an older one runs, monotonic seconds. */
  readonly #contradictions = new WeakMap<LiveJob, number>()

  /** Takes the sightings of one answer. Returns whether several nodes answer here, as far as is known. */
  observe(sightings: readonly Sighting[], now: number): boolean {
    const isComplete = sightings.every(({ told }) => told !== undefined)
    this.#calmAnswers = isComplete ? this.#calmAnswers + 1 : 0
    if (this.#isSeen && this.#calmAnswers >= CALM_AFTER_ANSWERS) this.#isSeen = false
    const recent = sightings.filter(({ job }) => now - job.runStartedAt < OLDEST_EVIDENCE_SECONDS)
    // Both must see the whole answer.
    const isKnownAgain = this.#noteKnownAgain(recent)
    const isContradicted = !isComplete && this.#noteContradictions(recent, now)
    if (isKnownAgain || isContradicted) {
      this.#isSeen = true
      this.#calmAnswers = 0
    }
    return this.#isSeen
  }

  /** Whether it is still open if this unknown job is lost, or runs at another node of this address. */
  doubts(job: LiveJob): boolean {
    return this.#contradictions.has(job)
  }

  #noteKnownAgain(sightings: readonly Sighting[]): boolean {
    let isKnownAgain = false
    for (const { job, told } of sightings) {
      if (told === undefined) this.#unknown.add(job)
      else {
        if (this.#unknown.delete(job)) isKnownAgain = true
        this.#contradictions.delete(job)
      }
    }
    return isKnownAgain
  }

  #noteContradictions(sightings: readonly Sighting[], now: number): boolean {
    const inOrder = sightings.toSorted((a, b) => a.job.runStartedAt - b.job.runStartedAt)
    let lastRunning = -Infinity
    let isConfirmed = false
    for (const { job, told } of inOrder) {
      const { runStartedAt } = job
      if (told?.status === 'running') lastRunning = runStartedAt
      if (told !== undefined) continue
      const since = this.#contradictions.get(job)
      if (since !== undefined) isConfirmed ||= now - since >= CONFIRMED_AFTER_SECONDS
      else if (runStartedAt > lastRunning && runStartedAt - lastRunning <= SAME_TIME_SECONDS) {
        this.#contradictions.set(job, now)
      }
    }
    return isConfirmed
  }
}
