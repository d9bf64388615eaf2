import { type Identity, type MemoryBudget, Semaphore } from '../../base/index.ts'
import { CallBudget, type Fleet, type TrackedNode } from '../../fleet/index.ts'
import type { UnfinishedJob } from '../../ledger/index.ts'
import { Attempt, collect, type Transport } from '../../upstream/index.ts'
import { lookRequest, splitIntoCalls } from '../follow/lookRequest.ts'
import { readNodeJobs } from '../follow/readAnswer.ts'
import { FirstBytes } from './firstBytes.ts'

/** Ids in one call. */
const IDS_PER_CALL = 150
/** Calls to one node in a row, besides those that tell an answer that cannot be read from others beside it. */
const MOST_CALLS = 10
const MOST_DIVISIONS = 10
/** A node that says nothing for this long is not there; results may be long and lines slow, so the whole may take longer. */
const SILENCE_SECONDS = 5
const CALL_TIMEOUT_SECONDS = 30
/** An answer about several jobs that is longer is asked for in halves. */
const MAX_ANSWER_BYTES = 8_000_000
/** Nodes that are asked at once. */
const MAX_NODES_AT_ONCE = 8
/** A node that takes longer than this no longer counts among them, so that silent nodes do not delay the others. */
const HOLD_SECONDS = 1

/**
 * A node's answer about a job that another gateway sent it.
 * - `known`: this gateway can read the job, and so follow it.
 * - `unknown`: it cannot: the node knows the job under another gateway's address, or has lost it.
 * - `silent`: no answer.
 * - `unclear`: the node was not asked this time, or its answer cannot be used.
 */
export type Sight = 'known' | 'unknown' | 'silent' | 'unclear'

export interface NodeAsksOptions {
  readonly fleet: Fleet
  readonly transport: Transport
  readonly memory: MemoryBudget
  readonly identity: Identity
}

/** Asks nodes whether they show this gateway the jobs of another. Which ids they know is all that counts of their answers. */
export class NodeAsks {
  readonly #options: NodeAsksOptions
  readonly #places = new Semaphore(MAX_NODES_AT_ONCE, HOLD_SECONDS)
  readonly #budgets = new WeakMap<TrackedNode, CallBudget>()

  constructor(options: NodeAsksOptions) {
    this.#options = options
  }

  /** Jobs that are not among the answers are unclear. */
  ask(node: TrackedNode, jobs: readonly UnfinishedJob[]): Promise<Map<UnfinishedJob, Sight>> {
    return this.#places.run(() => new Asking(node, this.#budgetOf(node), this.#options).about(jobs))
  }

  #budgetOf(node: TrackedNode): CallBudget {
    let budget = this.#budgets.get(node)
    if (!budget) this.#budgets.set(node, (budget = new CallBudget()))
    return budget
  }
}

/** One round of calls to one node. */
class Asking {
  readonly #node: TrackedNode
  readonly #budget: CallBudget
  readonly #options: NodeAsksOptions
  readonly #sights = new Map<UnfinishedJob, Sight>()
  #divisions = 0
  #isOver = false

  constructor(node: TrackedNode, budget: CallBudget, options: NodeAsksOptions) {
    this.#node = node
    this.#budget = budget
    this.#options = options
  }

  async about(jobs: readonly UnfinishedJob[]): Promise<Map<UnfinishedJob, Sight>> {
    const most = Math.min(this.#budget.burst, MOST_CALLS)
    for (let at = 0, calls = 0; at < jobs.length && calls < most && !this.#isOver; at += IDS_PER_CALL) {
      for (const chunk of splitIntoCalls(this.#node, jobs.slice(at, at + IDS_PER_CALL), most - calls)) {
        calls++
        await this.#askFor(chunk)
      }
    }
    // Nobody is there for those that were not asked for, either.
    if ([...this.#sights.values()].includes('silent')) this.#tell(jobs, 'silent')
    return this.#sights
  }

  async #askFor(jobs: readonly UnfinishedJob[]): Promise<void> {
    const { fleet, transport, memory } = this.#options
    if (this.#isOver || this.#budget.nextCallAt > fleet.now()) return
    const reservation = memory.openOwn('jobs')
    try {
      const result = await collect(transport, this.#node, this.#request(jobs), {
        silenceSeconds: SILENCE_SECONDS,
        timeoutSeconds: CALL_TIMEOUT_SECONDS,
        maxBytes: MAX_ANSWER_BYTES,
        memory: reservation,
      })
      if (result.kind === 'fault') {
        if (result.fault.code === 'ERR_NODE_BROKE') return await this.#divide(jobs)
        this.#isOver = true
        if (result.fault.fault.source !== 'upstream') return
        fleet.failed(this.#node, result.fault.message, { refused: result.refused, lost: true })
        return this.#tell(jobs, 'silent')
      }
      const { status, headers, body } = result.answer
      fleet.answered(this.#node, { tookWork: false })
      this.#budget.observe(status, headers, fleet.now())
      if (status !== 200) {
        this.#isOver = true
        return
      }
      const told = await readNodeJobs(body)
      if (!told) return await this.#divide(jobs)
      for (const job of jobs) this.#sights.set(job, told.has(job.record.nodeJobId) ? 'known' : 'unknown')
    } finally {
      reservation.release()
    }
  }

  /** After an answer that could not be read, or not to its end: one result must not hide the others. */
  async #divide(jobs: readonly UnfinishedJob[]): Promise<void> {
    if (jobs.length === 1) return this.#peek(jobs[0]!)
    if (++this.#divisions > MOST_DIVISIONS) return
    const middle = jobs.length >> 1
    await this.#askFor(jobs.slice(0, middle))
    await this.#askFor(jobs.slice(middle))
  }

  /** The result of one job may be longer than is read here: the beginning of the answer shows whether there is one. */
  async #peek(job: UnfinishedJob): Promise<void> {
    const { transport } = this.#options
    const sink = new FirstBytes()
    const attempt = new Attempt(sink, { silenceSeconds: SILENCE_SECONDS, timeoutSeconds: CALL_TIMEOUT_SECONDS })
    sink.belongsTo(attempt)
    transport.dispatch(this.#node, this.#request([job]), attempt)
    await attempt.result
    if (sink.isListWithEntries) this.#sights.set(job, 'known')
  }

  #request(jobs: readonly UnfinishedJob[]) {
    const { via, address } = this.#options.identity
    // Over a connection of its own each time: where several nodes answer in turn, another of them may know the jobs.
    return lookRequest(this.#node, jobs, { via, address, withIntermediate: false, reset: true })
  }

  #tell(jobs: readonly UnfinishedJob[], sight: Sight): void {
    for (const job of jobs) if (!this.#sights.has(job)) this.#sights.set(job, sight)
  }
}
