import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { DuplicateJobError, ledgerFault, LedgerOpenError } from '../ledger.ts'
import type { Operation, SqliteStore } from './store.ts'
import {
  bytesIn,
  pack,
  type Call,
  type FailureKind,
  type FromWorker,
  type OpenedMessage,
  type Packed,
  type StoreReport,
  type ToWorker,
  type Value,
  type WorkerSettings,
  unpackApart,
} from './wire.ts'

const MAX_GROUP_OPS = 500
/** A single larger operation is a group by itself. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024
/** More than this waiting means that the disk does not keep up; new jobs are then refused. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024

/** An operation that the store refused; `isStoreFault` unless it can never succeed. */
export class StoreError extends Error {
  readonly isStoreFault: boolean

  constructor(message: string, isStoreFault: boolean) {
    super(message)
    this.isStoreFault = isStoreFault
  }
}

/** What the owner hears besides the values of its operations. */
export interface ThreadHooks {
  readonly onReport: (report: StoreReport) => void
  /** What does not work although the thread serves. */
  readonly onWarning: (warning: string) => void
  /** The thread ended without being asked to. */
  readonly onDeath: (error: Error) => void
}

/** When a call goes, and with what. */
interface CallOptions {
  /** How long it may wait for others to share a commit with. */
  readonly patienceMs?: number
  /** About how many bytes its value has. */
  readonly replyBytes?: number
}

interface QueuedCall extends Required<CallOptions> {
  readonly call: Call
  /** Bytes in its arguments. */
  readonly bytes: number
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/**
 * The main thread's end of the thread that owns the database. A group of operations leaves at once when none is under way;
 * what is asked for meanwhile goes together as the next one.
 */
export class SqliteThread {
  readonly #worker: Worker
  readonly #hooks: ThreadHooks
  readonly #ended: Promise<void>
  #queue: QueuedCall[] = []
  #queuedBytes = 0
  #underWay: QueuedCall[] = []
  #timer: NodeJS.Timeout | undefined
  /** When the next group goes; on the clock of `performance.now`. */
  #dueAt = Infinity
  #endedBecause: Error | undefined

  private constructor(worker: Worker, hooks: ThreadHooks) {
    this.#worker = worker
    this.#hooks = hooks
    worker.on('message', (message: Packed<FromWorker>) => this.#receive(unpackApart(message)))
    worker.on('error', (error: Error) => this.#fail(error))
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#fail(new Error('the thread has ended'))
        resolve()
      })
    })
    worker.unref()
  }

  /** @throws LedgerOpenError */
  static async start(settings: WorkerSettings, hooks: ThreadHooks): Promise<SqliteThread> {
    // Sources run as TypeScript, builds as JavaScript. The program's own flags, such as --input-type, are not for it.
    const file = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { workerData: settings, name: 'ledger', execArgv: [] })
    const { promise, resolve, reject } = Promise.withResolvers<OpenedMessage>()
    worker.once('message', resolve)
    worker.once('error', reject)
    const { refusal, warning } = await promise
    worker.off('error', reject)
    if (refusal !== null) throw new LedgerOpenError(refusal)
    if (warning !== null) hooks.onWarning(warning)
    return new SqliteThread(worker, hooks)
  }

  /**
   * Calls a method of the store; resolves with its value once its group is committed. Arrays among the arguments are the
   * thread's from then on.
   *
   * @throws DuplicateJobError, StoreError
   */
  call<Name extends Operation>(
    name: Name,
    args: Parameters<SqliteStore[Name]>,
    { patienceMs = 0, replyBytes = 0 }: CallOptions = {},
  ): Promise<Value<Name>> {
    return new Promise<Value<Name>>((resolve, reject) => {
      if (this.#endedBecause) return reject(this.#endedBecause)
      const call = [name, ...args] as unknown as Call
      const bytes = bytesIn(args)
      this.#queue.push({ call, bytes, replyBytes, patienceMs, resolve, reject })
      this.#queuedBytes += bytes
      this.#schedule(patienceMs)
    })
  }

  get isOverloaded(): boolean {
    return this.#queuedBytes > MAX_QUEUED_BYTES
  }

  /** Closes the database and ends the thread; what was submitted before is done first. */
  async close(): Promise<void> {
    await this.call('find', ['']).catch(() => {})
    this.#endedBecause ??= ledgerFault('it is shutting down')
    this.#worker.ref()
    this.#worker.postMessage('close' satisfies ToWorker)
    await this.#ended
  }

  #schedule(patienceMs: number): void {
    if (this.#underWay.length > 0) return
    const now = performance.now()
    const dueAt = now + patienceMs
    if (dueAt >= this.#dueAt) return
    this.#dueAt = dueAt
    clearTimeout(this.#timer)
    if (patienceMs > 0) this.#timer = setTimeout(this.#send, patienceMs)
    // At the end of this turn, so that everything which it asks for shares the group.
    else setImmediate(this.#send)
  }

  readonly #send = (): void => {
    this.#dueAt = Infinity
    const group = this.#takeGroup()
    if (group.length === 0) return
    this.#underWay = group
    const calls = group.map(({ call }) => call)
    const bytes = group.reduce((sum, call) => sum + call.bytes, 0)
    const packed = pack(calls, bytes)
    this.#worker.ref()
    this.#worker.postMessage(packed satisfies ToWorker, [packed[1]])
  }

  #takeGroup(): QueuedCall[] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && count < MAX_GROUP_OPS) {
      const op = this.#queue[count]!
      bytes += op.bytes + op.replyBytes
      if (count > 0 && bytes > MAX_GROUP_BYTES) break
      count++
    }
    return this.#queue.splice(0, count)
  }

  #receive([values, failures, report]: FromWorker): void {
    this.#hooks.onReport(report)
    if (!values) return
    const group = this.#underWay
    this.#underWay = []
    const failed = new Set<number>()
    for (const [index, kind, message] of failures) {
      failed.add(index)
      group[index]!.reject(errorOf(kind, message))
    }
    group.forEach((op, index) => {
      this.#queuedBytes -= op.bytes
      if (!failed.has(index)) op.resolve(values[index] as never)
    })
    const [next] = this.#queue
    if (!next) this.#worker.unref()
    else this.#schedule(this.#queue.some((op) => op.patienceMs === 0) ? 0 : next.patienceMs)
  }

  /** The thread is gone: nothing that waits will ever be answered. */
  #fail(error: Error): void {
    if (!this.#endedBecause) {
      this.#endedBecause = new StoreError(error.message, true)
      this.#hooks.onDeath(error)
    }
    const waiting = [...this.#underWay, ...this.#queue]
    this.#underWay = []
    this.#queue = []
    this.#queuedBytes = 0
    for (const op of waiting) op.reject(this.#endedBecause)
  }
}

function errorOf(kind: FailureKind, message: string): Error {
  return kind === 'duplicate' ? new DuplicateJobError() : new StoreError(message, kind === 'store')
}
