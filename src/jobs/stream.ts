import type { Request, Response } from 'express'
import type { Lease } from '../dispatch/index.ts'
import { GatewayFault } from '../faults.ts'
import { contextOf } from '../http/index.ts'
import { readSubmission, roomOf } from './readSubmission.ts'
import type { ClientExchange, StreamTap } from '../upstream/index.ts'
import { isDuplicate, isUsableId, newRecord } from './accepted.ts'
import { STREAM_PATH, type JobDeps } from './deps.ts'
import type { LiveJob } from './liveJobs.ts'
import { outgoingOf, SubmissionExchange, type Outgoing } from './submissionExchange.ts'

const NEWLINE = 0x0a
/** A first line longer than this is no id. */
const MAX_ID_LINE = 200
const NO_ID = 'The stream of the node began without an id'
const ID_TAKEN = 'The node gave the stream the id of another job'

/** `POST /api/jobs/stream`: one job, its output piece by piece; a client that leaves ends it at the node at once. */
export function streamJob(deps: JobDeps) {
  return async (req: Request, res: Response): Promise<void> => {
    const read = await readSubmission(deps, req, { allowsKey: false })
    const { submission, by } = read
    if (submission.kind !== 'job') {
      throw new GatewayFault('ERR_JOB_REFUSED', 'Streaming only supported for OffchainJob requests.')
    }
    await deps.whenReady()
    const outgoing = await outgoingOf(deps, req, STREAM_PATH, read)
    const room = roomOf(read, { keepsRequest: false })
    const context = contextOf(req)
    const taken = await deps.live.admit(by.caller, { jobs: 1, bytes: room })
    let job: LiveJob | undefined
    const record = async (id: string, lease: Lease): Promise<void> => {
      context.job = id
      const accepted = newRecord(id, 'stream', submission.containers, lease, by)
      try {
        ;[job] = await deps.live.accept([{ record: accepted, room, lease, isOpen: true }])
      } catch (error) {
        // The id is on its way to the client as it is, and belongs to another job.
        throw isDuplicate(error) ? new GatewayFault('ERR_NODE_NONSENSE', ID_TAKEN, { cause: error }) : error
      }
    }
    const exchange = new StreamExchange(deps, outgoing, record)
    let hasLeft = false
    try {
      const { how } = await deps.forwarder.forward(req, res, exchange)
      hasLeft = how === 'left'
    } catch (error) {
      hasLeft = error instanceof GatewayFault && error.code === 'ERR_CLIENT_GONE'
      throw error
    } finally {
      if (job) deps.live.streamClosed(job, hasLeft)
      else deps.live.giveBack(by.caller, taken)
    }
  }
}

/** A submission whose answer is streamed; its id is recorded by the way. */
class StreamExchange extends SubmissionExchange implements ClientExchange {
  readonly #record: (id: string, lease: Lease) => Promise<void>

  constructor(deps: JobDeps, outgoing: Outgoing, record: (id: string, lease: Lease) => Promise<void>) {
    super(deps, outgoing)
    this.#record = record
  }

  tap(lease: Lease): StreamTap {
    return new IdLine((id) => this.#record(id, lease))
  }
}

/**
 * Reads a stream's first line, the job's id, in passing: it is recorded before the client sees it, then goes on unchanged and
 * in a write of its own, because clients take the first piece for the id.
 */
class IdLine implements StreamTap {
  readonly #onId: (id: string) => Promise<void>
  #line: Buffer | undefined = Buffer.alloc(0)

  constructor(onId: (id: string) => Promise<void>) {
    this.#onId = onId
  }

  takes(status: number): boolean {
    return status === 200
  }

  gate(chunk: Buffer): readonly Buffer[] | Promise<readonly Buffer[]> {
    if (this.#line === undefined) return [chunk]
    const line = this.#line.length === 0 ? chunk : Buffer.concat([this.#line, chunk])
    const newline = line.indexOf(NEWLINE)
    if (newline < 0 || newline > MAX_ID_LINE) {
      if (line.length > MAX_ID_LINE) return Promise.reject(new GatewayFault('ERR_NODE_NONSENSE', NO_ID))
      this.#line = line
      return []
    }
    this.#line = undefined
    const id = line.toString('utf8', 0, newline).trim()
    if (!isUsableId(id)) return Promise.reject(new GatewayFault('ERR_NODE_NONSENSE', NO_ID))
    const pieces = [line.subarray(0, newline + 1)]
    if (newline + 1 < line.length) pieces.push(line.subarray(newline + 1))
    return this.#onId(id).then(() => pieces)
  }

  rest(): readonly Buffer[] {
    return this.#line && this.#line.length > 0 ? [this.#line] : []
  }
}
