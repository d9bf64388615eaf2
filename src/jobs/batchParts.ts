import type { Request } from 'express'
import { isPushback, type Lease } from '../dispatch/index.ts'
import { inTurns, Slice } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import { memoryOf, type RequestMemory, toFault } from '../http/index.ts'
import { arraySteps } from '../json/index.ts'
import {
  abandon,
  type Answer,
  type AnswerEnd,
  type BackendRequest,
  type FlatHeaders,
  judgeCall,
  type RetryState,
  settlePart,
} from '../upstream/index.ts'
import { acceptJob, idIn, isDuplicate, namesId, newRecord, type Submitter } from './accepted.ts'
import { batchBody } from './batchBody.ts'
import { conclude, faultResult, resultOf, type BatchItem } from './batchItems.ts'
import { BATCH_PATH, type JobDeps } from './deps.ts'
import type { AcceptedJob } from './liveJobs.ts'
import { isNodeSpecificRefusal } from './requirements.ts'

/** An item that has to go to a backend, or to another one. */
export interface Waiting {
  readonly item: BatchItem
  readonly state: RetryState
}

/** An item that has its place at a backend. */
export interface Placed extends Waiting {
  readonly lease: Lease
}

/** An item that a node has taken: its answer to it, and the id in that. */
interface Accepted {
  readonly job: Placed
  readonly body: Buffer
  readonly id: string
}

/** A node's answer to a part of a batch always has room for the ids of all jobs that it has accepted, bytes. */
const BATCH_ANSWER_BYTES = 16_384
const ITEM_ANSWER_BYTES = 256

/** Jobs of one batch that are handed to the ledger at once: some milliseconds of work on this side. */
const MAX_RECORDED_AT_ONCE = 500

/** Sends parts of a batch, each in one call to one node, and takes note of what became of the items. */
export class PartSender {
  /** Calls to nodes, and those of them for items that another node had failed or refused. */
  calls = 0
  retries = 0
  /** Longest that a node took for its part. */
  serviceSeconds = 0
  readonly #deps: JobDeps
  readonly #headers: FlatHeaders
  readonly #memory: RequestMemory
  readonly #by: Submitter

  constructor(deps: JobDeps, req: Request, headers: FlatHeaders, by: Submitter) {
    this.#deps = deps
    this.#headers = headers
    this.#memory = memoryOf(req)
    this.#by = by
  }

  /** Sends items whose places are at one node; returns those that have to go elsewhere. */
  async send(group: readonly Placed[]): Promise<readonly Waiting[]> {
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

  async #answered(group: readonly Placed[], answer: Answer, end: AnswerEnd): Promise<readonly Waiting[]> {
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

function recorded({ item, lease }: Placed, body: Buffer): void {
  item.result = { body }
  item.node = lease.node.name
  item.isAccepted = true
  item.isOurs = true
}

function mayFollowFault({ item, state }: Placed, fault: GatewayFault): boolean {
  if (state.mayFollowFault(fault)) return true
  conclude(item, fault)
  return false
}

/** The node will not have this item; another may. */
function pushedBack(job: Placed, answer: Answer, end: AnswerEnd): Placed {
  settlePart(job.lease, { ...end, step: job.state.stepAfter(answer, job.lease.node) })
  return job
}

/** The item gets its result without having been taken. */
function passOn({ item, lease }: Placed, result: NonNullable<BatchItem['result']>, end: AnswerEnd): void {
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
