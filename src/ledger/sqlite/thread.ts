import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { DuplicateJobError, ledgerFault, LedgerOpenError } from '../ledger.ts'
import { CallLane, type CallOptions } from './lane.ts'
import { bytesIn, pack, unpackApart, type Packed } from '../packedBytes.ts'
import { OPERATIONS, type Operation } from './operations.ts'
import type { SqliteStore } from './store.ts'
import {
  type Call,
  type CallsMessage,
  type FailureKind,
  type FromWorker,
  type Lane,
  type OpenedMessage,
  type StoreReport,
  type ToWorker,
  type Value,
  type WorkerSettings,
} from './wire.ts'

/** Writes take a third of the thread's time at most, until groups of them take long. */
const WRITES_REST_RATIO = 2
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

/** The main thread's end of the thread that owns the database. Reads have a lane of their own: they do not wait for writes. */
export class SqliteThread {
  readonly #worker: Worker
  readonly #hooks: ThreadHooks
  readonly #ended: Promise<void>
  readonly #lanes: Readonly<Record<Lane, CallLane>>
  #endedBecause: Error | undefined

  private constructor(worker: Worker, hooks: ThreadHooks) {
    this.#worker = worker
    this.#hooks = hooks
    this.#lanes = {
      writes: new CallLane({
        send: (calls, bytes) => this.#send('writes', calls, bytes),
        restRatio: WRITES_REST_RATIO,
      }),
      reads: new CallLane({ send: (calls, bytes) => this.#send('reads', calls, bytes), restRatio: 0 }),
    }
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
   * thread's from then on. A `read` sees all writes that were answered before, any other call all that were asked for.
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
      const lane = OPERATIONS[name] === 'read' ? 'reads' : 'writes'
      this.#lanes[lane].add({ call, bytes: bytesIn(args), replyBytes, patienceMs, resolve, reject })
    })
  }

  get isOverloaded(): boolean {
    return this.#lanes.writes.bytes > MAX_QUEUED_BYTES
  }

  /** Closes the database and ends the thread; what was submitted before is done first. */
  async close(): Promise<void> {
    await Promise.allSettled([this.call('find', ['']), this.call('list', ['', true, 0, 1])])
    this.#endedBecause ??= ledgerFault('it is shutting down')
    this.#worker.ref()
    this.#worker.postMessage('close' satisfies ToWorker)
    await this.#ended
  }

  #send(lane: Lane, calls: Call[], bytes: number): void {
    const packed = pack<CallsMessage>([lane, calls], bytes)
    this.#worker.ref()
    this.#worker.postMessage(packed satisfies ToWorker, [packed[1]])
  }

  #receive([lane, values, failures, report]: FromWorker): void {
    if (report) this.#hooks.onReport(report)
    if (lane === null) return
    const group = this.#lanes[lane].answered()
    const failed = new Set<number>()
    for (const [index, kind, message] of failures) {
      failed.add(index)
      group[index]!.reject(errorOf(kind, message))
    }
    group.forEach((call, index) => {
      if (!failed.has(index)) call.resolve(values[index] as never)
    })
    if (this.#lanes.writes.isEmpty && this.#lanes.reads.isEmpty) this.#worker.unref()
  }

  /** The thread is gone: nothing that waits will ever be answered. */
  #fail(error: Error): void {
    if (!this.#endedBecause) {
      this.#endedBecause = new StoreError(error.message, true)
      this.#hooks.onDeath(error)
    }
    this.#lanes.writes.fail(this.#endedBecause)
    this.#lanes.reads.fail(this.#endedBecause)
  }
}

function errorOf(kind: FailureKind, message: string): Error {
  return kind === 'duplicate' ? new DuplicateJobError() : new StoreError(message, kind === 'store')
}
