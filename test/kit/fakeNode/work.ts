/** The work of a fake node: jobs and streams run in its containers, a fixed number at once, and are recorded. */
import { isUtf8 } from 'node:buffer'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { now } from '../fakeServer/serverCore.ts'
import { errorResult, outputResult, pipelineResults, streamPlan } from './containers.ts'
import { asciiJson } from './jsonText.ts'
import type { JobStatus, JobStore, ResultText } from './jobs.ts'
import type { Settings } from './options.ts'
import { drawSeconds, seededRandom } from './serviceTime.ts'
import type { JobSubmission } from './submission.ts'
import { WorkQueue } from '../fakeServer/workQueue.ts'

/** A job's life. Times are milliseconds since the epoch, with fractions. */
export interface JobTrace {
  id: string
  ip: string
  kind: 'job' | 'stream'
  containers: string[]
  status: JobStatus
  acceptedAt: number
  startedAt?: number
  endedAt?: number
  /** Streams: pieces written. */
  pieces?: number
}

/** Where a stream goes. */
export interface StreamSink {
  /** Resolves when more may be written. */
  write(bytes: string): Promise<void> | undefined
  end(): void
  /** Breaks the connection. */
  break(): void
}

/** A stream whose job has begun. */
interface RunningStream {
  readonly job: JobSubmission
  readonly sink: StreamSink
  readonly trace: JobTrace
  /** Aborted when its client has left. */
  readonly gone: AbortSignal
  readonly finish: (status: JobStatus, result: ResultText) => void
  readonly breakOff: () => void
}

export interface WorkEvents {
  jobAccepted: (trace: JobTrace) => void
  jobStarted: (trace: JobTrace) => void
  jobEnded: (trace: JobTrace) => void
}

/** Bytes of a stream that are remembered for its result. */
const KEPT_OUTPUT = 32 * 2 ** 20

export class Work {
  readonly #settings: Settings
  readonly #store: JobStore
  readonly #events: WorkEvents
  readonly #queue: WorkQueue
  readonly #random: () => number
  /** What stops each unfinished job: called when the node forgets them. */
  readonly #stops = new Set<() => void>()
  #streams = 0

  constructor(settings: Settings, store: JobStore, events: WorkEvents) {
    this.#settings = settings
    this.#store = store
    this.#events = events
    this.#queue = new WorkQueue(settings.concurrency)
    this.#random = seededRandom(settings.seed)
  }

  get running(): number {
    return this.#queue.running
  }

  get waiting(): number {
    return this.#queue.waiting
  }

  get streams(): number {
    return this.#streams
  }

  setConcurrency(places: number): void {
    this.#queue.setPlaces(places)
  }

  /** Ends all work without a trace, as the death of the process does. */
  stopAll(): void {
    for (const stop of [...this.#stops]) stop()
  }

  /** Accepts a job: it is pending from now on and runs when there is a place. */
  runJob(job: JobSubmission): JobTrace {
    const trace = this.#accept(job, 'job')
    let stopClock = (): void => undefined
    const leave = this.#queue.add((release) => {
      this.#begin(trace)
      const finish = (): void => {
        this.#stops.delete(stop)
        const { status, results } = isGivenUp
          ? { status: 'failed' as const, results: [errorResult(job.containers[0]!, '')] }
          : pipelineResults(job, this.#settings)
        this.#finish(trace, status, results)
        release()
      }
      const limitMs = this.#settings.jobLimit > 0 ? this.#settings.jobLimit * 1000 : Infinity
      const serviceMs = this.#serviceMs(job)
      const isGivenUp = serviceMs > limitMs
      const ms = Math.min(serviceMs, limitMs)
      stopClock = startClock(ms, finish)
    })
    const stop = (): void => {
      this.#stops.delete(stop)
      stopClock()
      leave()
    }
    this.#stops.add(stop)
    return trace
  }

  /** Accepts a stream. The returned function is to be called when its client has left. */
  runStream(job: JobSubmission, sink: StreamSink): { trace: JobTrace; left: () => void } {
    const trace = this.#accept(job, 'stream')
    trace.pieces = 0
    const gone = new AbortController()
    this.#streams++
    const over = (): void => {
      if (!this.#stops.delete(stop)) return
      this.#streams--
      clearTimeout(limit)
    }
    const stop = (): void => {
      over()
      leave()
      gone.abort()
    }
    const left = (): void => {
      if (!this.#stops.has(stop)) return
      stop()
      if (!this.#settings.leftStreamsStayPending) this.#finish(trace, 'failed', [errorResult(job.containers[0]!, '')])
    }
    this.#stops.add(stop)
    const breakOff = (): void => {
      left()
      sink.break()
    }
    const { streamLimit } = this.#settings
    const limit = streamLimit > 0 ? setTimeout(breakOff, streamLimit * 1000) : undefined
    const finish = (status: JobStatus, result: ResultText): void => {
      over()
      this.#finish(trace, status, [result])
    }
    const leave = this.#queue.add((release) => {
      this.#begin(trace)
      void this.#stream({ job, sink, trace, gone: gone.signal, finish, breakOff }).then((isOver) => {
        if (isOver) release()
      })
    })
    return { trace, left }
  }

  /** Resolves when the stream needs its place no more; with false, if it is to keep it. */
  async #stream({ job, sink, trace, gone, finish, breakOff }: RunningStream): Promise<boolean> {
    const container = job.containers[0]!
    const plan = streamPlan(job, this.#settings, this.#serviceMs(job))
    const kept: string[] = []
    let keptBytes = 0
    try {
      for (let i = 0; ; i++) {
        if (plan.dieAfter === i) {
          // The last piece is to leave before.
          await turn()
          breakOff()
          return true
        }
        if (plan.failAfter === i) {
          finish('failed', errorResult(container, plan.complaint))
          sink.end()
          return true
        }
        if (plan.stallAfter === i) return false
        if (i >= plan.pieces) break
        await pause(i === 0 ? plan.firstMs : plan.gapMs, gone)
        const piece = plan.piece(i)
        trace.pieces = i + 1
        if ((keptBytes += piece.length) <= KEPT_OUTPUT) kept.push(piece)
        // If the client leaves, a full connection never drains, and this is never gone on with.
        await sink.write(piece)
        gone.throwIfAborted()
      }
    } catch (error) {
      if (gone.aborted) return true
      throw error
    }
    const output = Buffer.from(kept.join(''), 'latin1')
    if (isUtf8(output)) finish('success', outputResult(container, `{"output":${asciiJson(output.toString())}}`))
    else finish('failed', errorResult(container, "'utf-8' codec can't decode byte: invalid start byte"))
    sink.end()
    return true
  }

  #accept({ id, ip, containers }: JobSubmission, kind: JobTrace['kind']): JobTrace {
    this.#store.setRunning(ip, id)
    const trace: JobTrace = { id, ip, kind, containers, status: 'running', acceptedAt: now() }
    this.#events.jobAccepted(trace)
    return trace
  }

  #begin(trace: JobTrace): void {
    trace.startedAt = now()
    this.#events.jobStarted(trace)
  }

  #finish(trace: JobTrace, status: JobStatus, results: ResultText[]): void {
    trace.status = status
    trace.endedAt = now()
    const { id, ip } = trace
    this.#store.setFinished({ id, ip, status, result: results.at(-1) ?? 'null', intermediate: results.slice(0, -1) })
    this.#events.jobEnded(trace)
  }

  #serviceMs({ script, containers: [first] }: JobSubmission): number {
    const { speed, slowness, containers } = this.#settings
    const seconds = typeof script.seconds === 'number' ? script.seconds : drawSeconds(speed, this.#random)
    const itsSlowness = containers.find(({ id }) => id === first)?.slowness ?? 1
    return seconds * slowness * itsSlowness * 1000
  }
}

/** Without any time to pass it still ends in a later turn. Returns what stops it. */
function startClock(ms: number, ring: () => void): () => void {
  if (ms <= 0) {
    const immediate = setImmediate(ring)
    return () => clearImmediate(immediate)
  }
  const timer = setTimeout(ring, ms)
  return () => clearTimeout(timer)
}

/** Even without a pause, each piece gets a turn, and thereby a write, of its own. */
async function pause(ms: number, gone: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal: gone })
  else await turn(undefined, { signal: gone })
}
