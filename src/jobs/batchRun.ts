import type { Request, Response } from 'express'
import { setImmediate } from 'node:timers/promises'
import type { Lease } from '../dispatch/index.ts'
import { Semaphore, Slice } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import { memoryOf, type RequestMemory, toFault } from '../http/index.ts'
import { type Exchange, type FlatHeaders, Leaving, type Patience, type RetryState } from '../upstream/index.ts'
import type { Submitter } from './accepted.ts'
import { conclude, itemBody, resultOf, type BatchItem } from './batchItems.ts'
import { PartSender, type Placed, type Waiting } from './batchParts.ts'
import { BATCH_PATH, JOBS_PATH, type JobDeps } from './deps.ts'
import { requirementOf } from './requirements.ts'
import type { Submission } from './shape.ts'
import { jobHeaders, SubmissionExchange } from './submissionExchange.ts'

/** Subscriptions of one batch that are sent at once. */
const MAX_SUBSCRIPTIONS_AT_ONCE = 16

/** Items of one batch that wait for places at once: it is not to fill the queue. */
const MOST_QUEUED = 16

/** Splits a batch by container and load, sends the parts side by side, and moves what a node could not take to the next. */
export class BatchRun {
  /** Longest that one of its items waited for places. */
  queueSeconds = 0
  readonly #parts: PartSender
  readonly #deps: JobDeps
  readonly #headers: FlatHeaders
  readonly #memory: RequestMemory
  readonly #client: Response
  readonly #by: Submitter
  readonly #patience: Patience
  /** Bounds the items that wait for places, by what they ask for. */
  readonly #queued = new Map<string, Semaphore>()
  /** Of the items that wait, for all of them together: so they get their places in the same turns of the event loop. */
  readonly #slice = new Slice()
  #turn: Promise<void> | undefined
  /** Items that have got their places at this moment, and what becomes of them. */
  readonly #gathered = new Map<Lease['node'], { readonly group: Placed[]; readonly done: Promise<void> }>()
  /** Ends the waits of its items; made when the first of them has to wait. */
  #leaving: Leaving | undefined

  constructor(deps: JobDeps, req: Request, by: Submitter) {
    this.#deps = deps
    this.#client = req.res as Response
    this.#headers = jobHeaders(deps, req)
    this.#parts = new PartSender(deps, req, this.#headers, by)
    this.#memory = memoryOf(req)
    this.#by = by
    this.#patience = deps.upstream.newPatience()
  }

  /** Calls to nodes, those of them for items that another node had failed or refused, and longest that a node took for its part. */
  get calls(): number {
    return this.#parts.calls
  }

  get retries(): number {
    return this.#parts.retries
  }

  get serviceSeconds(): number {
    return this.#parts.serviceSeconds
  }

  /** Settles with every item having its result. Never rejects for an item's sake. */
  async run(items: readonly BatchItem[]): Promise<void> {
    const open = items.filter((item) => item.submission && !item.result)
    const jobs = open.filter((item) => item.submission?.kind === 'job')
    const subscriptions = open.filter((item) => item.submission?.kind === 'subscription')
    const limit = new Semaphore(MAX_SUBSCRIPTIONS_AT_ONCE)
    const slice = new Slice()
    const sent = subscriptions.map((item) => limit.run(() => this.#sendSubscription(item, slice)))
    try {
      await Promise.all([this.#sendAll(jobs), ...sent])
    } finally {
      this.#leaving?.forget()
    }
  }

  async #sendAll(items: readonly BatchItem[]): Promise<void> {
    const waiting: Waiting[] = []
    const slice = new Slice()
    for (const item of items) {
      waiting.push({ item, state: this.#deps.upstream.begin(await this.#exchange(item, BATCH_PATH), this.#patience) })
      if (slice.isOver) await slice.next()
    }
    await this.#sendJobs(waiting)
  }

  async #exchange(item: BatchItem, path: string): Promise<Exchange> {
    const submission = item.submission as Submission
    const requirement = await requirementOf(submission, this.#deps.selector)
    const outgoing = { path, headers: this.#headers, body: item.bytes, submission, requirement, by: this.#by }
    return new SubmissionExchange(this.#deps, outgoing)
  }

  /** A subscription is sent once, on its own: one that a node cannot serialise would spoil a whole batch. */
  async #sendSubscription(item: BatchItem, slice: Slice): Promise<void> {
    if (slice.isOver) await slice.next()
    const exchange = await this.#exchange(item, JOBS_PATH)
    const outcome = await this.#deps.upstream.send(exchange, { memory: this.#memory.answer, client: this.#client })
    this.#parts.calls += outcome.tries
    this.#parts.retries += Math.max(0, outcome.tries - 1)
    this.queueSeconds = Math.max(this.queueSeconds, outcome.queueSeconds)
    this.#parts.serviceSeconds = Math.max(this.#parts.serviceSeconds, outcome.serviceSeconds)
    if (outcome.kind === 'fault') {
      conclude(item, outcome.fault)
    } else {
      item.result = { body: itemBody(outcome.answer) }
      item.isAccepted = outcome.answer.status === 200
      if (outcome.kind === 'answer') item.node = outcome.lease.node.name
    }
  }

  /** Sends what gets places at once, in one call to each node; the rest waits meanwhile. */
  async #sendJobs(jobs: readonly Waiting[]): Promise<void> {
    const groups = new Map<Lease['node'], Placed[]>()
    const late: Waiting[] = []
    const slice = new Slice()
    for (const { item, state } of jobs) {
      if (slice.isOver) await slice.next()
      const lease = state.take()
      if (!lease) {
        if (state.mayWait) late.push({ item, state })
        else concludeUntaken({ item, state })
        continue
      }
      const group = groups.get(lease.node) ?? []
      groups.set(lease.node, group)
      group.push({ item, state, lease })
    }
    await Promise.all([
      // Each group goes on by itself, so that a slow node does not delay the items of others.
      ...[...groups.values()].map((group) => this.#sendWhole(group)),
      ...late.map((job) => this.#sendLate(job)),
    ])
  }

  /** Waits for a place for one item, as long as the client does. Those that get theirs together travel together. */
  async #sendLate({ item, state }: Waiting): Promise<void> {
    let lease: Lease | undefined
    try {
      lease = await this.#queuedOf(state).run(async () => {
        this.#signal.throwIfAborted()
        await this.#untilTurn()
        return state.take() ?? (await state.acquire(this.#signal))
      })
    } catch (error) {
      return concludeAs(item, state.conclusionAfterWait(toFault(error)))
    } finally {
      this.queueSeconds = Math.max(this.queueSeconds, state.queueSeconds)
    }
    if (!lease) return concludeUntaken({ item, state })
    await this.#gather({ item, state, lease })
  }

  #queuedOf({ asked: { requirement } }: RetryState): Semaphore {
    let queued = this.#queued.get(requirement.key)
    if (!queued) this.#queued.set(requirement.key, (queued = new Semaphore(MOST_QUEUED)))
    return queued
  }

  get #signal(): AbortSignal {
    return (this.#leaving ??= new Leaving(this.#client)).signal
  }

  /** When a backend is back, all items may get their places one after the other: the event loop is left to others now and then. */
  async #untilTurn(): Promise<void> {
    if (!this.#turn && !this.#slice.isOver) return
    this.#turn ??= this.#slice.next().finally(() => (this.#turn = undefined))
    await this.#turn
  }

  /** Sends an item with all others that get places at the same node at this moment. */
  #gather(job: Placed): Promise<void> {
    const { node } = job.lease
    const gathered = this.#gathered.get(node)
    if (gathered) {
      gathered.group.push(job)
      return gathered.done
    }
    const group = [job]
    const done = this.#sendGathered(node, group)
    this.#gathered.set(node, { group, done })
    return done
  }

  async #sendGathered(node: Lease['node'], group: readonly Placed[]): Promise<void> {
    do await setImmediate()
    while (this.#turn)
    this.#gathered.delete(node)
    await this.#sendWhole(group)
  }

  /** Sends one group to its node, and what that does not take to others. */
  async #sendWhole(group: readonly Placed[]): Promise<void> {
    const unsettled = await this.#parts.send(group)
    if (unsettled.length > 0) await this.#sendJobs(unsettled)
  }
}

/** No backend is left that could take the item. */
function concludeUntaken({ item, state }: Waiting): void {
  concludeAs(item, state.conclusion())
}

function concludeAs(item: BatchItem, end: ReturnType<RetryState['conclusion']>): void {
  if (end instanceof GatewayFault) conclude(item, end)
  // A 405 was told of this item alone.
  else item.result = resultOf(end.answer, end.answer.status === 405 ? undefined : end.node.name)
}
