import type { Fleet } from '../../fleet/fleet.ts'
import type { TrackedNode } from '../../fleet/node.ts'
import { collect, type Answer } from '../../proxy/attempt.ts'
import type { Transport } from '../../proxy/transport.ts'
import type { LiveJob } from '../liveJobs.ts'
import { CallBudget } from './budget.ts'
import { readNodeJobs, type NodeJob } from './readAnswer.ts'

/** Most ids in one call: keeps its URL under 8 kB. */
const IDS_PER_CALL = 200
const MAX_URL_LENGTH = 8000
const CALL_TIMEOUT_SECONDS = 5
const MAX_ANSWER_BYTES = 256_000_000
/** Jobs whose client left a stream: nobody waits, so they are asked for rarely. Multiple of the period. */
const SELDOM = 15

export interface NodeFollowerOptions {
  readonly fleet: Fleet
  readonly transport: Transport
  readonly via: string
  /** Seconds between two looks. */
  readonly periodSeconds: number
  /** What the node said of a job, or `undefined` where it did not know it. `sinceSeconds`: since the look before. */
  readonly onLook: (job: LiveJob, told: NodeJob | undefined, sinceSeconds: number) => void
  /** Nobody could be asked. */
  readonly onSilence: (node: TrackedNode, jobs: readonly LiveJob[]) => void
}

/** Asks one node for all its unfinished jobs, once a period while there are any, within its rate limit. */
export class NodeFollower {
  readonly node: TrackedNode
  readonly #options: NodeFollowerOptions
  readonly #jobs = new Map<LiveJob, { lookedAt: number }>()
  readonly #budget = new CallBudget()
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #lastLookAt = -Infinity
  #isLooking = false
  #isStopped = false
  #quietLooks = 0

  constructor(node: TrackedNode, options: NodeFollowerOptions) {
    this.node = node
    this.#options = options
  }

  get size(): number {
    return this.#jobs.size
  }

  add(job: LiveJob): void {
    const { fleet, periodSeconds } = this.#options
    const now = fleet.now()
    this.#jobs.set(job, { lookedAt: now })
    // A short job may well end within the first half of a period.
    this.#lookBy(Math.max(this.#lastLookAt + periodSeconds, now + periodSeconds / 2))
  }

  remove(job: LiveJob): void {
    this.#jobs.delete(job)
  }

  /** Brings the next look forward, as far as the pace allows. */
  lookSoon(): void {
    this.#lookBy(this.#lastLookAt + this.#options.periodSeconds)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #lookBy(at: number): void {
    if (this.#isLooking || this.#isStopped || at >= this.#dueAt) return
    clearTimeout(this.#timer)
    const now = this.#options.fleet.now()
    const wait = Math.max(at - now, this.#lastLookAt === -Infinity ? 0 : this.#budget.waitSeconds(now, 0))
    this.#dueAt = now + wait
    this.#timer = setTimeout(() => void this.#look(), wait * 1000)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const { fleet, periodSeconds } = this.#options
    this.#isLooking = true
    this.#lastLookAt = fleet.now()
    for (const chunk of this.#chunks()) {
      if (this.#isStopped || !(await this.#ask(chunk))) break
    }
    this.#isLooking = false
    this.#dueAt = Infinity
    if (this.#jobs.size === 0) return
    const now = fleet.now()
    this.#lookBy(this.#lastLookAt + Math.max(periodSeconds, this.#budget.waitSeconds(now, periodSeconds)))
  }

  /** The jobs whose turn it is, longest unseen first, as many calls as the node's budget bears. */
  #chunks(): LiveJob[][] {
    this.#quietLooks++
    const isSeldom = this.#quietLooks % SELDOM !== 0
    const due = [...this.#jobs].filter(([job]) => !(job.record.clientGone === true && isSeldom))
    if (due.length > IDS_PER_CALL) due.sort(([, a], [, b]) => a.lookedAt - b.lookedAt)
    const chunks: LiveJob[][] = []
    let length = MAX_URL_LENGTH
    for (const [job] of due) {
      const size = encodeURIComponent(job.record.nodeJobId).length + 4
      if (length + size > MAX_URL_LENGTH || (chunks.at(-1)?.length ?? 0) >= IDS_PER_CALL) {
        if (chunks.length >= this.#budget.burst) break
        chunks.push([])
        length = '/api/jobs?intermediate=true'.length + this.node.spec.basePath.length
      }
      chunks.at(-1)?.push(job)
      length += size
    }
    return chunks
  }

  /** One call. False where the others of this look should not be tried. */
  async #ask(jobs: readonly LiveJob[]): Promise<boolean> {
    const { fleet, transport, via } = this.#options
    const ids = jobs.map((job) => `id=${encodeURIComponent(job.record.nodeJobId)}`).join('&')
    const result = await collect(
      transport,
      this.node,
      {
        method: 'GET',
        path: `${this.node.spec.basePath}/api/jobs?${ids}&intermediate=true`,
        headers: ['accept', 'application/json', 'via', via],
        body: null,
      },
      { timeoutSeconds: CALL_TIMEOUT_SECONDS, maxBytes: MAX_ANSWER_BYTES },
    )
    if (this.#isStopped) return false
    if (result.kind !== 'answer') {
      if (result.kind === 'fault') this.#failed(jobs, result.fault.message, result.refused)
      return false
    }
    fleet.answered(this.node)
    this.#budget.observe(result.answer.status, result.answer.headers, fleet.now())
    if (result.answer.status !== 200) return result.answer.status !== 429
    this.#tell(jobs, result.answer)
    return true
  }

  #failed(jobs: readonly LiveJob[], reason: string, refused: boolean): void {
    this.#options.fleet.failed(this.node, reason, { refused, lost: true })
    this.#options.onSilence(this.node, jobs)
  }

  #tell(jobs: readonly LiveJob[], answer: Answer): void {
    const told = readNodeJobs(answer.body)
    if (!told) return
    const byId = new Map<string, NodeJob>()
    for (const entry of told) {
      // A node may tell one id twice, finished and running; the finished one stands.
      if (byId.get(entry.id)?.status !== undefined && entry.status === 'running') continue
      byId.set(entry.id, entry)
    }
    const now = this.#options.fleet.now()
    for (const job of jobs) {
      const seen = this.#jobs.get(job)
      if (!seen) continue
      const since = now - seen.lookedAt
      seen.lookedAt = now
      this.#options.onLook(job, byId.get(job.record.nodeJobId), since)
    }
  }
}
