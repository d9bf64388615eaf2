import type { KeptTexts } from '../base/keptTexts.ts'
import { IpcLedger } from '../ledger/ipc/client.ts'
import { Channel } from './channel.ts'
import type { FromPrimary, FromWorker, Start, Subject } from './messages.ts'

/** Signals that a worker leaves to its primary: a terminal sends Ctrl-C to all processes of a group. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const

/** A gateway as its primary commands it. */
export interface Worker {
  readonly host: string
  readonly port: number
  reread(): void
  /** Takes no new connections; resolves when it has ended with its last request. */
  retire(): Promise<void>
  /** Takes no new work; resolves when it has ended. */
  stop(): Promise<void>
  report(subject: Subject): Promise<unknown>
}

/** The primary as a worker sees it. */
export class Workplace {
  readonly #channel: Channel<FromPrimary, FromWorker>
  readonly #start = Promise.withResolvers<Start>()
  readonly #worker = Promise.withResolvers<Worker>()
  readonly #sums = new Map<number, (value: unknown) => void>()
  #lastSum = 0
  #texts: Start['texts'] = {}
  /** Called once the worker has ended by the primary's word. */
  readonly #onEnd: () => void

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
    for (const signal of SIGNALS) process.on(signal, () => {})
    this.#channel = new Channel<FromPrimary, FromWorker>(process, (message) => this.#receive(message))
  }

  get start(): Promise<Start> {
    return this.#start.promise
  }

  /** What the primary keeps for this worker and those after it. */
  get kept(): KeptTexts {
    return {
      last: (file) => this.#texts[file],
      keep: (file, text) => void this.#channel.tell({ kind: 'keep', file, text }),
    }
  }

  /** The primary's ledger. */
  openLedger(): Promise<IpcLedger> {
    return IpcLedger.open(this.#channel)
  }

  /** From now on the primary commands this gateway, which serves. */
  serves(worker: Worker): void {
    this.#worker.resolve(worker)
    void this.#channel.tell({ kind: 'listening', host: worker.host, port: worker.port })
  }

  /** It cannot start; the primary says why. Resolves when that has been sent. */
  failed({ message, stack }: Error): Promise<void> {
    return this.#channel.tell({ kind: 'failed', message, stack })
  }

  /** What all workers together have to say, as the primary puts it together. */
  sum(subject: Subject): Promise<unknown> {
    const number = ++this.#lastSum
    return new Promise((resolve) => {
      this.#sums.set(number, resolve)
      void this.#channel.tell({ kind: 'sum', number, subject })
    })
  }

  #receive(message: FromPrimary): void {
    switch (message.kind) {
      case 'start':
        this.#texts = message.start.texts
        return this.#start.resolve(message.start)
      case 'ping':
        return void this.#channel.tell({ kind: 'pong' })
      case 'reread':
        return this.#command((worker) => worker.reread())
      case 'retire':
        return this.#command((worker) => void this.#end(worker, worker.retire()))
      case 'drain':
        return this.#command((worker) => void this.#end(worker, worker.stop()))
      case 'report':
        return this.#command((worker) => void this.#report(worker, message.number, message.subject))
      case 'sum':
        this.#sums.get(message.number)?.(message.value)
        this.#sums.delete(message.number)
    }
  }

  /** Commands that come before it serves wait until then. */
  #command(command: (worker: Worker) => void): void {
    void this.#worker.promise.then(command)
  }

  /** What it has counted is not lost with it. */
  async #end(worker: Worker, ending: Promise<void>): Promise<void> {
    await ending
    const [metrics, stats] = [await worker.report('metrics'), await worker.report('stats')]
    await this.#channel.tell({ kind: 'last', metrics, stats })
    this.#onEnd()
  }

  async #report(worker: Worker, number: number, subject: Subject): Promise<void> {
    await this.#channel.tell({ kind: 'reported', number, value: await worker.report(subject) })
  }
}
