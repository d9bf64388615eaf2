import type { Request, Response } from 'express'
import { isPushback, type Lease } from '../dispatch/index.ts'
import { inTurns, Semaphore, Slice } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import { memoryOf, type RequestMemory, toFault } from '../http/index.ts'
import { arraySteps } from '../json/index.ts'
import {
  abandon,
  type Answer,
  type AnswerEnd,
  type BackendRequest,
  type Exchange,
  type FlatHeaders,
  judgeCall,
  NEVER,
  Patience,
  type RetryState,
  settlePart,
  untilReturned,
} from '../upstream/index.ts'
import { acceptJob, idIn, isDuplicate, namesId, newRecord, type Submitter } from './accepted.ts'
import { batchBody } from './batchBody.ts'
import { conclude, faultResult, itemBody, resultOf, type BatchItem } from './batchItems.ts'
import { BATCH_PATH, JOBS_PATH, type JobDeps } from './deps.ts'
import type { AcceptedJob } from './liveJobs.ts'
import { isNodeSpecificRefusal, requirementOf } from './requirements.ts'
import type { Submission } from './shape.ts'
import { jobHeaders, SubmissionExchange } from './submissionExchange.ts'

/** An item on its way. */
interface Travelling {
  readonly item: BatchItem
  readonly state: RetryState
  /** Its place at the backend that it goes to now. */
  lease: Lease
}

/** An item that has to go to a backend, or to another one. */
type Waiting = Omit<Travelling, 'lease'>

/** An item that a node has taken: its answer to it, and the id in that. */
interface Accepted {
  readonly job: Travelling
  readonly body: Buffer
  readonly id: string
}

/** A node's answer to a part of a batch always has room for the ids of all jobs that it has accepted, bytes. */
const BATCH_ANSWER_BYTES = 16_384
const ITEM_ANSWER_BYTES = 256

/** Subscriptions of one batch that are sent at once. */
const MAX_SUBSCRIPTIONS_AT_ONCE = 16

/** Jobs of one batch that are handed to the ledger at once: some milliseconds of work on this side. */
const MAX_RECORDED_AT_ONCE = 500

/** Splits a batch by container and load, sends the parts side by side, and moves what a node could not take to the next. */
export class BatchRun {
  /** Calls to nodes, and those of them for items that another node had failed or refused. */
  calls = 0
  retries = 0
  /** Longest that one of its items waited for places, and that a node took for its part. */
  queueSeconds = 0
  serviceSeconds = 0
  readonly #deps: JobDeps
  readonly #headers: FlatHeaders
  readonly #memory: RequestMemory
  readonly #client: Response
  readonly #by: Submitter
  readonly #patience = new Patience()

  constructor(deps: JobDeps, req: Request, by: Submitter) {
    this.#deps = deps
    this.#client = req.res as Response
    this.#headers = jobHeaders(deps, req)
    this.#memory = memoryOf(req)
    this.#by = by
  }

  /** Settles with every item having its result. Never rejects for an item's sake. */
  async run(items: readonly BatchItem[]): Promise<void> {
    const open = items.filter((item) => item.submission && !item.result)
    const jobs = open.filter((item) => item.submission?.kind === 'job')
    const subscriptions = open.filter((item) => item.submission?.kind === 'subscription')
    const limit = new Semaphore(MAX_SUBSCRIPTIONS_AT_ONCE)
    const slice = new Slice()
    const sent = subscriptions.map((item) => limit.run(() => this.#sendSubscription(item, slice)))
    await Promise.all([this.#sendAll(jobs), ...sent])
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
    this.calls += outcome.tries
    this.retries += Math.max(0, outcome.tries - 1)
    this.queueSeconds = Math.max(this.queueSeconds, outcome.queueSeconds)
    this.serviceSeconds = Math.max(this.serviceSeconds, outcome.serviceSeconds)
    if (outcome.kind === 'fault') {
      conclude(item, outcome.fault)
    } else {
      item.result = { body: itemBody(outcome.answer) }
      item.isAccepted = outcome.answer.status === 200
      if (outcome.kind === 'answer') item.node = outcome.lease.node.name
    }
  }

  async #sendJobs(jobs: readonly Waiting[]): Promise<void> {
    const groups = new Map<Lease['node'], Travelling[]>()
    const late: Waiting[] = []
    const slice = new Slice()
    for (const { item, state } of jobs) {
      if (slice.isOver) await slice.next()
      const lease = await state.acquire(NEVER)
      this.queueSeconds = Math.max(this.queueSeconds, state.queueSeconds)
      if (!lease) {
        if (state.mayWait) late.push({ item, state })
        else concludeUntaken({ item, state })
        continue
      }
      const group = groups.get(lease.node) ?? []
      groups.set(lease.node, group)
      group.push({ item, state, lease })
    }
    // Each group goes on by itself, so that a slow node holds up nobody else's items.
    await Promise.all([
      ...[...groups.values()].map(async (group) => {
        const unsettled = await this.#sendGroup(group)
        if (unsettled.length > 0) await this.#sendJobs(unsettled)
      }),
      ...[...Map.groupBy(late, ({ state }) => state.asked.requirement.key).values()].map((same) =>
        this.#sendLate(same),
      ),
    ])
  }

  /** Items for the same backends, all of which probably restart: waits for one of these, as long as the client does. */
  async #sendLate(jobs: readonly Waiting[]): Promise<void> {
    try {
      if (await untilReturned(jobs[0]!.state, NEVER, this.#client)) return await this.#sendJobs(jobs)
      for (const job of jobs) concludeUntaken(job)
    } catch (error) {
      // The client has left.
      for (const { item } of jobs) if (!item.result) conclude(item, toFault(error))
    }
  }

  /** Sends one group to its node; returns the items that have to go elsewhere. */
  async #sendGroup(group: readonly Travelling[]): Promise<readonly Waiting[]> {
    const { node } = group[0]!.lease
    const { body, length, copiedBytes } = batchBody(group.map(({ item }) => item.bytes))
    const headers = [...this.#headers, 'content-length', String(length)]
    const request: BackendRequest = { method: 'POST', path: node.spec.basePath + BATCH_PATH, headers, body }
    const memory = this.#memory
    memory.body.growAnyway(copiedBytes)
    const alwaysBytes = BATCH_ANSWER_BYTES + group.length * ITEM_ANSWER_BYTES
    const leases = group.map(({ lease }) => lease)
    this.calls++
    if (group[0]!.state.attempts > 1) this.retries++
    const sentAt = performance.now()
    const result = await this.#deps.upstream.call(leases, request, {
      memory: memory.answer,
      alwaysBytes,
      attempt: group[0]!.state.attempts,
    })
    this.serviceSeconds = Math.max(this.serviceSeconds, (performance.now() - sentAt) / 1000)
    memory.body.shrink(copiedBytes)
    if (result.kind === 'fault') {
      for (const lease of leases) settlePart(lease, result.end)
      return group.filter((job) => mayFollowFault(job, result.fault))
    }
    try {
      return await this.#answered(group, result.answer, result.end)
    } catch (error) {
      const fault = toFault(error)
      for (const { item, lease } of group) {
        // Those that are recorded go on.
        if (item.isOurs === true) continue
        abandon(lease)
        if (!item.result) conclude(item, fault)
      }
      return []
    }
  }

  async #answered(group: readonly Travelling[], answer: Answer, end: AnswerEnd): Promise<readonly Waiting[]> {
    const { status } = answer
    if (isPushback(status)) return group.map((job) => pushedBack(job, answer, end))
    if (status >= 400)
      judgeCall(
        group.map(({ lease }) => lease),
        status,
      )
    const parts = status === 200 ? await partsOf(answer.body) : undefined
    if (status === 200 && parts?.length !== group.length) {
      throw new GatewayFault('ERR_NODE_NONSENSE', 'The node did not answer each item of the batch')
    }
    const elsewhere: Waiting[] = []
    const accepted: Accepted[] = []
    const slice = new Slice()
    for (const [index, job] of group.entries()) {
      if (slice.isOver) await slice.next()
      const body = parts?.[index]
      const id = body && idIn(body)?.id
      if (body && id !== undefined) accepted.push({ job, body, id })
      else if (body && isNodeSpecificRefusal(405, body)) {
        elsewhere.push(pushedBack(job, { ...answer, status: 405, body }, end))
      } else if (body && namesId(body)) {
        passOn(
          job,
          faultResult(new GatewayFault('ERR_NODE_NONSENSE', 'The node accepted the job under no usable id')),
          end,
        )
      } else passOn(job, body ? { body } : resultOf(answer, job.lease.node.name), end)
    }
    judgeCall(
      accepted.map(({ job }) => job.lease),
      status,
    )
    for (const { job } of accepted) settlePart(job.lease, end)
    for (let start = 0; start < accepted.length; start += MAX_RECORDED_AT_ONCE) {
      if (slice.isOver) await slice.next()
      await this.#record(accepted.slice(start, start + MAX_RECORDED_AT_ONCE))
    }
    return elsewhere
  }

  async #record(accepted: readonly Accepted[]): Promise<void> {
    const { live } = this.#deps
    const jobs: AcceptedJob[] = accepted.map(({ job, id }) => {
      const containers = job.item.submission?.kind === 'job' ? job.item.submission.containers : []
      return {
        record: newRecord(id, 'job', containers, job.lease, this.#by),
        request: job.item.bytes,
        room: job.item.room,
        lease: job.lease,
      }
    })
    try {
      await live.accept(jobs)
      accepted.forEach(({ job, body }) => recorded(job, body))
    } catch (error) {
      if (!isDuplicate(error)) throw error
      // One by one, so that each is recorded or not for its own sake.
      await Promise.all(jobs.map((job, index) => this.#recordOne(job, accepted[index] as Accepted)))
    }
  }

  async #recordOne(newJob: AcceptedJob, { job, body }: Accepted): Promise<void> {
    try {
      recorded(job, await acceptJob(this.#deps.live, newJob, body))
    } catch (error) {
      abandon(job.lease)
      conclude(job.item, toFault(error))
    }
  }
}

/** Nobody is left who could take the item. */
function concludeUntaken({ item, state }: Waiting): void {
  const end = state.conclusion()
  if (end instanceof GatewayFault) conclude(item, end)
  // A 405 was told of this item alone.
  else item.result = resultOf(end.answer, end.answer.status === 405 ? undefined : end.node.name)
}

function recorded({ item, lease }: Travelling, body: Buffer): void {
  item.result = { body }
  item.node = lease.node.name
  item.isAccepted = true
  item.isOurs = true
}

function mayFollowFault({ item, state }: Travelling, fault: GatewayFault): boolean {
  if (state.mayFollowFault(fault)) return true
  conclude(item, fault)
  return false
}

/** The node will not have this item; another may. */
function pushedBack(job: Travelling, answer: Answer, end: AnswerEnd): Travelling {
  settlePart(job.lease, { ...end, step: job.state.stepAfter(answer, job.lease.node) })
  return job
}

/** The item gets its result without having been taken. */
function passOn({ item, lease }: Travelling, result: NonNullable<BatchItem['result']>, end: AnswerEnd): void {
  settlePart(lease, { ...end, work: 'unmeasured' })
  item.result = result
  item.node = lease.node.name
}

async function partsOf(body: Buffer): Promise<Buffer[] | undefined> {
  try {
    return (await inTurns(arraySteps(body))).map((span) => body.subarray(span.start, span.end))
  } catch {
    return undefined
  }
}
